package sqlite

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/infinite-kanvas/kanvas/projections"
)

const roomColumns = `r.id, r.name, r.description, r.visibility, r.default_role, r.owner_id, +r.created_at, +r.updated_at, +r.deleted_at, r.revision`

// ListRooms implements projections.Queries. Rows that only stand for a reference (revision 0) are no rooms yet.
func (s *Store) ListRooms(ctx context.Context, visibility, cursor string, limit int) ([]projections.RoomRow, string, error) {
	defer s.observe("list_rooms", time.Now())
	return s.roomPage(ctx, `SELECT `+roomColumns+` FROM rooms r WHERE r.visibility = ? AND r.deleted_at IS NULL AND r.revision > 0`, visibility, cursor, limit)
}

// RoomsOf implements projections.Queries.
func (s *Store) RoomsOf(ctx context.Context, user, cursor string, limit int) ([]projections.RoomRow, string, error) {
	defer s.observe("rooms_of", time.Now())
	return s.roomPage(ctx, `SELECT `+roomColumns+` FROM room_participants p JOIN rooms r ON r.id = p.room_id
 WHERE p.user_id = ? AND p.removed_at IS NULL AND r.deleted_at IS NULL AND r.revision > 0`, user, cursor, limit)
}

// roomPage reads one page, newest first, ties by id. The cursor is (created_at, id) of the last row before: rows never move in that order.
func (s *Store) roomPage(ctx context.Context, text, arg, cursor string, limit int) ([]projections.RoomRow, string, error) {
	args := []any{arg}
	if cursor != "" {
		at, id, err := parseCursor(cursor)
		if err != nil {
			return nil, "", err
		}
		text += " AND (r.created_at, r.id) < (?, ?)"
		args = append(args, at, id)
	}
	limit = max(limit, 1)
	rows, err := s.reads.QueryContext(ctx, text+" ORDER BY r.created_at DESC, r.id DESC LIMIT ?", append(args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("sqlite: list rooms: %w", err)
	}
	defer rows.Close()
	page := make([]projections.RoomRow, 0, min(limit, 64))
	for rows.Next() {
		row, err := scanRoom(rows)
		if err != nil {
			return nil, "", fmt.Errorf("sqlite: list rooms: %w", err)
		}
		if len(page) == limit { // one more than asked for: there is a next page
			last := page[limit-1]
			return page, formatCursor(last.CreatedAt, last.ID), nil
		}
		page = append(page, row)
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("sqlite: list rooms: %w", err)
	}
	return page, "", nil
}

func formatCursor(createdAt int64, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(projections.FormatTime(createdAt) + id))
}

func parseCursor(cursor string) (at, id string, err error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) <= len(projections.SQLTime) {
		return "", "", projections.ErrCursor
	}
	at, id = string(b[:len(projections.SQLTime)]), string(b[len(projections.SQLTime):])
	if _, ok := projections.ParseTime(at); !ok {
		return "", "", projections.ErrCursor
	}
	return at, id, nil
}

type scanner interface{ Scan(...any) error }

func scanRoom(row scanner) (projections.RoomRow, error) {
	var r projections.RoomRow
	err := row.Scan(&r.ID, &r.Name, (*textColumn)(&r.Description), &r.Visibility, (*textColumn)(&r.DefaultRole), (*textColumn)(&r.OwnerID),
		(*timeColumn)(&r.CreatedAt), (*timeColumn)(&r.UpdatedAt), (*timeColumn)(&r.DeletedAt), &r.Revision)
	return r, err
}

// RoomByID implements projections.Queries.
func (s *Store) RoomByID(ctx context.Context, room string) (projections.RoomRow, error) {
	defer s.observe("room", time.Now())
	r, err := scanRoom(s.queryRow(ctx, "SELECT "+roomColumns+" FROM rooms r WHERE r.id = ? AND r.revision > 0", room))
	if isNoRows(err) {
		return r, fmt.Errorf("%w: room %s", projections.ErrNotFound, room)
	}
	if err != nil {
		return r, fmt.Errorf("sqlite: room: %w", err)
	}
	return r, nil
}

