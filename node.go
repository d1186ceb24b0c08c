package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/api/realtime"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/config"
	"github.com/infinite-kanvas/kanvas/infra/control"
	"github.com/infinite-kanvas/kanvas/infra/d1"
	"github.com/infinite-kanvas/kanvas/infra/fal"
	"github.com/infinite-kanvas/kanvas/infra/forgotten"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/r2"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit"
	"github.com/infinite-kanvas/kanvas/infra/sqlite"
	"github.com/infinite-kanvas/kanvas/infra/telemetry"
	"github.com/infinite-kanvas/kanvas/projections"
)

// Deadlines of starting and stopping a node.
const (
	openTimeout  = 60 * time.Second
	closeTimeout = 25 * time.Second
)

// node is everything of Kanvas but its edge: the stores, the rooms, the projections. serve puts the edge on top; the tools
// use it as it is. close undoes openNode, last thing first.
type node struct {
	cfg    config.Config
	logger *slog.Logger
	reg    *prometheus.Registry
	out    io.Writer // of the log

	lock    *control.Lock
	list    *forgotten.List
	log     *jetstream.Store
	appends commands.Log // log, as commands write to it
	keys    *jetstream.Keys
	kv      commands.KV      // of this server, or of Cloudflare
	objects commands.Objects // a directory, or R2
	r2      *r2.Bucket       // nil: objects are in a directory
	intake  commands.Intake
	ledger  commands.Ledger
	quota   *commands.Quota
	budgets *commands.Budgets
	tables  *sqlite.Store

	generations *commands.Generations // nil: this server makes none, or is a tool
	handling    atomic.Bool           // the process handlers run here

	cloudflare *cloudflare.Client  // nil until something needs it
	d1         *d1.Store           // nil: the tables are here alone
	d1Runner   *projections.Runner // likewise

	sealer  *commands.Sealer
	people  *commands.People
	claims  *commands.Claims
	forget  *commands.Forgetting
	assets  *commands.Assets
	uploads *commands.Uploads
	streams *commands.Streams
	rooms   *commands.Dispatcher
	limits  *ratelimit.Limiter // of the edge; nil in tools
	runner  *projections.Runner
	caches  *projections.Caches
	active  lateActive
	running sync.WaitGroup
	follows bool // the projections run

	closers []closer
}

// underTest is nil in every program but the one that tests kill (crashpoints.go).
var underTest struct {
	stores func(*node)                           // called when they are open
	ledger func(commands.Ledger) commands.Ledger // of what is spent
	fal    func(*fal.Config)                     // called before calls to fal.ai are set up

	generations func(*commands.GenerationConfig) // called before they are followed
}

type closer struct {
	what string
	fn   func(context.Context) error
}

// openNode takes the data directory and opens what is in it. Nothing runs yet but what must answer at once.
func openNode(ctx context.Context, cfg config.Config, logs io.Writer) (*node, error) {
	n := &node{cfg: cfg, logger: telemetry.Logger(logs, cfg.LogLevel), reg: prometheus.NewRegistry(), out: logs}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for _, step := range []func(context.Context) error{n.openLock, n.openLog, n.openStores, n.openTables, n.openRooms, n.openBudgets, n.openD1} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, n.close(context.WithoutCancel(ctx)))
		}
	}
	return n, nil
}

func (n *node) onClose(what string, fn func(context.Context) error) {
	n.closers = append(n.closers, closer{what, fn})
}

// close stops everything, the last opened first, and reports all that failed.
func (n *node) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	var errs []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		if err := n.closers[i].fn(ctx); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", n.closers[i].what, err))
		}
	}
	n.closers = nil
	return errors.Join(errs...)
}

func (n *node) openLock(context.Context) (err error) {
	if n.lock, err = control.Acquire(n.cfg.Data); err != nil {
		return err
	}
	n.onClose("lock", func(context.Context) error { return n.lock.Release() })
	return nil
}

