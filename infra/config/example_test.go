package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write .env.example anew")

// example is what .env.example has to be: each setting with what it is for, commented out with its default.
func example() string {
	var b strings.Builder
	b.WriteString(`# Every setting of Kanvas. Copy this file, take the # away from what you set, and load it into the server's environment:
#   set -a; . ./.env; set +a; kanvas serve
# NAME_FILE=/path takes the value of any of them from a file. Flags of the same meaning win, but secrets have none.
# go test ./infra/config -update writes this file.
`)
	d := Default()
	for _, s := range settings() {
		value := s.show(&d)
		help := s.help
		if s.secret {
			help, value = help+" (secret)", ""
		}
		if strings.ContainsAny(value, " {}$'\"") {
			value = "'" + value + "'"
		}
		fmt.Fprintf(&b, "\n# %s\n#%s=%s\n", help, s.env, value)
	}
	return b.String()
}

// TestExampleHoldsEverySetting: .env.example can't rot.
func TestExampleHoldsEverySetting(t *testing.T) {
	const path = "../../.env.example"
	if *update {
		if err := os.WriteFile(path, []byte(example()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := example(); string(got) != want {
		have := map[string]bool{}
		for line := range strings.Lines(string(got)) {
			have[line] = true
		}
		for line := range strings.Lines(want) {
			if !have[line] {
				t.Errorf("%s has no line %q", path, line)
			}
		}
		t.Errorf("%s differs from the settings: go test ./infra/config -update", path)
	}
}
