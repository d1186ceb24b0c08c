package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// inputs are the files and folders that go into the build. Keep in step with build/source-hash.mjs.
var inputs = []string{"build", "index.html", "package-lock.json", "package.json", "public", "src", "tsconfig.json", "vite.config.ts"}

// sourceSum is the SHA-256 (hex) of one line "path NUL sha256 LF" a file, sorted bytewise by path.
func sourceSum(t *testing.T, root string) string {
	t.Helper()
	var files []string
	for _, in := range inputs {
		err := filepath.WalkDir(filepath.Join(root, in), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(root, path)
			files = append(files, filepath.ToSlash(rel))
			return err
		})
		if err != nil {
			t.Fatalf("walk %s: %v", in, err)
		}
	}
	sort.Strings(files)
	all := sha256.New()
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(all, "%s\x00%x\n", file, sha256.Sum256(content))
	}
	return hex.EncodeToString(all.Sum(nil))
}

func TestBuiltFilesAreMadeFromTheSource(t *testing.T) {
	stored, err := fs.ReadFile(Files(), "source.sha256")
	if err != nil {
		t.Fatalf("the built page has no source.sha256: run \"make web\": %v", err)
	}
	if got, want := strings.TrimSpace(string(stored)), sourceSum(t, "."); got != want {
		t.Fatalf("api/web/dist was built from other source (%s) than api/web has now (%s): run \"make web\" and commit api/web/dist", got, want)
	}
}

func TestPageHasNoInlineScriptAndLoadsNothingFromElsewhere(t *testing.T) {
	page, err := fs.ReadFile(Files(), "index.html")
	if err != nil {
		t.Fatalf("no index.html: run \"make web\": %v", err)
	}
	for _, bad := range []string{"http://", "https://", "<script>", " onload=", " onclick="} {
		if strings.Contains(string(page), bad) {
			t.Errorf("index.html holds %q: the Content-Security-Policy forbids it", bad)
		}
	}
	if !strings.Contains(string(page), `src="/assets/`) {
		t.Error("index.html loads no script below /assets/")
	}
}
