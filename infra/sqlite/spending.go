package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

// Spending implements projections.Queries. Calls are made in no room.
func (s *Store) Spending(ctx context.Context, f projections.SpendingFilter) ([]projections.SpendingRow, error) {
	defer s.observe("spending", time.Now())
	where, args := spendingWhere(f, "requested_at")
	text := `SELECT substr(requested_at, 1, 7) AS month, user_id, model, 'generation' AS source, count(*), coalesce(sum(kept), 0), coalesce(sum(cost), 0)
 FROM generations WHERE ` + where + ` GROUP BY month, user_id, model`
	if f.Room == "" {
		calls, more := spendingWhere(f, "created_at")
		text += ` UNION ALL SELECT substr(created_at, 1, 7) AS month, user_id, model, 'call' AS source, count(*), 0, sum(cost)
 FROM spending WHERE ` + calls + ` GROUP BY month, user_id, model`
		args = append(args, more...)
	}
	rows, err := s.reads.QueryContext(ctx, text+` ORDER BY month, user_id, model, source`, args...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: spending: %w", err)
	}
	defer rows.Close()
	var all []projections.SpendingRow
	for rows.Next() {
		var r projections.SpendingRow
		if err := rows.Scan(&r.Month, (*textColumn)(&r.UserID), &r.Model, &r.Source, &r.Count, &r.Kept, &r.Cost); err != nil {
			return nil, fmt.Errorf("sqlite: spending: %w", err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func spendingWhere(f projections.SpendingFilter, at string) (where string, args []any) {
	where, args = at+" >= ? AND "+at+" < ?", []any{projections.FormatTime(f.From), projections.FormatTime(f.To)}
	if f.User != "" {
		where, args = where+" AND user_id = ?", append(args, f.User)
	}
	if f.Room != "" {
		where, args = where+" AND room_id = ?", append(args, f.Room)
	}
	return where, args
}

// CallOfJob implements projections.Queries.
func (s *Store) CallOfJob(ctx context.Context, job string) (d events.SpendingRecordedData, err error) {
	defer s.observe("call_of_job", time.Now())
	var took sql.NullInt64
	err = s.reads.QueryRowContext(ctx, `SELECT id, user_id, model, estimate, cost, outcome, duration_ms, +created_at, job FROM spending WHERE job = ?`, job).
		Scan(&d.ID, (*textColumn)(&d.User), &d.Model, &d.Estimate, &d.Cost, &d.Outcome, &took, (*timeColumn)(&d.At), &d.Job)
	d.DurationMS = took.Int64
	if isNoRows(err) {
		return d, fmt.Errorf("%w: job %s", projections.ErrNotFound, job)
	}
	if err != nil {
		return d, fmt.Errorf("sqlite: call of a job: %w", err)
	}
	return d, nil
}

// OpenSpending implements projections.Queries.
func (s *Store) OpenSpending(ctx context.Context, f projections.SpendingFilter) ([]projections.OpenGeneration, error) {
	defer s.observe("open_spending", time.Now())
	where, args := spendingWhere(f, "requested_at")
	rows, err := s.reads.QueryContext(ctx, `SELECT id, user_id, room_id, model, estimate, +requested_at FROM generations WHERE cost IS NULL AND `+where+` ORDER BY room_id, id`, args...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open spending: %w", err)
	}
	defer rows.Close()
	var all []projections.OpenGeneration
	for rows.Next() {
		var g projections.OpenGeneration
		if err := rows.Scan(&g.ID, (*textColumn)(&g.UserID), &g.RoomID, &g.Model, &g.Estimate, (*timeColumn)(&g.RequestedAt)); err != nil {
			return nil, fmt.Errorf("sqlite: open spending: %w", err)
		}
		all = append(all, g)
	}
	return all, rows.Err()
}