func (n *node) openLog(ctx context.Context) (err error) {
	n.log, err = jetstream.Open(ctx, jetstream.Config{
		Dir: filepath.Join(n.cfg.Data, "log"), URL: n.cfg.NATSURL, Partitions: n.cfg.Partitions, Durability: n.cfg.Durability,
		Replicas: n.cfg.Replicas, CutDamage: n.cfg.CutDamage, Logger: n.logger, Registerer: n.reg,
	})
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	n.onClose("log", n.log.Close)
	n.appends = n.log
	return nil
}

func (n *node) openTables(ctx context.Context) (err error) {
	if n.tables, err = sqlite.Open(ctx, sqlite.Options{Dir: n.cfg.Data, Registerer: n.reg}); err != nil {
		return err
	}
	n.onClose("tables", func(context.Context) error { return n.tables.Close() })
	if err := n.dropScratch(); err != nil {
		return err
	}
	// A log shorter than what the tables were made from has lost acknowledged commits: nothing may be appended to it.
	if err := projections.CheckLog(ctx, n.log, n.tables, projections.Tables, jetstream.StreamName); err != nil {
		return fmt.Errorf("the log is not the one that the tables were made from (restore it, or move kanvas.db away if the loss is accepted): %w", err)
	}
	return nil
}

func (n *node) openRooms(ctx context.Context) error {
	var peers projections.Peers // an embedded log has one node
	if n.cfg.NATSURL != "" {
		p, err := n.log.OpenPeers("active-rooms")
		if err != nil {
			return err
		}
		peers = p
	}
	clock := func() int64 { return time.Now().UnixMilli() }
	n.streams = commands.NewStreams(n.appends, clock)
	streams := n.streams
	n.sealer = commands.NewSealer(n.keys)
	n.people = commands.NewPeople(streams, n.sealer, n.logger)
	n.assets = commands.NewAssets(streams, n.objects)
	n.rooms = commands.NewDispatcher(commands.Config{Log: n.appends, Objects: n.objects, Snapshots: snapshots{n.tables}, Clock: clock, Logger: n.logger, Metrics: n.reg})
	n.onClose("rooms", n.rooms.Close)
	n.caches = projections.NewCaches(projections.CacheConfig{KV: n.kv, Gather: n.gather(), Queries: n.tables, Active: &n.active, Peers: peers, Registerer: n.reg, Logger: n.logger})
	n.quota = commands.NewQuota(n.ledger, n.assetBytes, n.cfg.Quota, clock)
	n.assets.Count(n.quota)
	n.uploads = commands.NewUploads(commands.UploadConfig{Streams: streams, Objects: n.objects, Intake: n.intake, Quota: n.quota, Grace: n.cfg.AssetGrace, DropNames: n.cfg.DropNames, Logger: n.logger})
	n.runner = projections.NewRunner(projections.Config{
		Source: n.log, Streams: n.log, Store: n.tables, Canvases: canvases{n.rooms}, Unsealer: n.people, Blobs: n.objects, Caches: n.caches, Registerer: n.reg, Logger: n.logger,
	})
	n.claims = commands.NewClaims(n.people, n.rooms, n.roomsOf)
	return n.openForgetting(ctx)
}

// assetBytes is what the lists say of a person's assets, once they have got as far as the log is now.
func (n *node) assetBytes(ctx context.Context, person string) (int64, error) {
	if err := n.runner.WaitHead(ctx); err != nil {
		return 0, err
	}
	return n.tables.AssetBytes(ctx, person)
}

// startProjections follows the log until the node closes.
func (n *node) startProjections() {
	ctx, stop := context.WithCancel(context.Background())
	n.follows = true
	runs := map[string]func(context.Context) error{"projections": n.runner.Run, "caches": n.caches.Run}
	if n.d1Runner != nil {
		runs["d1"] = n.d1Runner.Run
	}
	for what, run := range runs {
		n.running.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				n.logger.Error(what+"_ended", "error", err.Error())
			}
		})
	}
	n.onClose("projections", func(context.Context) error {
		stop()
		n.running.Wait()
		return nil
	})
}

