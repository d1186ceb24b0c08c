package objects

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/objects/objectstest"
)

func open(t *testing.T, dir string) *Dir {
	t.Helper()
	d, err := OpenDir(dir, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDir(t *testing.T) {
	objectstest.Test(t, func(t *testing.T) commands.Objects { return open(t, t.TempDir()) }, objectstest.Limits{})
}

func TestDamageIsFoundNotServed(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	if err := d.Put(context.Background(), "a/b", "text/plain", strings.NewReader("12345"), 5); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "objects", "a", "b"+fileSuffix)
	if err := os.Truncate(file, 90); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Get(context.Background(), "a/b", 0, -1); err == nil {
		t.Fatal("a cut file was served")
	}
}

func TestLeftoversAreSweptAndObjectsStay(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	if err := d.Put(context.Background(), "kept", "text/plain", strings.NewReader("1"), 1); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tmp", "put-1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	d = open(t, dir)
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil || len(left) != 0 {
		t.Fatalf("%v %v", left, err)
	}
	if _, err := d.Head(context.Background(), "kept"); err != nil {
		t.Fatal(err)
	}
}

func TestIntake(t *testing.T) {
	objectstest.TestIntake(t, func(t *testing.T) (commands.Objects, commands.Intake) {
		d := open(t, t.TempDir())
		i, err := NewIntake(d)
		if err != nil {
			t.Fatal(err)
		}
		return d, i
	})
}

func tempFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // a test may have closed it
	return f
}
