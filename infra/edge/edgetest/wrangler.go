package edgetest

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// wranglerWithin bounds one call of wrangler, which takes seconds.
const wranglerWithin = 3 * time.Minute

// Wrangler runs the real wrangler in the Worker's folder, without the network, and returns what it prints to its standard output.
func Wrangler(t testing.TB, args ...string) string {
	t.Helper()
	node, err := Node()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), wranglerWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{filepath.Join("node_modules", "wrangler", "bin", "wrangler.js")}, args...)...)
	cmd.Dir, cmd.Env = Root(), Env()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("wrangler %s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// WranglerState is where workerd keeps its state (WithDir) for a wrangler that is told --persist-to dir.
func WranglerState(dir string) string { return filepath.Join(dir, "v3") }
