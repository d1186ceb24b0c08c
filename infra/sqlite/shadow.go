package sqlite

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/projections"
)

// OpenShadow implements projections.Shadows. Shadow tables have the columns, keys and references (to each other) of the live ones as they
// stand in the schema, but no further indexes: nothing reads them but by key.
func (s *Store) OpenShadow(ctx context.Context, projection string) error {
	defer s.observe("open_shadow", time.Now())
	err := s.writer.tx(ctx, func() error {
		if err := s.dropShadow(ctx, projection); err != nil {
			return err
		}
		for _, table := range projections.TableNames() {
			var text string
			if err := s.writer.conn.QueryRowContext(ctx, "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", table).Scan(&text); err != nil {
				return fmt.Errorf("sqlite: shape of %s: %w", table, err)
			}
			if err := s.writer.exec(ctx, shadowSQL(text)); err != nil {
				return err
			}
		}
		return nil
	})
	s.shadow.Store(err == nil)
	return err
}

// tableRef matches the places where CREATE TABLE names a table of ours.
var tableRef = regexp.MustCompile(`(?i)\b(CREATE TABLE|REFERENCES)\s+"?(` + strings.Join(projections.TableNames(), "|") + `)"?\b`)

func shadowSQL(create string) string {
	return tableRef.ReplaceAllString(create, "${1} "+projections.ShadowPrefix+"${2}")
}

// DropShadow implements projections.Shadows.
func (s *Store) DropShadow(ctx context.Context, projection string) error {
	defer s.observe("drop_shadow", time.Now())
	s.shadow.Store(false)
	return s.writer.tx(ctx, func() error { return s.dropShadow(ctx, projection) })
}

func (s *Store) dropShadow(ctx context.Context, projection string) error {
	s.writer.forget()
	tables := projections.TableNames()
	for i := len(tables) - 1; i >= 0; i-- { // children first: DROP TABLE deletes rows, and references are enforced
		if err := s.writer.exec(ctx, "DROP TABLE IF EXISTS "+projections.ShadowPrefix+tables[i]); err != nil {
			return err
		}
	}
	for _, table := range []string{"projection_checkpoints", "parked"} {
		if err := s.writer.exec(ctx, "DELETE FROM "+table+" WHERE projection = ?", projection+projections.ShadowSuffix); err != nil {
			return err
		}
	}
	return nil
}

// Swap implements projections.Shadows.
func (s *Store) Swap(ctx context.Context, projection, room string) error {
	defer s.observe("swap", time.Now())
	s.shadow.Store(false)
	return s.writer.tx(ctx, func() error {
		var err error
		if room == "" {
			err = s.swapAll(ctx, projection)
		} else {
			err = s.swapRoom(ctx, projection, room)
		}
		if err != nil {
			return err
		}
		return s.dropShadow(ctx, projection)
	})
}

// swapAll replaces all rows. A rename of the tables would drag their references along.
func (s *Store) swapAll(ctx context.Context, projection string) error {
	tables := projections.TableNames()
	for i := len(tables) - 1; i >= 0; i-- {
		if err := s.writer.exec(ctx, "DELETE FROM "+tables[i]); err != nil {
			return err
		}
	}
	for _, table := range tables {
		columns, err := s.columns(ctx, table)
		if err != nil {
			return err
		}
		list := strings.Join(columns, ", ")
		if err := s.writer.exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s%s ORDER BY %s", table, list, list,
			projections.ShadowPrefix, table, keyOf[table])); err != nil {
			return err
		}
	}
	for _, table := range []string{"projection_checkpoints", "parked"} {
		if err := s.writer.exec(ctx, "DELETE FROM "+table+" WHERE projection = ?", projection); err != nil {
			return err
		}
		if err := s.writer.exec(ctx, "UPDATE "+table+" SET projection = ? WHERE projection = ?", projection, projection+projections.ShadowSuffix); err != nil {
			return err
		}
	}
	return nil
}

// swapRoom replaces the rows that one room's stream writes. Rows of others that only were referred to are there, or are added as stubs.
func (s *Store) swapRoom(ctx context.Context, projection, room string) error {
	users, err := s.columns(ctx, "users")
	if err != nil {
		return err
	}
	list := strings.Join(users, ", ")
	shadow := projections.ShadowPrefix
	if err := s.writer.exec(ctx, fmt.Sprintf("INSERT INTO users (%s) SELECT %s FROM %susers WHERE true ON CONFLICT (id) DO NOTHING", list, list, shadow)); err != nil {
		return err
	}
	if err := s.swapRoomRow(ctx, room); err != nil {
		return err
	}
	for _, table := range projections.RoomTables() {
		columns, err := s.columns(ctx, table)
		if err != nil {
			return err
		}
		list := strings.Join(columns, ", ")
		if err := s.writer.exec(ctx, "DELETE FROM "+table+" WHERE room_id = ?", room); err != nil {
			return err
		}
		if err := s.writer.exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s%s WHERE room_id = ?", table, list, list, shadow, table), room); err != nil {
			return err
		}
	}
	if err := s.writer.exec(ctx, "DELETE FROM parked WHERE projection = ? AND stream = ?", projection, "room/"+room); err != nil {
		return err
	}
	return s.writer.exec(ctx, "UPDATE parked SET projection = ? WHERE projection = ?", projection, projection+projections.ShadowSuffix)
}

// swapRoomRow updates the row in place, as assets may refer to it. Where the room's stream gave none, the live row becomes a stub.
func (s *Store) swapRoomRow(ctx context.Context, room string) error {
	columns, err := s.columns(ctx, "rooms")
	if err != nil {
		return err
	}
	shadow := projections.ShadowPrefix
	if err := s.writer.exec(ctx, "INSERT INTO "+shadow+"rooms (id, name, is_public, created_at) VALUES (?, '', 0, NULL) ON CONFLICT (id) DO NOTHING", room); err != nil {
		return err
	}
	var sets []string
	for _, c := range columns {
		if c != "id" {
			sets = append(sets, c+" = excluded."+c)
		}
	}
	list := strings.Join(columns, ", ")
	return s.writer.exec(ctx, fmt.Sprintf("INSERT INTO rooms (%s) SELECT %s FROM %srooms WHERE id = ? ON CONFLICT (id) DO UPDATE SET %s",
		list, list, shadow, strings.Join(sets, ", ")), room)
}

// columns returns the names of a table's columns, in their order, as the writer sees them.
func (s *Store) columns(ctx context.Context, table string) ([]string, error) {
	rows, err := s.writer.conn.QueryContext(ctx, "SELECT name FROM pragma_table_info(?) ORDER BY cid", table)
	if err != nil {
		return nil, fmt.Errorf("sqlite: columns of %s: %w", table, err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("sqlite: columns of %s: %w", table, err)
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
