package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/infinite-kanvas/kanvas/projections"
)

// Spending implements projections.Queries.
func (s *Store) Spending(ctx context.Context, f projections.SpendingFilter) ([]projections.SpendingRow, error) {
	defer s.observe("spending", time.Now())
	where, args := "created_at >= ? AND created_at < ?", []any{projections.FormatTime(f.From), projections.FormatTime(f.To)}
	if f.User != "" {
		where, args = where+" AND user_id = ?", append(args, f.User)
	}
	var all []projections.SpendingRow
	if f.Room != "" { // calls are made in no room
		return all, nil
	}
	rows, err := s.reads.QueryContext(ctx, `SELECT substr(created_at, 1, 7) AS month, user_id, model, 'call', count(*), 0, sum(cost) FROM spending WHERE `+where+`
 GROUP BY month, user_id, model ORDER BY month, user_id, model`, args...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: spending: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r projections.SpendingRow
		if err := rows.Scan(&r.Month, (*textColumn)(&r.UserID), &r.Model, &r.Source, &r.Count, &r.Kept, &r.Cost); err != nil {
			return nil, fmt.Errorf("sqlite: spending: %w", err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}
