package realtime

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestPartysocket runs the real client of the old protocol, the npm package `partysocket`, against a real server: every message of the
// reference, the registry, reconnects and pictures.
func TestPartysocket(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("no node on PATH")
	}
	if _, err := os.Stat("parties_npm/node_modules/partysocket"); err != nil {
		t.Skip("partysocket is not installed: run `npm ci` in api/realtime/parties_npm (make deps does)")
	}
	w := newWorld(t, func(c *Config) {
		c.AssetURL = func(room, asset string) string {
			return publicURL + "/v1/assets/" + asset + "?room=" + url.QueryEscape(room) + "&cap=capability"
		}
	})
	base := w.parties()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", "parties.test.mjs")
	cmd.Dir = "parties_npm"
	cmd.Env = append(os.Environ(), "KANVAS_HOST="+strings.TrimPrefix(base, "ws://"), "KANVAS_PUBLIC_URL="+publicURL)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "pass 8") {
		t.Fatalf("not every test ran:\n%s", out)
	}
}
