package d1

import (
	"errors"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/migrations"
)

func TestCheckSchema(t *testing.T) {
	e := edgetest.Shared(t)
	s := on(t, e, e.Gateway())
	check := func(says string) {
		t.Helper()
		if err := s.CheckSchema(t.Context()); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
	if err := s.CheckSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.Query(t, "INSERT INTO "+migrations.Table+" (name) VALUES ('9999_later.sql')")
	check("newer version")
	e.Query(t, "DELETE FROM "+migrations.Table+" WHERE name LIKE '9999%' OR name LIKE '0003%'")
	check("0003_added_tables.sql was not applied: run `kanvas provision`")
	e.Query(t, "DROP TABLE "+migrations.Table)
	check("no migration was applied")
}

func TestStatementKinds(t *testing.T) {
	m := newMetrics(nil)
	for sql, want := range map[string]string{
		"INSERT INTO users (id) VALUES (?)":      "insert users",
		"UPDATE rooms SET name = ? WHERE id = ?": "update rooms",
		"DELETE FROM parked WHERE x = ?":         "delete parked",
		"SELECT a, b FROM (SELECT *, count(*) OVER () FROM (SELECT a FROM chat_messages ORDER BY a) WHERE 1)": "select chat_messages",
		"DROP TABLE IF EXISTS shadow_rooms":     "drop shadow_rooms",
		"CREATE TABLE shadow_rooms (\n id TEXT": "create shadow_rooms",
		moveHead + "(1)" + moveTail:             "insert projection_checkpoints",
		"VACUUM":                                "other",
	} {
		for range 2 {
			if got := m.kind(sql); got != want {
				t.Errorf("%q is %q, not %q", sql, got, want)
			}
		}
	}
}
