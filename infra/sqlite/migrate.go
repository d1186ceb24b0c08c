package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/infinite-kanvas/kanvas/migrations"
)

// migrate runs the migrations that the file has not seen, all in one transaction with their notes in wrangler's table, so that wrangler and
// this program agree about what ran, and of two processes that open a new file one waits for the other. A file that has seen migrations
// unknown here was made by a newer program and is refused.
func migrate(ctx context.Context, db *sql.DB) (err error) {
	all, err := migrations.All()
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin migrations: %w", err)
	}
	if err = migrateIn(ctx, conn, all); err == nil {
		_, err = conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // the error at hand says more; the caller closes the file
	}
	return err
}

func migrateIn(ctx context.Context, conn *sql.Conn, all []migrations.Migration) error {
	if _, err := conn.ExecContext(ctx, migrations.CreateTable); err != nil {
		return fmt.Errorf("make table %s: %w", migrations.Table, err)
	}
	done, err := applied(ctx, conn)
	if err != nil {
		return err
	}
	for _, m := range all {
		if done[m.Name] {
			delete(done, m.Name)
			continue
		}
		if _, err := conn.ExecContext(ctx, m.SQL); err != nil {
			return fmt.Errorf("migration %s: %w", m.Name, err)
		}
		// applied_at is a note for people, and no part of any digest.
		if _, err := conn.ExecContext(ctx, "INSERT INTO "+migrations.Table+" (name) VALUES (?)", m.Name); err != nil {
			return fmt.Errorf("note migration %s: %w", m.Name, err)
		}
	}
	for name := range done {
		return fmt.Errorf("migration %s is unknown: the file was made by a newer version of this program", name)
	}
	return nil
}

func applied(ctx context.Context, conn *sql.Conn) (map[string]bool, error) {
	rows, err := conn.QueryContext(ctx, "SELECT name FROM "+migrations.Table)
	if err != nil {
		return nil, fmt.Errorf("read table %s: %w", migrations.Table, err)
	}
	defer rows.Close()
	done := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("read table %s: %w", migrations.Table, err)
		}
		done[name] = true
	}
	return done, rows.Err()
}
