package d1

import (
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/projections"
	"github.com/infinite-kanvas/kanvas/projections/projectionstest"
)

// on makes a Store that reaches a Worker's D1 by the URL, which is the Worker's gateway or something in front of it.
func on(t *testing.T, w *edgetest.Worker, url string) *Store {
	t.Helper()
	client, err := cloudflare.New(cloudflare.Config{Account: w.Account, Secret: w.Secret, URL: url})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Client: client, Database: w.Database})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open makes a Store on a fresh, migrated database on workerd.
func open(t *testing.T) *Store {
	t.Helper()
	w := edgetest.Shared(t)
	return on(t, w, w.Gateway())
}

func TestStore(t *testing.T) {
	projectionstest.TestStore(t, func(t *testing.T) projections.Store { return open(t) })
}
