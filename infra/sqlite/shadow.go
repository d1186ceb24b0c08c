package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/infinite-kanvas/kanvas/projections"
)

// OpenShadow implements projections.Shadows.
func (s *Store) OpenShadow(ctx context.Context, projection string) error {
	defer s.observe("open_shadow", time.Now())
	err := s.writer.tx(ctx, func() error {
		s.writer.forget()
		creates := map[string]string{}
		for _, table := range projections.TableNames() {
			var text string
			if err := s.writer.conn.QueryRowContext(ctx, "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", table).Scan(&text); err != nil {
				return fmt.Errorf("sqlite: shape of %s: %w", table, err)
			}
			creates[table] = text
		}
		list, err := projections.OpenShadowSQL(projection, creates)
		if err != nil {
			return err
		}
		return s.writer.execAll(ctx, list)
	})
	s.shadow.Store(err == nil)
	return err
}

// DropShadow implements projections.Shadows.
func (s *Store) DropShadow(ctx context.Context, projection string) error {
	defer s.observe("drop_shadow", time.Now())
	s.shadow.Store(false)
	return s.writer.tx(ctx, func() error {
		s.writer.forget()
		return s.writer.execAll(ctx, projections.DropShadowSQL(projection))
	})
}

// Swap implements projections.Shadows.
func (s *Store) Swap(ctx context.Context, projection, room string) error {
	defer s.observe("swap", time.Now())
	s.shadow.Store(false)
	return s.writer.tx(ctx, func() error {
		s.writer.forget()
		columns := map[string][]string{}
		for _, table := range projections.TableNames() {
			names, err := columnsOf(ctx, s.writer.conn, table)
			if err != nil {
				return fmt.Errorf("sqlite: columns of %s: %w", table, err)
			}
			columns[table] = names
		}
		return s.writer.execAll(ctx, projections.SwapSQL(projection, room, columns))
	})
}
