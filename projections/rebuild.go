package projections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/events"
)

// rebuildTries is how often a rebuild or check tries what may pass by itself: about 20 seconds in all.
const rebuildTries = 10

// rebuildBatch is the most commits in a transaction of a rebuild, about.
const rebuildBatch = 16384

// Rebuilt is what a rebuild did.
type Rebuilt struct {
	Projection string
	Room       string // "" for all
	Events     uint64 // applied to the shadow
	Duration   time.Duration
	// DigestBefore is of the live rows as they were found, DigestAfter of those that replaced them. Equal says that the log gave the same
	// rows at the position of the live ones. Behind is how many commits the live ones were behind the log: the digests differ for that
	// reason alone where Equal is true.
	DigestBefore, DigestAfter string
	Equal                     bool
	Behind                    uint64
	Parked                    []Parked // after it
}

// Rebuild makes the tables again from the log beside the live ones, and swaps them in one transaction: readers never see half. The live
// projector of this Runner waits from the comparison of digests until the swap; one of another process notices by its checkpoint.
// With room, only that room's rows are made again, and it is no longer parked unless its log still can't be applied.
// ErrDamaged, and the live rows stay, where the log no longer gives what they were made from: they may be the last to hold it.
func (r *Runner) Rebuild(ctx context.Context, room string) (Rebuilt, error) {
	start := r.cfg.Now()
	res := Rebuilt{Projection: Tables, Room: room}
	store, ok := r.cfg.Store.(Shadows)
	if !ok {
		return res, fmt.Errorf("rebuild %s: the store %s can't build tables beside the live ones", Tables, r.cfg.Name)
	}
	err := r.withShadow(ctx, store, r.prep, room, func(s *shadow) error {
		r.applying.Lock()
		defer r.applying.Unlock()
		if err := s.compare(ctx, store, &res.DigestBefore, &res.DigestAfter); err != nil {
			return err
		}
		res.Equal = res.DigestBefore == res.DigestAfter
		if err := s.damaged(ctx, store); err != nil {
			return err
		}
		if room != "" && len(s.engine.positions) == 0 {
			return fmt.Errorf("%w: nothing of room %s is applied", ErrNotFound, room)
		}
		behind, err := s.toHead(ctx)
		if err != nil {
			return err
		}
		if res.Behind = behind; behind > 0 {
			if res.DigestAfter, err = s.store.Digest(ctx, true, room); err != nil {
				return err
			}
		}
		res.Events = s.engine.events
		if err := s.store.Swap(ctx, Tables, room); err != nil {
			return fmt.Errorf("swap: %w", err)
		}
		r.mu.Lock()
		if r.restart != nil {
			r.restart()
		}
		r.mu.Unlock()
		return nil
	})
	if err != nil {
		return res, fmt.Errorf("rebuild %s: %w", Tables, err)
	}
	res.Duration = r.cfg.Now().Sub(start)
	res.Parked, err = r.cfg.Store.Parked(ctx, Tables)
	return res, err
}

// shadow is a second set of tables on its way to where the live ones are.
type shadow struct {
	r       *Runner
	prep    *preparer
	store   Shadows // that it is in
	engine  *engine
	room    string
	missing map[int]uint64 // commits by partition that the live tables hold and the log does not
}

// withShadow builds a shadow in store up to about where the live tables are, calls fn, and removes what is left of it.
func (r *Runner) withShadow(ctx context.Context, store Shadows, prep *preparer, room string, fn func(*shadow) error) (err error) {
	if room != "" && r.cfg.Streams == nil {
		return errors.New("one room can't be read: no Streams configured")
	}
	r.building.Lock()
	defer r.building.Unlock()
	if err := store.OpenShadow(ctx, Tables); err != nil {
		return fmt.Errorf("make shadow tables: %w", err)
	}
	defer func() {
		if err != nil { // a swap drops it by itself
			err = errors.Join(err, store.DropShadow(context.WithoutCancel(ctx), Tables))
		}
	}()
	s := &shadow{r: r, prep: prep, store: store, room: room}
	s.engine = &engine{projection: Tables + ShadowSuffix, prefix: ShadowPrefix, store: store, limits: r.cfg.Limits, tries: rebuildTries, log: r.cfg.Logger, metrics: newMetrics(nil, "shadow")}
	if err := s.engine.load(ctx); err != nil {
		return fmt.Errorf("load the position: %w", err)
	}
	if _, err := s.toLive(ctx); err != nil {
		return err
	}
	return fn(s)
}

// toLive brings the shadow to the position of the live tables as stored now, or to the end of a log that has lost commits.
// It returns where the live tables are.
func (s *shadow) toLive(ctx context.Context) (live map[int]Checkpoint, err error) {
	live, err = s.r.cfg.Store.Checkpoints(ctx, Tables)
	if err != nil {
		return nil, err
	}
	targets := map[int]uint64{}
	s.missing = map[int]uint64{}
	for p, c := range live {
		last := uint64(0)
		if p < s.r.cfg.Source.Partitions() {
			if _, last, err = s.r.cfg.Source.Bounds(ctx, p); err != nil {
				return nil, fmt.Errorf("bounds of partition %d: %w", p, err)
			}
		}
		if targets[p] = min(c.Seq, last); c.Seq > last {
			s.missing[p] = c.Seq - last
		}
	}
	return live, s.catchUp(ctx, targets)
}

