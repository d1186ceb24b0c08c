package commands

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/prometheus/client_golang/prometheus"
)

// RoomsNeedingCheckpoint lists rooms whose last checkpoint is behind their head, from a projection: what a process that was killed left undone.
type RoomsNeedingCheckpoint interface {
	RoomsNeedingCheckpoint(ctx context.Context, yield func(room string, head, checkpointed uint64) bool) error
}

// CheckpointConfig is what a Checkpointer needs. The zero value of a number or duration means its default.
type CheckpointConfig struct {
	Rooms   Rooms
	Backlog RoomsNeedingCheckpoint // nil: none
	Logger  *slog.Logger
	Metrics prometheus.Registerer

	Every    uint64        // revisions; 500
	Quiet    time.Duration // 30 s without a commit
	Workers  int           // 2
	MaxRooms int           // with a checkpoint outstanding; 100,000. Beyond it Handle returns an error, so that the log is followed more slowly
	Timeout  time.Duration // of one command; 10 s
	Retry    time.Duration // after a failure; 5 s
	Gap      time.Duration // least time between two checkpoints of a room; 5 s. At 10,000 events/s every 500 revisions would be 20 a second
}

// Checkpointer asks for room.checkpointed after Every revisions, or where a room has been quiet. Close it.
type Checkpointer struct {
	cfg    CheckpointConfig
	cancel context.CancelFunc
	wg     sync.WaitGroup
	queue  chan string // rooms that are due; a room is in it at most once
	sent   prometheus.Counter
	failed prometheus.Counter

	mu    sync.Mutex
	rooms map[string]*outstanding
}

// outstanding is a room with revisions after its last checkpoint.
type outstanding struct {
	head, checkpointed uint64
	seen               time.Time // last commit
	notBefore          time.Time // after a failure
	queued             bool      // waiting for a worker, or with one
}

// NewCheckpointer starts the workers and reads the backlog.
func NewCheckpointer(cfg CheckpointConfig) *Checkpointer {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Every == 0 {
		cfg.Every = 500
	}
	setDefault(&cfg.Quiet, 30*time.Second)
	setDefault(&cfg.Workers, 2)
	setDefault(&cfg.MaxRooms, 100_000)
	setDefault(&cfg.Timeout, 10*time.Second)
	setDefault(&cfg.Retry, 5*time.Second)
	setDefault(&cfg.Gap, 5*time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	c := &Checkpointer{cfg: cfg, cancel: cancel, queue: make(chan string, 1024), rooms: map[string]*outstanding{},
		sent:   counter("kanvas_checkpoints_total", "Checkpoint commands answered."),
		failed: counter("kanvas_checkpoints_failed_total", "Checkpoint commands that failed and are tried again."),
	}
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(c.sent, c.failed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kanvas_checkpoints_outstanding",
			Help: "Rooms with revisions after their last checkpoint."}, func() float64 { return float64(c.Outstanding()) }))
	}
	for range cfg.Workers {
		c.wg.Go(func() { c.work(ctx) })
	}
	c.wg.Go(func() { c.watchQuiet(ctx) })
	if cfg.Backlog != nil {
		c.wg.Go(func() { c.readBacklog(ctx) })
	}
	return c
}

// Close gives up what is outstanding (the backlog has it after a restart) and waits for the workers.
func (c *Checkpointer) Close() {
	c.cancel()
	c.wg.Wait()
}

// Outstanding is how many rooms have revisions after their last checkpoint, as far as this process knows.
func (c *Checkpointer) Outstanding() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.rooms)
}

// Handle is a Handler.
func (c *Checkpointer) Handle(_ context.Context, rec events.Record) error {
	if rec.Stream.Kind != events.KindRoom {
		return nil
	}
	first, last, _, _, _, _, err := events.DecodeHeader(rec.Payload)
	if err != nil {
		return fmt.Errorf("%s: sequence %d: %w", rec.Stream, rec.Seq, err)
	}
	checkpointed := first - 1
	if mentions(rec.Payload, checkpointMention) {
		commit, err := decode(rec)
		if err != nil {
			return fmt.Errorf("%s: sequence %d: %w", rec.Stream, rec.Seq, err)
		}
		if _, own, ok := checkpointOf(commit); ok {
			return c.note(rec.Stream.ID, last, own, true)
		}
	}
	return c.note(rec.Stream.ID, last, checkpointed, false)
}

