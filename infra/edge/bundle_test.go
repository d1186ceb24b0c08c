package edge_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
)

// wrangler runs the real wrangler in the Worker's folder.
func wrangler(t *testing.T, args ...string) string {
	t.Helper()
	node, err := edgetest.Node()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{filepath.Join("node_modules", "wrangler", "bin", "wrangler.js")}, args...)...)
	cmd.Dir, cmd.Env = edgetest.Root(), edgetest.Env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("wrangler %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// maxBundle is what a Worker that starts quickly everywhere may weigh, in bytes.
const maxBundle = 50_000

func TestWhatIsDeployed(t *testing.T) {
	for _, env := range []string{"", "production"} {
		dir := t.TempDir()
		out := wrangler(t, "deploy", "--dry-run", "--outdir", dir, "--env", env)
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
