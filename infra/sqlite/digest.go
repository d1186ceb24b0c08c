package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/projections"
)

// Digest implements projections.Shadows. All is read in one transaction.
func (s *Store) Digest(ctx context.Context, shadow bool, room string) (string, error) {
	defer s.observe("digest", time.Now())
	tx, err := s.reads.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return "", fmt.Errorf("sqlite: digest: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	prefix := ""
	if shadow {
		prefix = projections.ShadowPrefix
	}
	var d projections.Digest
	for _, table := range projections.TableNames() {
		where, args := "", []any(nil)
		if room != "" {
			column, ok := projections.RoomColumn(table)
			if !ok {
				continue
			}
			where, args = " WHERE "+column+" = ?", []any{room}
		}
		if err := digestTable(ctx, tx, &d, table, prefix, where, args); err != nil {
			return "", fmt.Errorf("sqlite: digest of %s%s: %w", prefix, table, err)
		}
	}
	return d.Sum(), nil
}

func digestTable(ctx context.Context, tx *sql.Tx, d *projections.Digest, table, prefix, where string, args []any) error {
	columns, err := columnsOf(ctx, tx, prefix+table)
	if err != nil {
		return err
	}
	// +column has no declared type: the driver then gives the stored value as it is.
	rows, err := tx.QueryContext(ctx, fmt.Sprintf("SELECT +%s FROM %s%s%s ORDER BY %s", strings.Join(columns, ", +"), prefix, table, where,
		strings.Join(projections.KeyOf(table), ", ")), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	t := d.Table(table, columns)
	values := make([]any, len(columns))
	pointers := make([]any, len(columns))
	for i := range values {
		pointers[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			return err
		}
		if err := t.Row(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// columnsOf returns the names of a table's columns, in their order.
func columnsOf(ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, table string) ([]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT name FROM pragma_table_info(?) ORDER BY cid", table)
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
