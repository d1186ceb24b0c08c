package provision_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/provision"
	"github.com/infinite-kanvas/kanvas/infra/provision/provisiontest"
)

// TestWranglerDeploys runs the real wrangler against the stand-in for Cloudflare's API: code, variables and secrets arrive in one upload.
func TestWranglerDeploys(t *testing.T) {
	c := provisiontest.Start(t)
	c.Buckets["kanvas-images"] = &provisiontest.Bucket{}
	m, err := provision.ReadManifest(filepath.Join(provisiontest.Checkout(t), "wrangler.toml"), "")
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
