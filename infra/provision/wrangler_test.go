package provision_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/infra/provision"
	"github.com/infinite-kanvas/kanvas/infra/provision/provisiontest"
)

// edgeCopy is infra/edge in a directory of the test's own, its npm packages shared.
func edgeCopy(t *testing.T) string {
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

// TestWranglerDeploys runs the real wrangler against the stand-in for Cloudflare's API: code, variables and secrets arrive in one upload.
func TestWranglerDeploys(t *testing.T) {
	c := provisiontest.Start(t)
	c.Buckets["kanvas-images"] = &provisiontest.Bucket{}
	m, err := provision.ReadManifest(filepath.Join(edgeCopy(t), "wrangler.toml"), "")
	if err != nil {
		t.Fatal(err)
	}
	w := &provision.Wrangler{Manifest: m, Account: provisiontest.Account, Token: provisiontest.Token, APIURL: c.URL}
	if err := w.Ready(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	secret := strings.Repeat("s3cr3t", 8)
	if err := w.Deploy(ctx, map[string]string{"ORIGIN": "https://rooms.example.com:8443/x"}, map[string]string{"GATEWAY_SECRET": secret}); err != nil {
		t.Fatalf("%v\n%q", err, c.Calls())
	}
	t.Logf("%q", c.Calls())
	got := c.Workers["infinite-kanvas-dev"]
	if got == nil || got.Vars["ORIGIN"] != "https://rooms.example.com:8443/x" || got.Vars["ENVIRONMENT"] != "development" || got.Secrets["GATEWAY_SECRET"] != secret || len(got.Code) < 500 {
		t.Fatalf("%+v", got)
	}
}
