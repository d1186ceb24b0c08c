package d1

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/sqlite"
	"github.com/infinite-kanvas/kanvas/projections"
	"github.com/infinite-kanvas/kanvas/projections/projectionstest"
)

func local(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func sum(t *testing.T, s projections.Shadows, room string) string {
	t.Helper()
	d, err := s.Digest(t.Context(), false, room)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// odd are values that something between here and D1's file may change.
func odd() []projections.Statement {
	st := func(sql string, args ...any) projections.Statement {
		return projections.Statement{SQL: sql, Args: args}
	}
	list := []projections.Statement{
		st("INSERT INTO users (id, email, created_at) VALUES ('u', '', NULL)"),
		st("INSERT INTO rooms (id, name, is_public, created_at, revision, seq) VALUES ('r', '', 0, '2026-01-01 00:00:00.000', ?, ?)", int64(1<<53), int64(1<<53-1)),
	}
	for i, text := range []string{"", " ", "nul \x00 inside", "\u2028\u2029", "🖼️ é e\u0301 \U0010FFFF", `"quoted" \ and 'this'`, "<b>&amp;</b>", "line\r\nbreak\t\x7f", strings.Repeat("long ", 3000), "1.0", "0x10", "null", "\ufeff"} {
		list = append(list, st("INSERT INTO chat_messages (room_id, revision, id, actor, text, created_at) VALUES ('r', ?, ?, 'u', ?, NULL)", int64(i+1), fmt.Sprint("id", i), text))
	}
	for i, x := range []float64{0, 3, -3, 0.1, 1.0 / 3, 1e21, 1e300, 5e-324, -123456789.123, 9007199254740993} {
		list = append(list, st("INSERT INTO comments (room_id, id, revision, x, y, actor, text) VALUES ('r', ?, 1, ?, ?, 'u', '')", fmt.Sprint("c", i), x, -x))
	}
	return list
}

// TestDigestIsThatOfSQLite: the same rows give the same digest in both stores, room by room and for all.
func TestDigestIsThatOfSQLite(t *testing.T) {
	remote, here := open(t), local(t)
	h := projectionstest.NewHistory(projectionstest.NewLog(5), 77)
	for range 800 {
		h.Step()
	}
	for _, s := range []projections.Store{remote, here} {
		projectionstest.CatchUp(t, projectionstest.Runner(h.Log, h.Log, s, &projectionstest.Names{}))
		if err := s.Apply(t.Context(), projections.Tables, nil, odd()); err != nil {
			t.Fatal(err)
		}
	}
	for _, room := range []string{"", "r", h.Rooms[0].ID(), h.Rooms[1].ID()} {
		if a, b := sum(t, remote, room), sum(t, here, room); a != b {
			t.Errorf("room %q: digest %s in D1, %s in SQLite", room, a, b)
		}
	}
	before := sum(t, remote, "")
	for _, change := range []string{"UPDATE comments SET x = x + 1e-9 WHERE id = 'c3'", "UPDATE users SET name = NULL WHERE name IS NOT NULL", "DELETE FROM asset_rooms"} {
		if err := remote.Apply(t.Context(), projections.Tables, nil, []projections.Statement{{SQL: change}}); err != nil {
			t.Fatal(err)
		}
		after := sum(t, remote, "")
		if after == before {
			t.Errorf("%s: not seen", change)
		}
		before = after
	}
}

// TestDigestOfManyPages: tables larger than a page, by rows and by size, with rows larger than a page.
func TestDigestOfManyPages(t *testing.T) {
	remote, here := open(t), local(t)
	list := []projections.Statement{{SQL: "INSERT INTO rooms (id, name, created_at) VALUES ('r', '', NULL)"}}
	values := strings.TrimSuffix(strings.Repeat("(?, '', NULL), ", 90), ", ")
	for i := range 2*pageRows/90 + 3 {
		args := make([]any, 90)
		for j := range args {
			args[j] = fmt.Sprintf("user-%d", (i*90+j)*7919%100_003)
		}
		list = append(list, projections.Statement{SQL: "INSERT INTO users (id, email, created_at) VALUES " + values, Args: args})
	}
	for i, size := range []int{700_000, 10, 900_000, 600_000, 1_048_576, 1_048_576, 1, 1_000_000} {
		list = append(list, projections.Statement{SQL: "INSERT INTO canvas_states (id, room_id, canvas_data, created_at, updated_at) VALUES (?, 'r', ?, NULL, NULL)",
			Args: []any{fmt.Sprint("canvas", i), strings.Repeat("x", size)}})
	}
	for _, s := range []projections.Store{remote, here} {
		if err := s.Apply(t.Context(), projections.Tables, nil, list); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := sum(t, remote, ""), sum(t, here, ""); a != b {
		t.Errorf("digest %s in D1, %s in SQLite", a, b)
	}
}

func TestWhatD1CanNotTakeIsRefused(t *testing.T) {
	s := open(t)
	for name, st := range map[string]projections.Statement{
		"too many parameters": {SQL: "INSERT INTO users (id, email) VALUES ('u', ?)", Args: make([]any, projections.MaxParams+1)},
		"too much SQL":        {SQL: "INSERT INTO users (id, email) VALUES ('u', '" + strings.Repeat("x", maxSQL) + "')"},
		"beyond 2^53":         {SQL: "INSERT INTO users (id, email, revision) VALUES ('u', '', ?)", Args: []any{int64(1<<53 + 1)}},
		"bytes":               {SQL: "INSERT INTO users (id, email) VALUES ('u', ?)", Args: []any{[]byte("x")}},
		"a reference to none": {SQL: "INSERT INTO asset_rooms (asset_id, room_id, revision) VALUES ('a', 'b', 1)"},
		"NULL where none may": {SQL: "INSERT INTO users (id, email) VALUES ('u', NULL)"},
	} {
		move := []projections.Move{{Partition: 2, To: projections.Checkpoint{Seq: 1, Sum: "s"}}}
		if err := s.Apply(t.Context(), "x", move, []projections.Statement{st}); !errors.Is(err, projections.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if at, err := s.Checkpoints(t.Context(), "x"); err != nil || len(at) != 0 {
		t.Errorf("checkpoints %v %v", at, err)
	}
	// A table that is missing is no fault of the values: nothing may be parked for it.
	err := s.Apply(t.Context(), "x", nil, []projections.Statement{{SQL: "DELETE FROM nowhere"}})
	if err == nil || errors.Is(err, projections.ErrRejected) || errors.Is(err, projections.ErrCheckpoint) {
		t.Errorf("missing table: %v", err)
	}
}
