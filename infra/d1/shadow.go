package d1

import (
	"context"
	"fmt"

	"github.com/infinite-kanvas/kanvas/projections"
)

// OpenShadow implements projections.Shadows. It may be repeated: it drops what is there.
func (s *Store) OpenShadow(ctx context.Context, projection string) error {
	results, err := s.read(ctx, "schema", projections.Statement{SQL: "SELECT name, sql FROM sqlite_master WHERE type = 'table'"})
	if err != nil {
		return err
	}
	creates := map[string]string{}
	for _, row := range results[0].Results.Rows {
		creates[text(row[0], &err)] = text(row[1], &err)
	}
	if err != nil {
		return err
	}
	list, err := projections.OpenShadowSQL(projection, creates)
	if err != nil {
		return err
	}
	return s.repeat(ctx, "open_shadow", list)
}

// DropShadow implements projections.Shadows.
func (s *Store) DropShadow(ctx context.Context, projection string) error {
	return s.repeat(ctx, "drop_shadow", projections.DropShadowSQL(projection))
}

// repeat runs what comes to the same when it is run again.
func (s *Store) repeat(ctx context.Context, operation string, list []projections.Statement) error {
	return s.client.Retry(ctx, func() error {
		_, err := s.run(ctx, operation, list)
		return err
	})
}

// Swap implements projections.Shadows. After a lost answer the shadow itself tells: it is gone where the swap was done.
func (s *Store) Swap(ctx context.Context, projection, room string) error {
	all, err := s.columns(ctx)
	if err != nil {
		return err
	}
	names := map[string][]string{}
	for table, columns := range all {
		for _, c := range columns {
			names[table] = append(names[table], c.name)
		}
	}
	list := projections.SwapSQL(projection, room, names)
	return s.client.Retry(ctx, func() error {
		_, err := s.run(ctx, "swap", list)
		if err == nil || judge(err) != unknown {
			return err
		}
		results, rerr := s.read(ctx, "schema", projections.Statement{SQL: "SELECT count(*) FROM sqlite_master WHERE name = ?", Args: []any{projections.ShadowPrefix + "rooms"}})
		if rerr != nil {
			return fmt.Errorf("%w (and whether the tables were swapped is not known: %w)", err, rerr)
		}
		if integer(results[0].Results.Rows[0][0], &rerr) == 0 && rerr == nil {
			err = nil
		}
		s.metrics.settled(err)
		return err
	})
}

// column of a table; real says that its numbers are reals, also those without a fraction.
type column struct {
	name string
	real bool
}

// columns returns the columns of the tables in TableNames, in their order.
func (s *Store) columns(ctx context.Context) (map[string][]column, error) {
	tables := projections.TableNames()
	list := make([]projections.Statement, len(tables))
	for i, table := range tables {
		list[i] = projections.Statement{SQL: "SELECT name, type FROM pragma_table_info(?) ORDER BY cid", Args: []any{table}}
	}
	results, err := s.read(ctx, "schema", list...)
	if err != nil {
		return nil, err
	}
	all := map[string][]column{}
	for i, table := range tables {
		for _, row := range results[i].Results.Rows {
			all[table] = append(all[table], column{name: text(row[0], &err), real: text(row[1], &err) == "REAL"})
		}
		if len(all[table]) == 0 && err == nil {
			err = fmt.Errorf("%w: there is no table %s", ErrSchema, table)
		}
	}
	return all, err
}
