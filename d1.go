package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/infinite-kanvas/kanvas/api"
	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/d1"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/sqlite"
	"github.com/infinite-kanvas/kanvas/projections"
)

const (
	d1Standby     = 15 * time.Second // between looks of a node that leaves D1 to another one
	d1StartCheck  = 10 * time.Second // how long a start waits for D1
	scratchPrefix = "scratch-"       // directories below the data directory that Verify builds tables in
)

// openD1 makes the second target of the tables, where D1 is configured. It calls nobody: D1 may be away. The API goes on reading the local tables.
func (n *node) openD1(context.Context) error {
	if !n.cfg.Cloudflare.D1() {
		return nil
	}
	client, err := n.cloudflareClient()
	if err != nil {
		return err
	}
	n.d1, err = d1.New(d1.Options{Client: client, Database: n.cfg.Cloudflare.D1Database, Registerer: n.reg})
	if err != nil {
		return err
	}
	n.d1Runner = projections.NewRunner(projections.Config{
		Name: "d1", Source: n.log, Streams: n.log, Store: n.d1, Canvases: canvases{n.rooms}, Unsealer: n.people, Blobs: n.objects,
		Pace: n.d1.Linger, Limits: d1.Limits(), Check: n.checkD1, Standby: d1Standby, Scratch: n.scratch, Registerer: n.reg, Logger: n.logger,
	})
	return nil
}

// cloudflareClient is shared by all that calls Cloudflare, as the budget of calls is.
func (n *node) cloudflareClient() (*cloudflare.Client, error) {
	if n.cloudflare == nil {
		var err error
		if n.cloudflare, err = cloudflare.FromSettings(&n.cfg.Cloudflare, n.reg); err != nil {
			return nil, err
		}
	}
	return n.cloudflare, nil
}

// checkD1 says whether D1's tables can be followed up: they have this program's schema, and were made from this log.
func (n *node) checkD1(ctx context.Context) error {
	if err := n.d1.CheckSchema(ctx); err != nil {
		return err
	}
	err := projections.CheckLog(ctx, n.log, n.d1, projections.Tables, jetstream.StreamName)
	if errors.Is(err, projections.ErrLogShorter) {
		return fmt.Errorf("the log is not the one that D1 (database %s) was made from: restore the log, or set D1_DATABASE_ID to this log's database, or, "+
			"if the loss is accepted, make D1 again with `kanvas rebuild --target d1`: %w", n.cfg.Cloudflare.D1Database, err)
	}
	return err
}

// checkD1AtStart refuses to serve where D1 shows that acknowledged commits are missing from the log. A D1 that is away, or not migrated, stops
// nobody: its projector says so and waits.
func (n *node) checkD1AtStart(ctx context.Context) error {
	if n.d1 == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, d1StartCheck)
	defer cancel()
	err := n.checkD1(ctx)
	if errors.Is(err, projections.ErrLogShorter) {
		return err
	}
	if err != nil {
		n.logger.Warn("d1_not_checked", "error", err.Error())
	}
	return nil
}

// scratch opens an empty store for the tables that D1 is compared with.
func (n *node) scratch(ctx context.Context) (projections.Shadows, func() error, error) {
	dir, err := os.MkdirTemp(n.cfg.Data, scratchPrefix)
	if err != nil {
		return nil, nil, err
	}
	s, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, func() error { return errors.Join(s.Close(), os.RemoveAll(dir)) }, nil
}

// dropScratch removes what a process that was killed left.
func (n *node) dropScratch() error {
	left, err := filepath.Glob(filepath.Join(n.cfg.Data, scratchPrefix+"*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// readyD1 is D1's line of /readyz, where it is configured. Rooms go on without it.
func (n *node) readyD1() []api.Check {
	if n.d1Runner == nil {
		return nil
	}
	s := n.d1Runner.Status()
	c := api.Check{Name: "d1", OK: s.Err == nil, Optional: true}
	switch {
	case s.Err != nil:
		c.Detail = fmt.Sprintf("%d commits behind, the oldest of %s ago: %v", s.Behind, s.Age.Round(time.Second), s.Err)
	case s.Standby:
		c.Detail = "another node applies; this one stands by"
	case s.Behind > 0:
		c.Detail = fmt.Sprintf("%d commits behind, the oldest of %s ago", s.Behind, s.Age.Round(time.Millisecond))
	}
	return []api.Check{c}
}
