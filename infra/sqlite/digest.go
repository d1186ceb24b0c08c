package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/projections"
)

// keyOf is the primary key of each table, by which its rows are ordered.
var keyOf = map[string]string{
	"users": "id", "rooms": "id", "assets": "id", "room_participants": "room_id, user_id", "canvas_states": "id",
	"chat_messages": "room_id, revision", "comments": "room_id, id", "asset_rooms": "asset_id, room_id", "room_snapshots": "room_id, revision",
}

// Digest implements projections.Shadows: of every table its name, its columns' names and all rows, each value with its type and length, so
// that equal digests mean equal tables, value by value. All is read in one transaction.
func (s *Store) Digest(ctx context.Context, shadow bool, room string) (string, error) {
	defer s.observe("digest", time.Now())
	tx, err := s.reads.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return "", fmt.Errorf("sqlite: digest: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	d := digest{h: sha256.New(), prefix: ""}
	if shadow {
		d.prefix = projections.ShadowPrefix
	}
	for _, table := range projections.TableNames() {
		where, args := "", []any(nil)
		if room != "" {
			switch {
			case table == "rooms":
				where = " WHERE id = ?"
			case slices.Contains(projections.RoomTables(), table):
				where = " WHERE room_id = ?"
			default:
				continue
			}
			args = append(args, room)
		}
		if err := d.table(ctx, tx, table, where, args); err != nil {
			return "", fmt.Errorf("sqlite: digest of %s%s: %w", d.prefix, table, err)
		}
	}
	return hex.EncodeToString(d.h.Sum(nil)), nil
}

type digest struct {
	h      hash.Hash
	prefix string
	buf    []byte
}

func (d *digest) table(ctx context.Context, tx *sql.Tx, table, where string, args []any) error {
	columns, err := tableColumns(ctx, tx, d.prefix+table)
	if err != nil {
		return err
	}
	// +column has no declared type: the driver then gives the stored value as it is.
	rows, err := tx.QueryContext(ctx, fmt.Sprintf("SELECT +%s FROM %s%s%s ORDER BY %s", strings.Join(columns, ", +"), d.prefix, table, where, keyOf[table]), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	d.text('t', table)
	for _, c := range columns {
		d.text('c', c)
	}
	values := make([]any, len(columns))
	pointers := make([]any, len(columns))
	for i := range values {
		pointers[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			return err
		}
		for _, v := range values {
			if err := d.value(v); err != nil {
				return err
			}
		}
		d.flush()
	}
	return rows.Err()
}

func tableColumns(ctx context.Context, tx *sql.Tx, table string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, "SELECT name FROM pragma_table_info(?) ORDER BY cid", table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if len(names) == 0 && rows.Err() == nil {
		return nil, fmt.Errorf("no such table")
	}
	return names, rows.Err()
}

func (d *digest) value(v any) error {
	switch v := v.(type) {
	case nil:
		d.buf = append(d.buf, 'n')
	case int64:
		d.buf = binary.BigEndian.AppendUint64(append(d.buf, 'i'), uint64(v))
	case float64:
		d.buf = binary.BigEndian.AppendUint64(append(d.buf, 'f'), math.Float64bits(v))
	case string:
		d.text('s', v)
	case []byte:
		d.text('b', string(v))
	default:
		return fmt.Errorf("value of type %T", v)
	}
	return nil
}

func (d *digest) text(kind byte, s string) {
	d.buf = binary.BigEndian.AppendUint32(append(d.buf, kind), uint32(len(s)))
	d.buf = append(d.buf, s...)
}

func (d *digest) flush() {
	d.h.Write(d.buf)
	d.buf = d.buf[:0]
}
