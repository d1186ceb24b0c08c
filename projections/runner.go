package projections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/events"
)

// Config of a Runner. Source, Store and Canvases are needed, the rest has defaults.
type Config struct {
	Name     string // of the store, for metrics and logs: "sqlite" by default
	Source   Source
	Streams  Streams // for rebuilds and checks of one room
	Store    Store
	Canvases Canvases
	Unsealer Unsealer // nil: names and e-mail stay ''
	Blobs    Blobs    // nil: canvases too large for a row are named by rows, but stored by nobody

	// Linger is how long a batch waits for more commits, unless somebody waits for it: 25 ms by default, negative for none. It bounds how
	// many transactions are made in a second, so a slow store has a long one.
	Linger time.Duration
	// Pace, where set, is asked for the linger of each batch in place of Linger.
	Pace func() time.Duration
	// Batch is the most commits in a transaction, about: 4,096 by default.
	Batch int
	// Limits of a transaction; none by default.
	Limits Limits

	// Check, where set, is asked before following; while it fails nothing is applied, and it is asked again every 15 s.
	Check func(ctx context.Context) error
	// Standby, where positive, is for stores that several nodes write to: one that finds the checkpoint moved by another lets that one go
	// on, and takes over when commits wait and the checkpoint has not moved between two looks, this far apart.
	Standby time.Duration
	// Scratch, where set, opens an empty store for Verify to build its tables in, instead of beside the live ones. drop removes it.
	Scratch func(ctx context.Context) (store Shadows, drop func() error, err error)

	Caches     *Caches // told of what was applied; may be nil
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	Now        func() time.Time // for the lag alone
}

// Runner keeps the tables of one Store up with the log. All methods may be called concurrently; Run once at a time.
type Runner struct {
	cfg     Config
	prep    *preparer
	metrics *metrics
	wait    waiters
	status  status

	building sync.Mutex // held while there is a shadow
	applying sync.Mutex // held while a batch is applied, and while a rebuild swaps
	mu       sync.Mutex
	restart  context.CancelFunc // ends the current follow; nil while none runs
}

// NewRunner makes a Runner; Run starts it.
func NewRunner(cfg Config) *Runner {
	if cfg.Name == "" {
		cfg.Name = "sqlite"
	}
	if cfg.Linger == 0 {
		cfg.Linger = 25 * time.Millisecond
	}
	if cfg.Batch <= 0 {
		cfg.Batch = 4096
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Logger = cfg.Logger.With("projector", cfg.Name)
	return &Runner{
		cfg:     cfg,
		prep:    &preparer{canvases: cfg.Canvases, unsealer: cfg.Unsealer, blobs: cfg.Blobs},
		metrics: newMetrics(cfg.Registerer, cfg.Name),
		wait:    waiters{kick: make(chan struct{}, 1), streams: map[events.Stream][]*waiter{}, applied: make(chan struct{})},
	}
}

// Run follows the log until ctx ends; then it returns nil, with no batch half applied. Failures are tried again for ever, and seen in the
// log and metrics.
func (r *Runner) Run(ctx context.Context) error {
	lag, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { r.watchLag(lag) })
	defer watching.Wait()
	defer stop()
	for try := 1; ctx.Err() == nil; try++ {
		start := r.cfg.Now()
		err := r.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errRestart) {
			try = 0
			continue
		}
		if errors.Is(err, ErrCheckpoint) && r.cfg.Standby > 0 {
			r.standBy(ctx)
			try = 0
			continue
		}
		if r.cfg.Now().Sub(start) > time.Minute {
			try = 1
		}
		r.metrics.retried()
		if r.status.failed(err) {
			r.cfg.Logger.WarnContext(ctx, "projection: starting again from the checkpoint", "event", "projection_restart", "error", err)
		}
		if r.pause(ctx, try, err) != nil {
			return nil
		}
	}
	return nil
}

// Quiet runs fn while no tables are built beside the live ones, and none are begun.
func (r *Runner) Quiet(fn func() error) error {
	r.building.Lock()
	defer r.building.Unlock()
	return fn()
}

// errCheck: Config.Check failed.
var errCheck = errors.New("not to be followed")

// checkEvery is how often a Check that failed is asked again.
const checkEvery = 15 * time.Second

func (r *Runner) pause(ctx context.Context, try int, err error) error {
	if !errors.Is(err, errCheck) {
		return backoff(ctx, try)
	}
	return sleep(ctx, checkEvery)
}

// errRestart: a rebuild swapped the tables; positions and parked streams must be read again.
var errRestart = errors.New("projections: tables were swapped")

// follow reads and applies until something fails or a rebuild swaps the tables.
func (r *Runner) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if r.cfg.Check != nil {
		if err := r.cfg.Check(ctx); err != nil {
			return fmt.Errorf("%w: %w", errCheck, err)
		}
	}
	e := &engine{projection: Tables, store: r.cfg.Store, limits: r.cfg.Limits, log: r.cfg.Logger, metrics: r.metrics, applied: r.applied,
		failed: r.status.failed, moved: r.status.moved}
	if err := r.begin(ctx, e, func() { cancel(errRestart) }); err != nil {
		return err
	}
	defer r.end()
	g, gctx := errgroup.WithContext(ctx)
	chunks := make(chan chunk)
	for p := range r.cfg.Source.Partitions() {
		rd := &reader{partition: p, after: e.positions[p].Seq, source: r.cfg.Source, prep: r.prep, follow: true, failed: r.readFailed, out: chunks}
		g.Go(func() error { return rd.run(gctx) })
	}
	g.Go(func() error { return r.applyAll(gctx, e, chunks) })
	err := g.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, errRestart) {
		return cause
	}
	return err
}

// begin loads the position, so that a swap happens before it or ends this follow.
func (r *Runner) begin(ctx context.Context, e *engine, restart context.CancelFunc) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	if err := e.load(ctx); err != nil {
		return fmt.Errorf("load the position: %w", err)
	}
	r.mu.Lock()
	r.restart = restart
	r.mu.Unlock()
	return nil
}

func (r *Runner) end() {
	r.mu.Lock()
	r.restart = nil
	r.mu.Unlock()
}

func (r *Runner) readFailed(ctx context.Context, try int, err error) {
	r.metrics.retried()
	r.cfg.Logger.WarnContext(ctx, "projection: reading failed, trying again", "event", "projection_retry", "try", try, "error", err)
}
