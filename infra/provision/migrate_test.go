package provision_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/infra/provision"
	"github.com/infinite-kanvas/kanvas/migrations"
)

// TestWranglerHasNothingLeftToMigrate: what is applied here, on a D1 in workerd, wrangler takes for applied; and the other way round.
func TestWranglerHasNothingLeftToMigrate(t *testing.T) {
	all, err := migrations.All()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	migrate := func(t *testing.T, dir string) *edgetest.Worker {
		w := edgetest.Start(t, edgetest.WithDir(filepath.Join(dir, "v3")), edgetest.WithoutMigrations())
		client, err := cloudflare.New(cloudflare.Config{Account: w.Account, Secret: w.Secret, URL: w.Gateway()})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time there is nothing to do
			if err := provision.New(provision.Options{Client: client, Manifest: &provision.Manifest{}}).Migrate(context.Background(), w.Database); err != nil {
				t.Fatal(err)
			}
		}
		if rows := w.Query(t, "SELECT name FROM d1_migrations ORDER BY id"); len(rows) != len(all) || rows[0]["name"] != all[0].Name {
			t.Errorf("%v", rows)
		}
		return w
	}
	t.Run("here first", func(t *testing.T) { migrate(t, dir) })
	if said := wrangler(t, "d1", "migrations", "apply", "KANVAS_DB", "--local", "--persist-to", dir); !strings.Contains(said, "No migrations to apply") {
		t.Errorf("wrangler: %s", said)
	}
	if said := wrangler(t, "d1", "execute", "KANVAS_DB", "--local", "--persist-to", dir, "--command", "SELECT name FROM sqlite_master WHERE name = 'room_participants'", "--json"); !strings.Contains(said, "room_participants") {
		t.Errorf("wrangler sees another database: %s", said)
	}
	other := t.TempDir()
	if said := wrangler(t, "d1", "migrations", "apply", "KANVAS_DB", "--local", "--persist-to", other); !strings.Contains(said, all[0].Name) {
		t.Errorf("wrangler: %s", said)
	}
	t.Run("wrangler first", func(t *testing.T) { migrate(t, other) })
}

func wrangler(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(edgetest.Root(), "node_modules", ".bin", "wrangler"), append(args, "--config", filepath.Join(edgetest.Root(), "wrangler.toml"))...)
	cmd.Env = append(edgetest.Env(), "WRANGLER_WRITE_LOGS=false")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("wrangler %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
