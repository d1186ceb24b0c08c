package projections

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"slices"
)

// Digest sums up tables: of each its name, its columns' names and all rows in the order of their keys, every value with its type and length.
// Equal digests mean equal tables, value by value, whatever store they are in. Tables may be fed in any order, or by turns.
type Digest struct {
	tables map[string]*TableDigest
}

// TableDigest is the part of one table. It is for one goroutine at a time.
type TableDigest struct {
	h   hash.Hash
	buf []byte
}

// Table begins a table of TableNames, without prefix.
func (d *Digest) Table(name string, columns []string) *TableDigest {
	t := &TableDigest{h: sha256.New()}
	t.text('t', name)
	for _, c := range columns {
		t.text('c', c)
	}
	t.flush()
	if d.tables == nil {
		d.tables = map[string]*TableDigest{}
	}
	d.tables[name] = t
	return t
}

// Sum is the digest in hex.
func (d *Digest) Sum() string {
	h := sha256.New()
	for _, name := range TableNames() {
		if t := d.tables[name]; t != nil {
			h.Write(t.h.Sum(nil))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Row adds a row: nil, int64, float64, string or []byte.
func (t *TableDigest) Row(values []any) error {
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			t.buf = append(t.buf, 'n')
		case int64:
			t.buf = binary.BigEndian.AppendUint64(append(t.buf, 'i'), uint64(v))
		case float64:
			t.buf = binary.BigEndian.AppendUint64(append(t.buf, 'f'), math.Float64bits(v))
		case string:
			t.text('s', v)
		case []byte:
			t.text('b', string(v))
		default:
			return fmt.Errorf("projections: digest of a value of type %T", v)
		}
	}
	t.flush()
	return nil
}

func (t *TableDigest) text(kind byte, s string) {
	t.buf = binary.BigEndian.AppendUint32(append(t.buf, kind), uint32(len(s)))
	t.buf = append(t.buf, s...)
}

func (t *TableDigest) flush() {
	t.h.Write(t.buf)
	t.buf = t.buf[:0]
}

// KeyOf is the primary key of a table of TableNames, by which its rows are ordered.
func KeyOf(table string) []string {
	switch table {
	case "room_participants":
		return []string{"room_id", "user_id"}
	case "chat_messages", "room_snapshots":
		return []string{"room_id", "revision"}
	case "comments", "generations", "invites":
		return []string{"room_id", "id"}
	case "asset_rooms":
		return []string{"asset_id", "room_id"}
	}
	return []string{"id"}
}

// RoomColumn is the column by which a room's own rows of a table are found; ok is false where a table has none.
func RoomColumn(table string) (column string, ok bool) {
	if table == "rooms" {
		return "id", true
	}
	return "room_id", slices.Contains(RoomTables(), table)
}