// note takes in that a room is at head. certain: checkpointed is a checkpoint's revision, otherwise a guess for a room not heard of before.
func (c *Checkpointer) note(room string, head, checkpointed uint64, certain bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.rooms[room]
	if o == nil {
		if head <= checkpointed {
			return nil
		}
		if len(c.rooms) >= c.cfg.MaxRooms {
			return fmt.Errorf("checkpoints of %d rooms are outstanding", len(c.rooms))
		}
		o = &outstanding{checkpointed: checkpointed}
		c.rooms[room] = o
	}
	o.head, o.seen = max(o.head, head), time.Now()
	if certain {
		o.checkpointed = max(o.checkpointed, checkpointed)
	}
	c.settle(room, o)
	if o.head >= o.checkpointed+c.cfg.Every {
		c.enqueue(room, o, o.seen)
	}
	return nil
}

// settle forgets a room that has nothing outstanding and may be checkpointed at once should it move on. The caller holds mu.
func (c *Checkpointer) settle(room string, o *outstanding) {
	if o.head <= o.checkpointed && !o.queued && !time.Now().Before(o.notBefore) {
		delete(c.rooms, room)
	}
}

// enqueue hands a room to the workers; where the queue is full the next tick tries again. The caller holds mu.
func (c *Checkpointer) enqueue(room string, o *outstanding, now time.Time) {
	if o.queued || o.head <= o.checkpointed || now.Before(o.notBefore) {
		return
	}
	select {
	case c.queue <- room:
		o.queued = true
	default:
	}
}

func (c *Checkpointer) watchQuiet(ctx context.Context) {
	t := time.NewTicker(max(min(c.cfg.Quiet/10, c.cfg.Gap), time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			c.mu.Lock()
			for room, o := range c.rooms {
				c.settle(room, o)
				if now.Sub(o.seen) >= c.cfg.Quiet || o.head >= o.checkpointed+c.cfg.Every {
					c.enqueue(room, o, now)
				}
			}
			c.mu.Unlock()
		}
	}
}

func (c *Checkpointer) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case room := <-c.queue:
			c.checkpoint(ctx, room)
		}
	}
}

func (c *Checkpointer) checkpoint(ctx context.Context, room string) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	res, err := c.cfg.Rooms.Do(ctx, room, Request{Actor: domain.Actor{ID: domain.SystemID}, Commands: []domain.Command{domain.Checkpoint{}}})
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.rooms[room]
	if o == nil {
		return
	}
	o.queued = false
	switch {
	case err == nil:
		c.sent.Inc()
		o.checkpointed = max(o.checkpointed, res.Last)
		o.notBefore = time.Now().Add(c.cfg.Gap)
	case isCode(err, domain.CodeNotFound): // deleted
		o.checkpointed = o.head
	default:
		c.failed.Inc()
		o.notBefore = time.Now().Add(c.cfg.Retry)
		c.cfg.Logger.Warn("checkpoint failed", slog.String("event", "checkpoint_failed"), slog.String("roomId", room), slog.Any("error", err))
	}
	c.settle(room, o)
}

func (c *Checkpointer) readBacklog(ctx context.Context) {
	err := c.cfg.Backlog.RoomsNeedingCheckpoint(ctx, func(room string, head, checkpointed uint64) bool {
		// A full map is no loss: the next start reads the backlog again.
		if err := c.note(room, head, checkpointed, true); err != nil {
			c.cfg.Logger.Warn("checkpoint backlog cut short", slog.String("event", "checkpoint_backlog"), slog.Any("error", err))
			return false
		}
		return ctx.Err() == nil
	})
	if err != nil && ctx.Err() == nil {
		c.cfg.Logger.Error("checkpoint backlog can't be read", slog.String("event", "checkpoint_backlog"), slog.Any("error", err))
	}
}
