package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"encoding/base64"

	"github.com/infinite-kanvas/kanvas/projections"
)

// generationColumns are those that scanGeneration takes.
const generationColumns = `g.room_id, g.id, g.user_id, g.revision, g.model, g.result, g.request, g.element_id, g.retry_of, g.status, g.open, g.inputs, g.assets, g.seed,
 g.estimate, g.cost, g.kept, g.reason, g.detail, g.said, g.retryable, +g.requested_at, +g.submitted_at, +g.started_at, +g.finished_at, g.duration_ms`

func scanGeneration(row scanner) (g projections.GenerationRow, err error) {
	var cost, kept, retryable, took sql.NullInt64
	err = row.Scan(&g.RoomID, &g.ID, (*textColumn)(&g.UserID), &g.Revision, &g.Model, &g.Result, &g.Request, &g.ElementID, (*textColumn)(&g.RetryOf), &g.Status, &g.Open,
		(*textColumn)(&g.Inputs), (*textColumn)(&g.Assets), (*textColumn)(&g.Seed), &g.Estimate, &cost, &kept, (*textColumn)(&g.Reason), (*textColumn)(&g.Detail),
		(*textColumn)(&g.Said), &retryable, (*timeColumn)(&g.RequestedAt), (*timeColumn)(&g.SubmittedAt), (*timeColumn)(&g.StartedAt), (*timeColumn)(&g.FinishedAt), &took)
	if cost.Valid {
		g.Cost = &cost.Int64
	}
	if kept.Valid {
		is := kept.Int64 != 0
		g.Kept = &is
	}
	g.Retryable, g.DurationMS = retryable.Int64 != 0, took.Int64
	return g, err
}

// Generations implements projections.Queries. The cursor is the revision of the last row before: rows never move in that order.
func (s *Store) Generations(ctx context.Context, room, cursor string, limit int) ([]projections.GenerationRow, string, error) {
	defer s.observe("generations", time.Now())
	before := int64(1) << 60
	if cursor != "" {
		b, err := base64.RawURLEncoding.DecodeString(cursor)
		text, ok := strings.CutPrefix(string(b), generationCursor)
		n, perr := strconv.ParseInt(text, 10, 64)
		if err != nil || !ok || perr != nil || n < 1 {
			return nil, "", projections.ErrCursor
		}
		before = n
	}
	limit = max(limit, 1)
	page, err := s.generations(ctx, `SELECT `+generationColumns+` FROM generations g WHERE g.room_id = ? AND g.revision < ? ORDER BY g.revision DESC LIMIT ?`, room, before, limit+1)
	if err != nil || len(page) <= limit {
		return page, "", err
	}
	last := strconv.FormatUint(page[limit-1].Revision, 10)
	return page[:limit], base64.RawURLEncoding.EncodeToString([]byte(generationCursor + last)), nil
}

const generationCursor = "g"

// GenerationByID implements projections.Queries.
func (s *Store) GenerationByID(ctx context.Context, room, id string) (projections.GenerationRow, error) {
	defer s.observe("generation", time.Now())
	g, err := scanGeneration(s.reads.QueryRowContext(ctx, `SELECT `+generationColumns+` FROM generations g WHERE g.room_id = ? AND g.id = ?`, room, id))
	if isNoRows(err) {
		return g, fmt.Errorf("%w: generation %s", projections.ErrNotFound, id)
	}
	if err != nil {
		return g, fmt.Errorf("sqlite: generation: %w", err)
	}
	return g, nil
}

// UnfinishedGenerations implements projections.Queries.
func (s *Store) UnfinishedGenerations(ctx context.Context, room, id string, limit int) ([]projections.GenerationRow, error) {
	defer s.observe("unfinished_generations", time.Now())
	return s.generations(ctx, `SELECT `+generationColumns+` FROM generations g JOIN rooms r ON r.id = g.room_id
 WHERE (g.status IN ('queued', 'submitting', 'submitted', 'running') OR g.status = 'canceled' AND g.open = 1) AND r.deleted_at IS NULL AND (g.room_id, g.id) > (?, ?)
 ORDER BY g.room_id, g.id LIMIT ?`, room, id, limit)
}

func (s *Store) generations(ctx context.Context, query string, args ...any) ([]projections.GenerationRow, error) {
	rows, err := s.reads.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: generations: %w", err)
	}
	defer rows.Close()
	all := []projections.GenerationRow{}
	for rows.Next() {
		g, err := scanGeneration(rows)
		if err != nil {
			return nil, fmt.Errorf("sqlite: generations: %w", err)
		}
		all = append(all, g)
	}
	return all, rows.Err()
}