// damaged is an error where a stream can't be applied from a commit on that the live tables were made from.
func (s *shadow) damaged(ctx context.Context, live Store) error {
	list, err := live.Parked(ctx, Tables)
	if err != nil {
		return err
	}
	since := map[events.Stream]uint64{}
	for _, p := range list {
		since[p.Stream] = p.Seq
	}
	for stream, p := range s.engine.parked {
		if seq, parked := since[stream]; !parked || p.Seq < seq {
			return fmt.Errorf("%w: %s at sequence %d of partition %d: %s", ErrDamaged, stream, p.Seq, p.Partition, p.Reason)
		}
	}
	return nil
}

// compareTries is how often tables that another process moves are compared before that is given up.
const compareTries = 3

// compare brings the shadow to exactly where the live tables are and digests both. This Runner must not move them meanwhile; where another
// process does, it starts again.
func (s *shadow) compare(ctx context.Context, tables Shadows, live, made *string) error {
	for try := 1; ; try++ {
		still, err := s.compareOnce(ctx, tables, live, made)
		if still || err != nil && !errors.Is(err, ErrCheckpoint) {
			return err
		}
		if try == compareTries {
			return fmt.Errorf("%w while they were compared: ask the node that applies, or again when less is going on", ErrCheckpoint)
		}
	}
}

// compareOnce says whether the live tables stood still meanwhile.
func (s *shadow) compareOnce(ctx context.Context, tables Shadows, live, made *string) (still bool, err error) {
	at, err := s.toLive(ctx)
	if err != nil {
		return false, err
	}
	if *live, err = tables.Digest(ctx, false, s.room); err != nil {
		return false, err
	}
	if *made, err = s.store.Digest(ctx, true, s.room); err != nil {
		return false, err
	}
	now, err := s.r.cfg.Store.Checkpoints(ctx, Tables)
	return err == nil && maps.Equal(at, now), err
}

// toHead goes on to the end of the log and returns how many commits that were. A single room stays where the live tables are, as their
// checkpoint will hold for it too.
func (s *shadow) toHead(ctx context.Context) (uint64, error) {
	if s.room != "" {
		return 0, nil
	}
	targets, behind := map[int]uint64{}, uint64(0)
	for p := range s.r.cfg.Source.Partitions() {
		_, last, err := s.r.cfg.Source.Bounds(ctx, p)
		if err != nil {
			return 0, fmt.Errorf("bounds of partition %d: %w", p, err)
		}
		if at := s.engine.positions[p].Seq; last > at {
			targets[p] = last
			behind += last - at
		}
	}
	return behind, s.catchUp(ctx, targets)
}

// catchUp applies what is in the log up to the targets.
func (s *shadow) catchUp(ctx context.Context, targets map[int]uint64) error {
	if s.room != "" {
		return s.catchUpRoom(ctx, targets)
	}
	g, gctx := errgroup.WithContext(ctx)
	chunks := make(chan chunk, 2)
	var readers errgroup.Group
	for p, until := range targets {
		after := s.engine.positions[p].Seq
		if after >= until {
			continue
		}
		rd := &reader{partition: p, after: after, until: until, source: s.r.cfg.Source, prep: s.prep, tries: rebuildTries, failed: s.r.readFailed, out: chunks}
		readers.Go(func() error { return rd.run(gctx) })
	}
	g.Go(func() error { defer close(chunks); return readers.Wait() })
	g.Go(func() error { return s.applyAll(gctx, chunks) })
	return g.Wait()
}

// applyAll applies chunks in batches as large as what is there allows.
func (s *shadow) applyAll(ctx context.Context, chunks <-chan chunk) error {
	for {
		var batch []*change
		size := 0
		for c := range chunks {
			batch = append(batch, c.changes...)
			if size += c.size; len(batch) >= rebuildBatch || size >= 4*chunkBytes {
				break
			}
		}
		if len(batch) == 0 {
			return ctx.Err()
		}
		if err := s.engine.apply(ctx, batch); err != nil {
			return err
		}
	}
}

// catchUpRoom applies the room's records up to its partition's target.
func (s *shadow) catchUpRoom(ctx context.Context, targets map[int]uint64) error {
	stream := events.Room(s.room)
	p := s.r.cfg.Streams.Partition(stream)
	var batch []*change
	var failed error
	size := 0
	flush := func() error {
		err := s.engine.apply(ctx, batch)
		batch, size = nil, 0
		return err
	}
	err := s.r.cfg.Streams.Read(ctx, stream, s.engine.positions[p].Seq+1, func(rec events.Record) bool {
		if rec.Seq > targets[p] {
			return false
		}
		ch, err := s.prep.prepare(ctx, rec)
		if err != nil {
			failed = err
			return false
		}
		batch = append(batch, ch)
		if size += ch.size; len(batch) >= readCommits || size >= chunkBytes {
			failed = flush()
		}
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("read %s: %w", stream, err)
	}
	return flush()
}
