package forgotten_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/forgotten"
)

func open(t *testing.T, path string) *forgotten.List {
	t.Helper()
	l, err := forgotten.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // closed before, where the test opens it again
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestListSurvivesCrashes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "forgotten")
	l := open(t, path)
	for _, p := range []string{"ann", "bob", "anon:1"} {
		must(t, l.Add(p))
	}
	must(t, l.Add("ann"))
	must(t, l.Done("bob"))
	must(t, l.Close())
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(`{"person":"cut o`)
	must(t, err)
	must(t, f.Close())
	l = open(t, path)
	if got := fmt.Sprint(l.All(), l.Pending(), l.Has("bob"), l.Has("cut o")); got != "[ann bob anon:1] [ann anon:1] true false" {
		t.Error(got)
	}
	must(t, l.Add("eve")) // on a line of its own
	must(t, l.Add("bob")) // restored from a backup: once more
	if got := fmt.Sprint(open(t, path).Pending()); got != "[ann bob anon:1 eve]" {
		t.Error(got)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Error(info.Mode())
	}
	if l.Add("") == nil || l.Add(strings.Repeat("x", 5000)) == nil {
		t.Error("an id that can't be one was taken")
	}
}

func TestADamagedListStopsTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "forgotten")
	for _, text := range []string{"{\"person\":\"a\"}\nnonsense\n{\"person\":\"b\"}\n", "{\"person\":\"\"}\n", "{}\n"} {
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if _, err := forgotten.Open(path); err == nil || !strings.Contains(err.Error(), "can't be read") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
