// Package migrations holds the schema of the projection tables as numbered SQL files: plain SQLite that Cloudflare D1 takes too.
// `kanvas serve` runs them on its own SQLite file, `wrangler d1 migrations apply` on D1; both note what ran in the table d1_migrations,
// by file name. A file that was released is never edited: changes are new files.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"sort"
	"strings"
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

// Statements cuts the file for D1, which takes one statement an entry. Texts and comments may hold semicolons; there are no triggers.
func (m Migration) Statements() []string {
	var out []string
	sql, from, bare := m.SQL, 0, true // bare: only comments and space since from
	end := func(to int) {
		if !bare {
			out = append(out, strings.TrimSpace(sql[from:to]))
		}
		from, bare = to+1, true
	}
	for i := 0; i < len(sql); i++ {
		switch c := sql[i]; {
		case strings.HasPrefix(sql[i:], "--"):
			i += until(sql[i:], "\n")
		case strings.HasPrefix(sql[i:], "/*"):
			i += until(sql[i:], "*/") + 1
		case c == '\'' || c == '"':
			i += 1 + until(sql[i+1:], string(c))
			bare = false
		case c == ';':
			end(i)
		case c > ' ':
			bare = false
		}
	}
	if from < len(sql) {
		end(len(sql))
	}
	return out
}

// until is how far it is to what ends a comment or a text, or to the end.
func until(s, mark string) int {
	if i := strings.Index(s, mark); i >= 0 {
		return i
	}
	return len(s)
}
