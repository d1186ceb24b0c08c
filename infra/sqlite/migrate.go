package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/infinite-kanvas/kanvas/migrations"
)

// migrate runs the migrations that the file has not seen, each in a transaction with its note in wrangler's table, so that wrangler and
// this program agree about what ran. A file that has seen migrations unknown here was made by a newer program and is refused.
func migrate(ctx context.Context, db *sql.DB) error {
	all, err := migrations.All()
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, migrations.CreateTable); err != nil {
		return fmt.Errorf("make table %s: %w", migrations.Table, err)
	}
	done, err := applied(ctx, db)
	if err != nil {
		return err
	}
	for _, m := range all {
		if done[m.Name] {
			delete(done, m.Name)
			continue
		}
		if err := run(ctx, db, m); err != nil {
			return fmt.Errorf("migration %s: %w", m.Name, err)
		}
	}
	for name := range done {
		return fmt.Errorf("migration %s is unknown: the file was made by a newer version of this program", name)
	}
	return nil
}

func applied(ctx context.Context, db *sql.DB) (map[string]bool, error) {
	rows, err := db.QueryContext(ctx, "SELECT name FROM "+migrations.Table)
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

func run(ctx context.Context, db *sql.DB, m migrations.Migration) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing, before it the error at hand says more
	if _, err := tx.ExecContext(ctx, m.SQL); err != nil {
		return err
	}
	// applied_at is a note for people; it is no part of any digest. A second process that ran it meanwhile fails here, or at the SQL.
	if _, err := tx.ExecContext(ctx, "INSERT INTO "+migrations.Table+" (name) VALUES (?)", m.Name); err != nil {
		return err
	}
	return tx.Commit()
}
