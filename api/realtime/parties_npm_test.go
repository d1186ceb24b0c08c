package realtime

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPartysocket runs the real client of the old protocol, the npm package `partysocket`, against a real server: every message of the
// reference, the registry, reconnects and pictures.
func TestPartysocket(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatal("no node on PATH")
	}
	if _, err := os.Stat("parties_npm/node_modules/partysocket"); err != nil {
		t.Fatal("partysocket is not installed: run make deps")
	}
	w := newWorld(t, func(c *Config) {
		c.AssetURL = func(room, asset string, key uint64) string {
			return publicURL + "/v1/assets/" + asset + "?room=" + url.QueryEscape(room) + "&cap=capability" + strconv.FormatUint(key, 10)
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
