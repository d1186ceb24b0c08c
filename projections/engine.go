package projections

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
)

// maxTails bounds how many streams' ends are remembered for the check of the chain; beyond it all are forgotten, and checked again from
// their next commit on. About 250 bytes each.
const maxTails = 1 << 18

// engine applies changes to one set of tables: the live ones, or a shadow. One goroutine uses it at a time.
type engine struct {
	projection string // the name under which checkpoints and parked streams are kept
	prefix     string // of the tables
	store      Store
	limits     Limits
	tries      int // how often what may pass is tried; 0: until ctx ends
	log        *slog.Logger
	metrics    *metrics
	failed     func(error) bool         // told of each try's error, or nil; says whether it is worth a line in the log. May be nil
	moved      func(map[int]Checkpoint) // where it stands now, after load and each transaction; may be nil

	positions map[int]Checkpoint
	parked    map[events.Stream]Parked
	tails     map[events.Stream]tail
	complete  bool                  // tails holds every stream seen since the start of the log
	applied   func(batch []*change) // after each transaction, what is in the tables now; may be nil
	events    uint64                // applied since load
}

// tail is the end of a stream as far as it was applied.
type tail struct {
	last uint64
	at   int64
	sum  string
}

// load reads where the projection stands.
func (e *engine) load(ctx context.Context) error {
	positions, err := e.store.Checkpoints(ctx, e.projection)
	if err != nil {
		return err
	}
	parked, err := e.store.Parked(ctx, e.projection)
	if err != nil {
		return err
	}
	e.positions, e.parked, e.tails = positions, map[events.Stream]Parked{}, map[events.Stream]tail{}
	for _, p := range parked {
		e.parked[p.Stream] = p
	}
	e.complete = len(positions) == 0
	e.metrics.setParked(len(e.parked))
	e.tell()
	return nil
}

func (e *engine) tell() {
	if e.moved != nil {
		e.moved(maps.Clone(e.positions))
	}
}

// errSplit: several changes make more than the limits allow.
var errSplit = errors.New("projections: more than one transaction")

// apply brings changes into the tables, in order within each partition. What is more than the limits is halved; what the store rejects is
// narrowed down by halves to single changes, whose streams are parked. An error is ErrCheckpoint, ctx's, or, where tries is set, the last one.
func (e *engine) apply(ctx context.Context, changes []*change) error {
	if len(changes) == 0 {
		return nil
	}
	err := e.persist(ctx, changes)
	if !errors.Is(err, ErrRejected) && !errors.Is(err, errSplit) {
		return err
	}
	if len(changes) > 1 {
		if err := e.apply(ctx, changes[:len(changes)/2]); err != nil {
			return err
		}
		return e.apply(ctx, changes[len(changes)/2:])
	}
	bad := *changes[0]
	if bad.err != nil {
		return err // nothing but a note that it is parked was written: the store itself is at fault
	}
	bad.err = err
	return e.persist(ctx, []*change{&bad})
}

// persist applies changes in one transaction, trying again what may pass by itself.
func (e *engine) persist(ctx context.Context, changes []*change) error {
	for try := 1; ; try++ {
		err := e.once(ctx, changes)
		if errors.Is(err, ErrRejected) || errors.Is(err, errSplit) {
			return err
		}
		worth := e.failed == nil || e.failed(err)
		if err == nil || errors.Is(err, ErrCheckpoint) || ctx.Err() != nil || try == e.tries {
			return err
		}
		e.metrics.retried()
		if worth {
			e.log.WarnContext(ctx, "projection: batch failed, trying again", "event", "projection_retry", "projection", e.projection, "try", try, "error", err)
		}
		if err := backoff(ctx, try); err != nil {
			return err
		}
	}
}

// backoff waits 20 ms doubled with each try, at most 5 s, with jitter.
func backoff(ctx context.Context, try int) error {
	d := min(20*time.Millisecond<<min(try-1, 8), 5*time.Second)
	return sleep(ctx, d/2+rand.N(d/2))
}

