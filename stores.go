package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/api"
	"github.com/infinite-kanvas/kanvas/infra/config"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/kv"
	"github.com/infinite-kanvas/kanvas/infra/objects"
	"github.com/infinite-kanvas/kanvas/infra/r2"
)

// How long at least from one round of writes to Cloudflare's KV to the next: by the gateway, and where every call counts.
const (
	gatherKV        = time.Second
	gatherMeteredKV = 5 * time.Second
)

// openStores opens what is beside log and tables. It calls nobody outside: what is away must not stop a start.
func (n *node) openStores(ctx context.Context) (err error) {
	files := n.masterFiles()
	if n.keys, err = n.log.OpenKeysOf(ctx, files); err != nil {
		return fmt.Errorf("open keys: %w", err)
	}
	if files.Rotating() {
		n.logger.Warn("master_key_rotation_unfinished", "hint", "kanvas keys rotate finishes it")
	}
	if err := n.openKV(ctx); err != nil {
		return fmt.Errorf("open cache: %w", err)
	}
	if n.ledger, err = n.log.OpenLedger(ctx); err != nil {
		return err
	}
	if err := n.openObjects(); err != nil {
		return err
	}
	if underTest.stores != nil {
		underTest.stores(n)
	}
	return nil
}

func (n *node) masterFiles() jetstream.MasterFiles {
	return jetstream.MasterFiles{Path: n.cfg.MasterKey}
}

func (n *node) openKV(ctx context.Context) error {
	if !n.cfg.Cloudflare.KV() {
		cache, err := n.log.OpenKV(ctx)
		n.kv = cache
		return err
	}
	client, err := n.cloudflareClient()
	if err != nil {
		return err
	}
	n.kv = kv.New(client, n.cfg.Cloudflare.KVNamespace, n.reg)
	return nil
}

// gather is how writes to the cache are spaced.
func (n *node) gather() time.Duration {
	switch {
	case !n.cfg.Cloudflare.KV():
		return 0
	case n.cloudflare.Metered():
		return gatherMeteredKV
	}
	return gatherKV
}

func (n *node) openObjects() (err error) {
	if !n.cfg.Cloudflare.Objects() {
		dir, err := objects.OpenDir(objectsDir(&n.cfg), n.reg)
		if err != nil {
			return err
		}
		n.objects = dir
		n.intake, err = objects.NewIntake(dir)
		return err
	}
	if left, _ := os.ReadDir(objectsDir(&n.cfg)); len(left) > 0 { // no directory, nothing left in it
		n.logger.Info("objects_in_directory_too", "hint", "pictures of before are served once `kanvas copy --from local --to cloudflare` has brought them to R2")
	}
	if n.r2, err = openBucket(&n.cfg, n.reg, n.logger); err != nil {
		return err
	}
	n.objects, n.intake = n.r2, r2.Intake{Bucket: n.r2}
	return nil
}

func openBucket(cfg *config.Config, reg prometheus.Registerer, logger *slog.Logger) (*r2.Bucket, error) {
	cf := &cfg.Cloudflare
	return r2.Open(r2.Config{Endpoint: cf.S3Endpoint(), AccessKey: cf.R2.AccessKey, SecretKey: cf.R2.SecretKey, Bucket: cf.R2.Bucket, Registerer: reg, Logger: logger})
}

// readyObjects tells how R2 is. A node whose R2 is away is ready: edits go on, pictures wait.
func (n *node) readyObjects() []api.Check {
	if n.r2 == nil {
		return nil
	}
	c := api.Check{Name: "objects", OK: true, Detail: "R2", Optional: true}
	if err := n.r2.Down(); err != nil {
		c.OK = false
		c.Detail = "R2 does not answer: pictures can be neither stored nor served; edits go on: " + err.Error()
	}
	return []api.Check{c}
}
