package edge_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
)

// maxBundle is what a Worker that starts quickly everywhere may weigh, in bytes.
const maxBundle = 50_000

func TestWhatIsDeployed(t *testing.T) {
	for _, env := range []string{"", "production"} {
		dir := t.TempDir()
		out := edgetest.Wrangler(t, "deploy", "--dry-run", "--outdir", dir, "--env", env)
		for _, binding := range []string{"KANVAS_IMAGES", "KANVAS_DB", "KANVAS_CACHE"} {
			if !strings.Contains(out, binding) {
				t.Errorf("%q: no binding %s:\n%s", env, binding, out)
			}
		}
		st, err := os.Stat(filepath.Join(dir, "worker.js"))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%q: %d bytes", env, st.Size())
		if st.Size() > maxBundle {
			t.Errorf("%q: %d bytes, at most %d are wanted", env, st.Size(), maxBundle)
		}
	}
	config, err := os.ReadFile(filepath.Join(edgetest.Root(), "wrangler.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(config), "\n") {
		if name, _, set := strings.Cut(line, "="); set && !strings.HasPrefix(line, "#") && (strings.Contains(name, "SECRET") || strings.Contains(name, "KEY") || strings.Contains(name, "TOKEN")) {
			t.Errorf("a secret has no place in wrangler.toml: %s", name)
		}
	}
}
