package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/migrations"
	"github.com/infinite-kanvas/kanvas/projections"
)

func TestOpenMakesOneFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data of 100%?#x&y=1")
	s := open(t, dir)
	info, err := os.Stat(s.Path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != FileName && f.Name() != FileName+"-wal" && f.Name() != FileName+"-shm" {
			t.Errorf("file %s", f.Name())
		}
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "foreign_keys": "1", "synchronous": "1", "busy_timeout": "30000"} {
		var got string
		if err := s.writes.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, not %s: %v", pragma, got, want, err)
		}
	}
	if _, err := s.reads.Exec("DELETE FROM rooms"); err == nil {
		t.Error("a reader can write")
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestMigrations: each file is noted once, under its name, as wrangler does; several processes may open a new file at once.
func TestMigrations(t *testing.T) {
	all, err := migrations.All()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			s, err := Open(context.Background(), Options{Dir: dir})
			if err != nil {
				return err
			}
			return s.Close()
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	rows, err := s.reads.Query("SELECT id, name FROM d1_migrations ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var id int
		var name string
		if err := rows.Scan(&id, &name); err != nil || id != n+1 || n >= len(all) || name != all[n].Name {
			t.Fatalf("row %d: %d %s %v", n, id, name, err)
		}
	}
	if n != len(all) || n < 5 {
		t.Errorf("%d migrations noted, there are %d", n, len(all))
	}
	if _, err := s.writes.Exec("INSERT INTO d1_migrations (name) VALUES ('9999_from_the_future.sql')"); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), Options{Dir: dir}); err == nil {
		t.Error("opened a file of a newer version")
		_ = s.Close()
	} else if !strings.Contains(err.Error(), "newer version") {
		t.Errorf("a file of a newer version: %v", err)
	}
}

// TestGuideColumns: the guide's tables begin with the guide's columns, in its order; what is added comes after.
func TestGuideColumns(t *testing.T) {
	s := open(t, t.TempDir())
	for table, want := range map[string][]string{
		"users":             {"id", "email", "name", "avatar_url", "created_at"},
		"rooms":             {"id", "name", "description", "is_public", "owner_id", "created_at"},
		"room_participants": {"room_id", "user_id", "joined_at"},
		"canvas_states":     {"id", "room_id", "user_id", "canvas_data", "created_at", "updated_at"},
		"assets":            {"id", "user_id", "room_id", "r2_key", "content_type", "size_bytes", "created_at"},
	} {
		tx, err := s.reads.Begin()
		if err != nil {
			t.Fatal(err)
		}
		got, err := columnsOf(t.Context(), tx, table)
		if err != nil || len(got) <= len(want) || !reflect.DeepEqual(got[:len(want)], want) {
			t.Errorf("%s: %v %v", table, got, err)
		}
		_ = tx.Rollback()
	}
}

// TestFailureRollsBack: whichever statement fails, nothing of its transaction stays, and the next one works.
func TestFailureRollsBack(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	failure := errors.New("injected")
	move := []projections.Move{{Partition: 0, To: projections.Checkpoint{Seq: 1, Sum: "a"}}}
	statements := []projections.Statement{
		{SQL: "INSERT INTO users (id, email) VALUES (?, '')", Args: []any{"a"}},
		{SQL: "INSERT INTO users (id, email) VALUES (?, '')", Args: []any{"b"}},
	}
	for at := 1; at <= 4; at++ { // the checkpoint, two statements, COMMIT
		s.beforeExec = func(n int) error {
			if n == at {
				return failure
			}
			return nil
		}
		if err := s.Apply(ctx, "x", move, statements); !errors.Is(err, failure) {
			t.Errorf("failing at %d: %v", at, err)
		}
	}
	s.beforeExec = nil
	if err := s.Apply(ctx, "x", move, statements); err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Apply(ended, "x", nil, statements); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context ended: %v", err)
	}
	if err := s.Apply(ctx, "y", move, nil); err != nil {
		t.Errorf("after a context ended: %v", err)
	}
}