// snapshots is what commands asks of the tables.
type snapshots struct{ tables *sqlite.Store }

func (s snapshots) Newest(ctx context.Context, room string, revision uint64) (commands.SnapshotRef, bool, error) {
	row, ok, err := s.tables.NewestSnapshot(ctx, room, revision)
	return commands.SnapshotRef{Revision: row.Revision, Seq: row.Seq, Sum: row.Sum, Key: row.Key}, ok, err
}

// backlogPage is how many rooms are asked for at once.
const backlogPage = 500

func (s snapshots) RoomsNeedingCheckpoint(ctx context.Context, yield func(room string, head, checkpointed uint64) bool) error {
	for after := ""; ; {
		rows, err := s.tables.RoomsNeedingCheckpoint(ctx, after, backlogPage)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if !yield(r.ID, r.Revision, r.Checkpoint) {
				return nil
			}
			after = r.ID
		}
		if len(rows) < backlogPage {
			return nil
		}
	}
}

// canvases tells projections which failures are the room's own, so that it is parked and not tried for ever.
type canvases struct{ rooms *commands.Dispatcher }

func (c canvases) CanvasAt(ctx context.Context, room string, revision uint64) ([]byte, error) {
	b, err := c.rooms.CanvasAt(ctx, room, revision)
	var refusal *domain.Error
	if errors.As(err, &refusal) && refusal.Code != domain.CodeReadOnly {
		err = fmt.Errorf("%w: %w", projections.ErrUnreadable, err)
	}
	return b, err
}

// lateActive is what the caches ask of the realtime layer, which is made after them; until then nobody is there.
type lateActive struct{ hub atomic.Pointer[realtime.Hub] }

func (a *lateActive) ActiveRooms() []projections.ActiveRoom {
	hub := a.hub.Load()
	if hub == nil {
		return nil
	}
	var rooms []projections.ActiveRoom
	for _, r := range hub.Registry().Rooms() {
		if r.IsPublic {
			rooms = append(rooms, projections.ActiveRoom{ID: r.ID, Name: r.Name, IsPublic: true, CreatedAt: r.CreatedAt, LastActivity: r.LastActivity,
				UserCount: r.UserCount, CreatorName: r.CreatorName})
		}
	}
	return rooms
}

// RoomChanged keeps the list of old clients up, on every node: each follows the whole log for its tables.
func (a *lateActive) RoomChanged(room string) {
	if hub := a.hub.Load(); hub != nil {
		hub.Registry().Changed(room)
	}
}

// PictureReady has everybody who shows a picture told of its blur.
func (a *lateActive) PictureReady(asset string) {
	if hub := a.hub.Load(); hub != nil {
		hub.PictureReady(asset)
	}
}

func (a *lateActive) Online() []projections.Presence {
	hub := a.hub.Load()
	if hub == nil {
		return nil
	}
	now := time.Now().UnixMilli()
	var list []projections.Presence
	for _, p := range hub.People() {
		list = append(list, projections.Presence{UserID: p.UserID, RoomID: p.RoomID, LastSeen: now})
	}
	return list
}

// claimWait bounds how long the rooms of a guest wait for the tables.
const claimWait = 3 * time.Second

// roomsOf is commands.RoomsOfUser over the tables.
func (n *node) roomsOf(ctx context.Context, user string, yield func(room string) bool) error {
	wait, cancel := context.WithTimeout(ctx, claimWait)
	defer cancel()
	if err := n.runner.WaitHead(wait); err != nil {
		return fmt.Errorf("rooms of %s: %w", user, err)
	}
	for cursor := ""; ; {
		rows, next, err := n.tables.RoomsOf(ctx, user, cursor, backlogPage)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if !yield(r.ID) {
				return nil
			}
		}
		if cursor = next; next == "" {
			return nil
		}
	}
}