// Participants implements projections.Queries.
func (s *Store) Participants(ctx context.Context, room string) ([]projections.ParticipantRow, error) {
	defer s.observe("participants", time.Now())
	rows, err := s.query(ctx, `SELECT p.user_id, p.role, +p.joined_at, u.name, u.color FROM room_participants p
 JOIN users u ON u.id = p.user_id WHERE p.room_id = ? AND p.removed_at IS NULL ORDER BY p.joined_at, p.user_id`, room)
	if err != nil {
		return nil, fmt.Errorf("sqlite: participants: %w", err)
	}
	defer rows.Close()
	all := []projections.ParticipantRow{}
	for rows.Next() {
		var p projections.ParticipantRow
		if err := rows.Scan(&p.UserID, &p.Role, (*timeColumn)(&p.JoinedAt), (*textColumn)(&p.Name), (*textColumn)(&p.Color)); err != nil {
			return nil, fmt.Errorf("sqlite: participants: %w", err)
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// RolesOf implements projections.Queries.
func (s *Store) RolesOf(ctx context.Context, user string, rooms []string) (map[string]string, error) {
	defer s.observe("roles_of", time.Now())
	ids, err := json.Marshal(rooms)
	if err != nil {
		return nil, fmt.Errorf("sqlite: roles: %w", err)
	}
	rows, err := s.reads.QueryContext(ctx, `SELECT room_id, iif(removed_at IS NULL, role, '') FROM room_participants
 WHERE user_id = ? AND room_id IN (SELECT value FROM json_each(?))`, user, string(ids))
	if err != nil {
		return nil, fmt.Errorf("sqlite: roles: %w", err)
	}
	defer rows.Close()
	roles := map[string]string{}
	for rows.Next() {
		var room, role string
		if err := rows.Scan(&room, &role); err != nil {
			return nil, fmt.Errorf("sqlite: roles: %w", err)
		}
		roles[room] = role
	}
	return roles, rows.Err()
}

// CountParticipants implements projections.Queries.
func (s *Store) CountParticipants(ctx context.Context, room string) (int, error) {
	defer s.observe("count_participants", time.Now())
	var n int
	if err := s.queryRow(ctx, "SELECT count(*) FROM room_participants WHERE room_id = ? AND removed_at IS NULL", room).Scan(&n); err != nil {
		return 0, fmt.Errorf("sqlite: count participants: %w", err)
	}
	return n, nil
}

// AssetRooms implements projections.Queries.
func (s *Store) AssetRooms(ctx context.Context, asset string) ([]string, error) {
	defer s.observe("asset_rooms", time.Now())
	rows, err := s.reads.QueryContext(ctx, `SELECT room_id FROM asset_rooms WHERE asset_id = ?1
 UNION SELECT room_id FROM assets WHERE id = ?1 AND room_id IS NOT NULL ORDER BY 1`, asset)
	if err != nil {
		return nil, fmt.Errorf("sqlite: asset rooms: %w", err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("sqlite: asset rooms: %w", err)
		}
		all = append(all, id)
	}
	return all, rows.Err()
}

// NewestSnapshot implements projections.Queries. While a rebuild is under way the shadow's rows count too: they name the same objects, and
// where the live tables were lost, each canvas would be folded from the start of its room otherwise.
func (s *Store) NewestSnapshot(ctx context.Context, room string, revision uint64) (row projections.SnapshotRow, ok bool, err error) {
	defer s.observe("snapshot", time.Now())
	row, ok, err = s.newestSnapshot(ctx, "", room, revision)
	if err == nil && s.shadow.Load() {
		// An error means that the rebuild has just ended.
		if r, found, serr := s.newestSnapshot(ctx, projections.ShadowPrefix, room, revision); serr == nil && found && r.Revision > row.Revision {
			return r, true, nil
		}
	}
	return row, ok, err
}

func (s *Store) newestSnapshot(ctx context.Context, prefix, room string, revision uint64) (row projections.SnapshotRow, ok bool, err error) {
	text, args := "SELECT revision, seq, sum, object_key FROM "+prefix+"room_snapshots WHERE room_id = ?", []any{room}
	if revision > 0 {
		text += " AND revision <= ?"
		args = append(args, int64(min(revision, 1<<53)))
	}
	err = s.queryRow(ctx, text+" ORDER BY revision DESC LIMIT 1", args...).Scan(&row.Revision, &row.Seq, &row.Sum, &row.Key)
	if isNoRows(err) {
		return row, false, nil
	}
	if err != nil {
		return row, false, fmt.Errorf("sqlite: snapshot: %w", err)
	}
	return row, true, nil
}

// RoomsNeedingCheckpoint implements projections.Queries.
func (s *Store) RoomsNeedingCheckpoint(ctx context.Context, after string, limit int) ([]projections.UncheckedRoom, error) {
	defer s.observe("rooms_needing_checkpoint", time.Now())
	rows, err := s.reads.QueryContext(ctx, `SELECT id, revision, checkpoint, +updated_at FROM rooms
 WHERE id > ? AND revision > checkpoint AND deleted_at IS NULL ORDER BY id LIMIT ?`, after, max(limit, 1))
	if err != nil {
		return nil, fmt.Errorf("sqlite: rooms needing a checkpoint: %w", err)
	}
	defer rows.Close()
	var all []projections.UncheckedRoom
	for rows.Next() {
		var r projections.UncheckedRoom
		if err := rows.Scan(&r.ID, &r.Revision, &r.Checkpoint, (*timeColumn)(&r.UpdatedAt)); err != nil {
			return nil, fmt.Errorf("sqlite: rooms needing a checkpoint: %w", err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

var (
	_ projections.Shadows = (*Store)(nil)
	_ projections.Queries = (*Store)(nil)
)
