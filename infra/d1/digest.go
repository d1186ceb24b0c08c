package d1

import (
	"context"
	"fmt"
	"strings"

	"github.com/infinite-kanvas/kanvas/projections"
)

// Sizes of one page of a table: rows, and characters of their values.
const (
	pageRows = 2000
	pageSize = 2_000_000
)

// Digest implements projections.Shadows. Pages of all tables come with one call, each call in a transaction of its own, so ErrCheckpoint
// says that somebody moved the tables meanwhile.
func (s *Store) Digest(ctx context.Context, shadow bool, room string) (string, error) {
	columns, err := s.columns(ctx)
	if err != nil {
		return "", err
	}
	prefix := ""
	if shadow {
		prefix = projections.ShadowPrefix
	}
	var d projections.Digest
	var scans []*scan
	for _, table := range projections.TableNames() {
		sc := &scan{table: prefix + table, key: projections.KeyOf(table), columns: columns[table]}
		if room != "" {
			column, ok := projections.RoomColumn(table)
			if !ok {
				continue
			}
			sc.where, sc.args = column+" = ?", []any{room}
		}
		sc.digest = d.Table(table, sc.names())
		scans = append(scans, sc)
	}
	for at := ""; len(scans) > 0; {
		if scans, at, err = s.page(ctx, scans, at, shadow); err != nil {
			return "", fmt.Errorf("digest: %w", err)
		}
	}
	return d.Sum(), nil
}

// page reads the next page of all scans, and returns those that are not at their end and where the checkpoints are.
func (s *Store) page(ctx context.Context, scans []*scan, before string, shadow bool) (rest []*scan, at string, err error) {
	list := []projections.Statement{{SQL: "SELECT group_concat(projection || '/' || partition || '/' || seq) FROM projection_checkpoints WHERE (substr(projection, ?) = ?) = ?",
		Args: []any{-len(projections.ShadowSuffix), projections.ShadowSuffix, flag(shadow)}}}
	for _, sc := range scans {
		list = append(list, sc.statement())
	}
	results, err := s.read(ctx, "digest", list...)
	if err != nil {
		return nil, "", err
	}
	at = "at " + text(results[0].Results.Rows[0][0], &err)
	if before != "" && at != before {
		return nil, "", fmt.Errorf("%w while the tables were read", projections.ErrCheckpoint)
	}
	for i, sc := range scans {
		more, err := sc.add(results[i+1].Results.Rows)
		if err != nil {
			return nil, "", err
		}
		if more {
			rest = append(rest, sc)
		}
	}
	return rest, at, err
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// scan goes through one table by its key.
type scan struct {
	table   string
	key     []string
	columns []column
	where   string // of what is wanted; may be ""
	args    []any
	after   []any // key of the last row read
	digest  *projections.TableDigest
}

func (sc *scan) names() []string {
	names := make([]string, len(sc.columns))
	for i, c := range sc.columns {
		names[i] = c.name
	}
	return names
}

// statement asks for the next rows, up to about pageSize, and how many there would have been without that bound.
func (sc *scan) statement() projections.Statement {
	names, key := strings.Join(sc.names(), ", "), strings.Join(sc.key, ", ")
	where, args := []string{"true"}, append([]any{}, sc.args...)
	if sc.where != "" {
		where = append(where, sc.where)
	}
	if sc.after != nil {
		where = append(where, fmt.Sprintf("(%s) > (%s)", key, strings.TrimSuffix(strings.Repeat("?, ", len(sc.key)), ", ")))
		args = append(args, sc.after...)
	}
	size := "0"
	for _, c := range sc.columns {
		size += " + ifnull(length(" + c.name + "), 0)"
	}
	rows := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %d", names, sc.table, strings.Join(where, " AND "), key, pageRows)
	summed := fmt.Sprintf("SELECT *, sum(%s) OVER (ORDER BY %s ROWS UNBOUNDED PRECEDING) AS size_, row_number() OVER (ORDER BY %s) AS row_, count(*) OVER () AS rows_ FROM (%s)",
		size, key, key, rows)
	return projections.Statement{SQL: fmt.Sprintf("SELECT %s, rows_ FROM (%s) WHERE size_ <= %d OR row_ = 1 ORDER BY %s", names, summed, pageSize, key), Args: args}
}

// add takes rows that statement gave, and says whether there may be more.
func (sc *scan) add(rows [][]any) (more bool, err error) {
	n := len(sc.columns)
	for _, row := range rows {
		if len(row) != n+1 {
			return false, fmt.Errorf("d1: a row of %s has %d columns, not %d", sc.table, len(row), n+1)
		}
		for i, c := range sc.columns {
			if v, ok := row[i].(int64); ok && c.real {
				row[i] = float64(v)
			}
		}
		if err := sc.digest.Row(row[:n]); err != nil {
			return false, err
		}
	}
	if len(rows) == 0 {
		return false, nil
	}
	last := rows[len(rows)-1]
	sc.after = nil
	for _, name := range sc.key {
		for i, c := range sc.columns {
			if c.name == name {
				sc.after = append(sc.after, last[i])
			}
		}
	}
	found := integer(last[n], &err)
	return found == pageRows || int64(len(rows)) < found, err
}
