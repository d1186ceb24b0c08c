package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/infinite-kanvas/kanvas/projections"
)

// assetColumns are those that scanAsset takes.
const assetColumns = `a.id, a.user_id, a.room_id, a.r2_key, a.content_type, a.size_bytes, a.sha256, a.status, a.width, a.height, +a.created_at,
 a.variants, a.placeholder, a.reason, +a.delete_after`

func scanAsset(row interface{ Scan(...any) error }) (a projections.AssetRow, err error) {
	var width, height, size sql.NullInt64
	err = row.Scan(&a.ID, (*textColumn)(&a.UserID), (*textColumn)(&a.RoomID), &a.Key, (*textColumn)(&a.ContentType), &size,
		(*textColumn)(&a.SHA256), &a.Status, &width, &height, (*timeColumn)(&a.CreatedAt),
		(*textColumn)(&a.Variants), (*textColumn)(&a.Placeholder), (*textColumn)(&a.Reason), (*timeColumn)(&a.DeleteAfter))
	a.Size, a.Width, a.Height = size.Int64, int(width.Int64), int(height.Int64)
	return a, err
}

// AssetByID implements projections.Queries.
func (s *Store) AssetByID(ctx context.Context, asset string) (projections.AssetRow, error) {
	defer s.observe("asset", time.Now())
	a, err := scanAsset(s.reads.QueryRowContext(ctx, `SELECT `+assetColumns+` FROM assets a WHERE a.id = ?`, asset))
	if isNoRows(err) {
		return a, fmt.Errorf("%w: asset %s", projections.ErrNotFound, asset)
	}
	if err != nil {
		return a, fmt.Errorf("sqlite: asset: %w", err)
	}
	return a, nil
}

// AssetBytes implements projections.Queries.
func (s *Store) AssetBytes(ctx context.Context, user string) (n int64, err error) {
	defer s.observe("asset_bytes", time.Now())
	err = s.reads.QueryRowContext(ctx, `SELECT coalesce(sum(size_bytes), 0) FROM assets WHERE user_id = ? AND status IN ('ready', 'unused')`, user).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("sqlite: bytes of assets: %w", err)
	}
	return n, nil
}

// RoomAssets implements projections.Queries.
func (s *Store) RoomAssets(ctx context.Context, room, after string, limit int) ([]projections.AssetRow, error) {
	defer s.observe("room_assets", time.Now())
	return s.assets(ctx, `SELECT `+assetColumns+` FROM asset_rooms r JOIN assets a ON a.id = r.asset_id
 WHERE r.room_id = ? AND r.asset_id > ? AND a.status IN ('ready', 'unused') ORDER BY r.asset_id LIMIT ?`, room, after, limit)
}

// AssetsByID implements projections.Queries.
func (s *Store) AssetsByID(ctx context.Context, ids []string) ([]projections.AssetRow, error) {
	defer s.observe("assets_by_id", time.Now())
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, fmt.Errorf("sqlite: assets by id: %w", err)
	}
	return s.assets(ctx, `SELECT `+assetColumns+` FROM json_each(?) j JOIN assets a ON a.id = j.value`, string(list))
}

// StoredAssets implements projections.Queries.
func (s *Store) StoredAssets(ctx context.Context, after string, limit int) ([]projections.AssetRow, error) {
	defer s.observe("stored_assets", time.Now())
	return s.assets(ctx, `SELECT `+assetColumns+` FROM assets a WHERE a.id > ? AND a.status IN ('ready', 'unused') ORDER BY a.id LIMIT ?`, after, limit)
}

func (s *Store) assets(ctx context.Context, query string, args ...any) ([]projections.AssetRow, error) {
	rows, err := s.reads.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: assets: %w", err)
	}
	defer rows.Close()
	var all []projections.AssetRow
	for rows.Next() {
		a, err := scanAsset(rows)
		if err != nil {
			return nil, fmt.Errorf("sqlite: assets: %w", err)
		}
		all = append(all, a)
	}
	return all, rows.Err()
}
