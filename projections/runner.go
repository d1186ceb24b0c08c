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
	// Batch is the most commits in a transaction, about: 4,096 by default.
	Batch int

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
		if r.cfg.Now().Sub(start) > time.Minute {
			try = 1
		}
		r.metrics.retried()
		r.cfg.Logger.WarnContext(ctx, "projection: starting again from the checkpoint", "event", "projection_restart", "error", err)
		if backoff(ctx, try) != nil {
			return nil
		}
	}
	return nil
}

// errRestart: a rebuild swapped the tables; positions and parked streams must be read again.
var errRestart = errors.New("projections: tables were swapped")

// follow reads and applies until something fails or a rebuild swaps the tables.
func (r *Runner) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e := &engine{projection: Tables, store: r.cfg.Store, log: r.cfg.Logger, metrics: r.metrics, applied: r.applied}
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
	g.Go(func() error { return r.watchLag(gctx, e) })
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

// applyAll gathers chunks into batches and applies them.
func (r *Runner) applyAll(ctx context.Context, e *engine, chunks <-chan chunk) error {
	for {
		batch, taken, err := r.gather(ctx, chunks)
		if err != nil {
			return err
		}
		if err := r.applyBatch(ctx, e, batch); err != nil {
			return err
		}
		for _, c := range taken {
			close(c)
		}
	}
}

func (r *Runner) applyBatch(ctx context.Context, e *engine, batch []*change) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	if err := ctx.Err(); err != nil {
		return err // a swap happened meanwhile
	}
	return e.apply(ctx, batch)
}

// gather waits for a first chunk, and for more until Linger is over, the batch is full, or somebody waits for it.
func (r *Runner) gather(ctx context.Context, chunks <-chan chunk) (batch []*change, taken []chan struct{}, err error) {
	size := 0
	var timer <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case c := <-chunks:
			batch = append(batch, c.changes...)
			size += c.size
			if c.taken != nil {
				taken = append(taken, c.taken)
			}
			if len(batch) >= r.cfg.Batch || size >= 2*chunkBytes || r.cfg.Linger < 0 || r.wait.any() {
				return batch, taken, nil
			}
			if timer == nil {
				t := time.NewTimer(r.cfg.Linger)
				defer t.Stop()
				timer = t.C
			}
		case <-timer:
			return batch, taken, nil
		case <-r.wait.kick:
			if len(batch) > 0 {
				return batch, taken, nil
			}
		}
	}
}

// applied tells whoever waits, and the caches.
func (r *Runner) applied(batch []*change) {
	r.wait.advance(batch)
	if r.cfg.Caches != nil {
		r.cfg.Caches.applied(batch)
	}
}

// lagEvery is how often the log's bounds are compared with the position.
const lagEvery = 2 * time.Second

func (r *Runner) watchLag(ctx context.Context, e *engine) error {
	t := time.NewTicker(lagEvery)
	defer t.Stop()
	for {
		if commits, oldest, err := r.lag(ctx, e); err == nil {
			age := time.Duration(0)
			if commits > 0 && oldest > 0 {
				age = max(0, r.cfg.Now().Sub(time.UnixMilli(oldest)))
			}
			r.metrics.setLag(commits, age)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// lag counts the commits that are not applied; at is the time of the newest applied commit in the partition that is furthest behind.
func (r *Runner) lag(ctx context.Context, e *engine) (commits uint64, at int64, err error) {
	positions := r.positions(e)
	most := uint64(0)
	for p := range r.cfg.Source.Partitions() {
		_, last, err := r.cfg.Source.Bounds(ctx, p)
		if err != nil {
			return 0, 0, err
		}
		if behind := last - min(last, positions[p].Seq); behind > 0 {
			commits += behind
			if behind > most {
				most, at = behind, positions[p].At
			}
		}
	}
	return commits, at, nil
}

func (r *Runner) positions(e *engine) map[int]Checkpoint {
	r.applying.Lock()
	defer r.applying.Unlock()
	positions := make(map[int]Checkpoint, len(e.positions))
	for p, c := range e.positions {
		positions[p] = c
	}
	return positions
}
