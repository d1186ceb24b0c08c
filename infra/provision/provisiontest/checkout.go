package provisiontest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
)

// Checkout is infra/edge in a directory of the test's own, its npm packages shared.
func Checkout(t testing.TB) string {
	t.Helper()
	if _, err := edgetest.Node(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	root := edgetest.Root()
	if err := os.CopyFS(filepath.Join(dir, "src"), os.DirFS(filepath.Join(root, "src"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"wrangler.toml", "package.json", "package-lock.json", "tsconfig.json"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(root, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return dir
}
