package sqlite

import (
	"context"
	"fmt"
	"time"
)

// Scrub writes the file anew and empties its log (WAL): what was deleted or overwritten before the call is in neither afterwards. Writers wait for as
// long as it takes, about a second for each 100 MiB; readers don't. Meanwhile it needs room for two more files of the size of this one, one of
// them in SQLite's directory for temporary files.
func (s *Store) Scrub(ctx context.Context) error {
	defer s.observe("scrub", time.Now())
	w := &s.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.connect(ctx); err != nil {
		return fmt.Errorf("sqlite: connect: %w", err)
	}
	w.forget()
	if _, err := w.conn.ExecContext(ctx, "VACUUM"); err != nil {
		return fmt.Errorf("sqlite: scrub: %w", err)
	}
	for {
		var busy, pages, moved int
		if err := w.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved); err != nil {
			return fmt.Errorf("sqlite: empty the WAL: %w", err)
		}
		if busy == 0 {
			return nil
		}
		select { // a reader holds on to what was; each is short
		case <-ctx.Done():
			return fmt.Errorf("sqlite: empty the WAL: %w", ctx.Err())
		case <-time.After(busyPause):
		}
	}
}
