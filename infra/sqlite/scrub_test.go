package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/projections"
)

// TestScrub: what was overwritten, deleted or dropped is in none of the files afterwards, whatever readers do meanwhile; what is left is as it was.
func TestScrub(t *testing.T) {
	ctx := t.Context()
	s, err := Open(ctx, Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run := func(text string, args ...any) {
		t.Helper()
		if err := s.writer.tx(ctx, func() error { return s.writer.exec(ctx, text, args...) }); err != nil {
			t.Fatal(err)
		}
	}
	name := func(i int) string { return fmt.Sprintf("secret-%d-%s", i, strings.Repeat("n", i%200)) }
	for i := range 3000 {
		run("INSERT INTO users (id, email, name, created_at) VALUES (?, ?, ?, NULL)", fmt.Sprint("u", i), "secret@example.com", name(i))
	}
	run("CREATE TABLE shadow_users AS SELECT * FROM users")
	run("DROP TABLE shadow_users")
	for i := range 3000 {
		if i%2 == 0 {
			run("UPDATE users SET email = '', name = NULL WHERE id = ?", fmt.Sprint("u", i))
		} else if i%3 == 0 {
			run("DELETE FROM users WHERE id = ?", fmt.Sprint("u", i))
		} else {
			run("UPDATE users SET email = '', name = 'kept' WHERE id = ?", fmt.Sprint("u", i))
		}
	}
	before, err := s.Digest(ctx, false, "")
	if err != nil {
		t.Fatal(err)
	}
	if n := traces(t, s); n == 0 {
		t.Fatal("nothing is left to scrub: the test shows nothing")
	}
	reading, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		for reading.Err() == nil {
			if _, err := s.Checkpoints(ctx, projections.Tables); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	err = s.Scrub(ctx)
	stop()
	if err != nil || <-done != nil {
		t.Fatal(err)
	}
	if n := traces(t, s); n > 0 {
		t.Errorf("%d traces are left", n)
	}
	if after, err := s.Digest(ctx, false, ""); err != nil || after != before {
		t.Errorf("the rows changed: %v", err)
	}
}

// traces counts what the files still hold.
func traces(t *testing.T, s *Store) (n int) {
	t.Helper()
	for _, end := range []string{"", "-wal", "-journal"} {
		text, err := os.ReadFile(s.path + end)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		n += bytes.Count(text, []byte("secret"))
	}
	return n
}
