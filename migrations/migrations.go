// Package migrations holds the schema of the projection tables as numbered SQL files: plain SQLite that Cloudflare D1 takes too.
// `kanvas serve` runs them on its own SQLite file, `wrangler d1 migrations apply` on D1; both note what ran in the table d1_migrations,
// by file name. A file that was released is never edited: changes are new files.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"sort"
)

//go:embed *.sql
var files embed.FS

// Table is the name of wrangler's table of migrations.
const Table = "d1_migrations"

// CreateTable makes it where it is missing, as wrangler does.
const CreateTable = `CREATE TABLE IF NOT EXISTS d1_migrations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)`

// Migration is one file.
type Migration struct {
	Name string // of the file, such as 0001_guide_tables.sql; sorts in the order to run
	SQL  string // statements, each ended by a semicolon
}

// All returns the migrations in the order to run.
func All() ([]Migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("migrations: list: %w", err)
	}
	sort.Strings(names)
	all := make([]Migration, len(names))
	for i, name := range names {
		sql, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("migrations: read %s: %w", name, err)
		}
		all[i] = Migration{Name: name, SQL: string(sql)}
	}
	return all, nil
}
