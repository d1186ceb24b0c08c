package migrations

import (
	"slices"
	"strings"
	"testing"
)

func TestStatements(t *testing.T) {
	for sql, want := range map[string][]string{
		"":                         nil,
		"-- nothing; here\n":       nil,
		"A; B":                     {"A", "B"},
		"A;;\n;B;\n":               {"A", "B"},
		"-- a;b\nA -- c;d\n;B;":    {"-- a;b\nA -- c;d", "B"},
		"A 'x;''y;' \"z;\";B":      {"A 'x;''y;' \"z;\"", "B"},
		"/* a; */ A; /* b; */":     {"/* a; */ A"},
		"A 'never closed; B":       {"A 'never closed; B"},
		"A /* never closed; B":     {"A /* never closed; B"},
		"A -- no last line end; B": {"A -- no last line end; B"},
	} {
		if got := (Migration{SQL: sql}).Statements(); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", sql, got, want)
		}
	}
}

// TestStatementsLoseNothing: what D1 gets in entries is what SQLite gets as a file.
func TestStatementsLoseNothing(t *testing.T) {
	all, err := All()
	if err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	for _, m := range all {
		if squeeze(strings.Join(m.Statements(), ";")) != squeeze(m.SQL) {
			t.Errorf("%s: statements differ from the file", m.Name)
		}
		if strings.Contains(strings.ToUpper(m.SQL), "CREATE TRIGGER") {
			t.Errorf("%s: Statements can't cut triggers", m.Name)
		}
	}
}

func squeeze(s string) string {
	return strings.NewReplacer(";", "", " ", "", "\n", "").Replace(s)
}