// attempt is what one transaction does.
type attempt struct {
	fold   fold
	done   []*change
	tails  map[events.Stream]tail
	parked map[events.Stream]Parked
	moves  map[int]*Move
	events uint64
}

func (e *engine) once(ctx context.Context, changes []*change) error {
	a := attempt{tails: map[events.Stream]tail{}, parked: map[events.Stream]Parked{}, moves: map[int]*Move{}}
	var statements []Statement
	for _, ch := range changes {
		a.move(e, ch)
		if e.isParked(&a, ch.stream) {
			continue
		}
		err := ch.err
		if err == nil {
			err = e.follows(&a, ch)
		}
		if err != nil {
			p := Parked{Stream: ch.stream, Partition: ch.partition, Seq: ch.seq, At: ch.commit.At, Reason: err.Error()}
			a.parked[ch.stream] = p
			statements = append(statements, parkStatement(e.projection, &p))
			continue
		}
		a.tails[ch.stream] = tail{last: ch.last, at: ch.commit.At, sum: ch.commit.Sum}
		a.events += ch.last - ch.commit.First + 1
		a.fold.add(ch)
		a.done = append(a.done, ch)
	}
	statements = append(a.fold.statements(e.prefix), statements...)
	if len(changes) > 1 && !e.limits.allow(statements) {
		return errSplit
	}
	start := time.Now()
	if err := e.store.Apply(ctx, e.projection, a.list(), statements); err != nil {
		return err
	}
	e.metrics.appliedBatch(len(changes), a.events, time.Since(start))
	e.commit(ctx, &a)
	e.events += a.events
	if e.applied != nil {
		e.applied(a.done)
	}
	return nil
}

// commit takes over what the transaction did.
func (e *engine) commit(ctx context.Context, a *attempt) {
	for p, m := range a.moves {
		e.positions[p] = m.To
	}
	e.tell()
	if len(e.tails)+len(a.tails) > maxTails {
		clear(e.tails)
		e.complete = false
	}
	for s, t := range a.tails {
		e.tails[s] = t
	}
	for s, p := range a.parked {
		e.parked[s] = p
		e.log.ErrorContext(ctx, "projection: stream parked", "event", "projection_parked", "projection", e.projection,
			"stream", s.String(), "partition", p.Partition, "seq", p.Seq, "reason", p.Reason)
	}
	e.metrics.setParked(len(e.parked))
}

func (e *engine) isParked(a *attempt, s events.Stream) bool {
	if _, ok := e.parked[s]; ok {
		return true
	}
	_, ok := a.parked[s]
	return ok
}

// follows checks the chain: that the commit is the one after the stream's last, where that is known.
func (e *engine) follows(a *attempt, ch *change) error {
	t, known := a.tails[ch.stream]
	if !known {
		t, known = e.tails[ch.stream]
	}
	if !known && !e.complete {
		return nil // the first commit of the stream since the start of this process
	}
	before := &events.Commit{First: t.last, At: t.at, Sum: t.sum, Events: oneEvent[:]}
	if !known {
		before = nil
	}
	c := ch.commit
	c.Events = oneEvent[:]
	return events.VerifyLink(before, &c)
}

// oneEvent stands in for events whose number doesn't matter.
var oneEvent [1]events.Event

// move notes that the change's partition goes on to it.
func (a *attempt) move(e *engine, ch *change) {
	m := a.moves[ch.partition]
	if m == nil {
		m = &Move{Partition: ch.partition, From: e.positions[ch.partition]}
		a.moves[ch.partition] = m
	}
	m.To = Checkpoint{Seq: ch.seq, Sum: ch.commit.Sum, At: ch.commit.At}
	if ch.commit.Sum == "" { // undecodable: the time of the one before is as good as any
		m.To.At = m.From.At
	}
}

// list returns the moves by partition.
func (a *attempt) list() []Move {
	moves := make([]Move, 0, len(a.moves))
	for p := 0; len(moves) < len(a.moves); p++ {
		if m := a.moves[p]; m != nil {
			moves = append(moves, *m)
		}
	}
	return moves
}
