package commands_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// nodeWithFault returns a node whose next append of the room goes through fault, once it is armed.
func nodeWithFault(t *testing.T, fault func(real commands.Log, ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error)) (*commands.Dispatcher, commands.Log, func()) {
	real := openLog(t)
	var armed atomic.Bool
	log := &faultyLog{Log: real, onAppend: func(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
		if armed.CompareAndSwap(true, false) {
			return fault(real, ctx, s, after, payload)
		}
		return real.Append(ctx, s, after, payload)
	}}
	d := newNode(t, log)
	createRoom(t, d, "r")
	return d, real, func() { armed.Store(true) }
}

// say has no seq and no key: were it decided again, it would be there twice.
func say() commands.Request { return by(owner, domain.PostChat{Text: "x", Sealed: "k1.x"}) }

// Something on the way sends the append twice, and the answer that arrives is that of the second one.
func TestRepeatedAppend(t *testing.T) {
	d, log, arm := nodeWithFault(t, func(real commands.Log, ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
		if _, err := real.Append(ctx, s, after, payload); err != nil {
			t.Error(err)
		}
		return real.Append(ctx, s, after, payload)
	})
	arm()
	res := mustDo(t, d, "r", say())
	if cs := readRoom(t, log, "r"); cs[len(cs)-1].Last() != born+1 || res.Last != born+1 || res.Commit == nil {
		t.Fatalf("answered %+v, the log ends at %d", res, cs[len(cs)-1].Last())
	}
}

func TestUnknownOutcomeThatWasStored(t *testing.T) {
	d, log, arm := nodeWithFault(t, func(real commands.Log, ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
		if _, err := real.Append(ctx, s, after, payload); err != nil {
			t.Error(err)
		}
		return 0, commands.ErrUnknownOutcome // the ack was lost
	})
	arm()
	res := mustDo(t, d, "r", say())
	next := mustDo(t, d, "r", say())
	if res.First != born+1 || res.Last != born+1 || res.Commit == nil || next.First != res.Last+1 {
		t.Fatalf("%+v, then %+v", res, next)
	}
	readRoom(t, log, "r")
}

func TestUnknownOutcomeThatWasNotStored(t *testing.T) {
	d, log, arm := nodeWithFault(t, func(commands.Log, context.Context, events.Stream, uint64, []byte) (uint64, error) {
		return 0, commands.ErrUnknownOutcome
	})
	arm()
	mustDo(t, d, "r", say())
	if n := len(readRoom(t, log, "r")); n != 2 {
		t.Fatalf("%d commits", n)
	}
}

// The first attempt is still on its way when the log is read, and is stored just before the second one.
func TestUnknownOutcomeThatIsStoredLate(t *testing.T) {
	real := openLog(t)
	var late func()
	var appends atomic.Int32
	log := &faultyLog{Log: real, onAppend: func(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
		switch appends.Add(1) {
		case 2:
			outlives := context.WithoutCancel(ctx)
			late = func() {
				if _, err := real.Append(outlives, s, after, payload); err != nil {
					t.Errorf("the late append: %v", err)
				}
			}
			return 0, commands.ErrUnknownOutcome
		case 3:
			late()
		}
		return real.Append(ctx, s, after, payload)
	}}
	d := newNode(t, log)
	createRoom(t, d, "r")
	res := mustDo(t, d, "r", say())
	if res.First != res.Last || res.Commit == nil {
		t.Fatalf("%+v", res)
	}
	if cs := readRoom(t, real, "r"); len(cs) != 2 {
		t.Fatalf("%d commits", len(cs))
	}
}

// The outcome is unknown, and what is stored is another node's commit.
func TestUnknownOutcomeThatIsAConflict(t *testing.T) {
	var other *commands.Dispatcher
	d, log, arm := nodeWithFault(t, func(real commands.Log, ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
		mustDo(t, other, "r", by(owner, add(t, "theirs")))
		return 0, commands.ErrUnknownOutcome
	})
	other = newNode(t, log)
	arm()
	res := mustDo(t, d, "r", bySeq(owner, "c", 1, add(t, "ours")))
	cs := readRoom(t, log, "r")
	if head := cs[len(cs)-1]; head.Last() != res.Last || res.First != born+2 {
		t.Fatalf("answered %+v, the log ends at %d", res, head.Last())
	}
}

// The log is out of reach for longer than the node looks: the client is told, and sends again what may or may not be stored.
func TestUnreachableLog(t *testing.T) {
	for _, stored := range []bool{true, false} {
		real := openLog(t)
		var down atomic.Bool
		errDown := errors.New("log is down")
		log := &faultyLog{Log: real,
			onAppend: func(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
				if !down.Load() {
					return real.Append(ctx, s, after, payload)
				}
				if stored {
					_, _ = real.Append(ctx, s, after, payload) // the later ones are refused by the sequence
				}
				return 0, commands.ErrUnknownOutcome
			},
			onRead: func(ctx context.Context, s events.Stream, from uint64, yield func(events.Record) bool) error {
				if down.Load() {
					return errDown
				}
				return real.Read(ctx, s, from, yield)
			}}
		d := newNode(t, log, func(c *commands.Config) { c.UnknownFor = 50 * time.Millisecond })
		createRoom(t, d, "r")
		down.Store(true)
		r := bySeq(owner, "c", 1, add(t, "e"))
		_, err := d.Do(testContext(t), "r", r)
		wantCode(t, err, domain.CodeReadOnly)
		_, err = d.Do(testContext(t), "r", r) // the tail can't be read: nothing is decided
		wantCode(t, err, domain.CodeReadOnly)
		if v, err := d.View(testContext(t), "r"); err != nil || v.Revision > born+1 { // the log's watch may have shown what was stored
			t.Fatalf("reading while the log is down: %v", err)
		}
		down.Store(false)
		res := mustDo(t, d, "r", r)
		if res.Remembered != stored || res.First != born+1 || res.Last != born+1 {
			t.Fatalf("stored %v: answered %+v", stored, res)
		}
		if cs := readRoom(t, real, "r"); len(cs) != 2 {
			t.Fatalf("%d commits", len(cs))
		}
	}
}

func TestReadOnlyAndRecovery(t *testing.T) {
	real := openLog(t)
	var full atomic.Bool
	log := &faultyLog{Log: real, onAppend: func(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
		if full.Load() {
			return 0, commands.ErrLogReadOnly
		}
		return real.Append(ctx, s, after, payload)
	}}
	d := newNode(t, log)
	createRoom(t, d, "r")
	known := bySeq(owner, "c", 1, add(t, "e", `"x":1`))
	first := mustDo(t, d, "r", known)

	full.Store(true)
	f := newFollower()
	w, err := d.Watch(testContext(t), "r", f)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Add(1)
		w.Submit(bySeq(owner, "c", uint64(10+i), patch("e", "x", "2")), func(_ commands.Result, err error) {
			defer wg.Done()
			if !hasCode(err, domain.CodeReadOnly) {
				t.Errorf("answered %v", err)
			}
		})
	}
	wg.Wait()
	again(t, d, known, first) // what is durable is answered
	_, err = d.Do(testContext(t), "r", bySeq(owner, "c", 40, add(t, "e", `"x":9`)))
	wantCode(t, err, domain.CodeConflict) // a rejection needs no disk
	noop := bySeq(owner, "c", 41, patch("gone", "x", "1"))
	nothing := mustDo(t, d, "r", noop)
	v, err := d.View(testContext(t), "r")
	if err != nil || v.Revision != first.Last {
		t.Fatalf("revision %d, %v", v.Revision, err)
	}
	if len(f.commits) != 0 {
		t.Fatal("the watcher was told of a commit that is not stored")
	}

	full.Store(false)
	again(t, d, noop, nothing)
	res := mustDo(t, d, "r", bySeq(owner, "c", 50, patch("e", "x", "2")))
	if res.First != first.Last+1 {
		t.Fatalf("%+v", res)
	}
	again(t, newNode(t, real), noop, nothing) // the answer went with that commit
	readRoom(t, real, "r")
}

// A batch that fails takes everything with it that was decided on it, the memory of its commands too.
func TestRollbackForgetsTheBatch(t *testing.T) {
	real := openLog(t)
	var full atomic.Bool
	in, out := make(chan struct{}), make(chan struct{})
	log := &faultyLog{Log: real, onAppend: func(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
		if full.Load() {
			in <- struct{}{}
			<-out
			return 0, commands.ErrLogReadOnly
		}
		return real.Append(ctx, s, after, payload)
	}}
	d := newNode(t, log)
	createRoom(t, d, "r")
	w, err := d.Watch(testContext(t), "r", newFollower())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	full.Store(true)
	errs := make(chan error, 4)
	reply := func(_ commands.Result, err error) { errs <- err }
	w.Submit(by(owner, add(t, "first")), reply)
	<-in
	noop, nothing := bySeq(owner, "other", 1, patch("gone", "x", "1")), make(chan commands.Result, 1)
	w.Submit(noop, func(res commands.Result, err error) { // decided on durable state: it stands
		if err != nil {
			t.Error(err)
		}
		nothing <- res
	})
	w.Submit(bySeq(owner, "c", 1, add(t, "e", `"x":1`)), reply)
	w.Submit(bySeq(owner, "c", 2, add(t, "e", `"x":2`)), reply) // a conflict with what will never be stored
	w.Submit(bySeq(owner, "c", 1, add(t, "e", `"x":1`)), reply) // known in the batch alone
	out <- struct{}{}
	<-in
	full.Store(false)
	out <- struct{}{}
	for range 4 {
		wantCode(t, <-errs, domain.CodeReadOnly)
	}
	if res := mustDo(t, d, "r", bySeq(owner, "c", 2, add(t, "e", `"x":2`))); res.Remembered || res.First != born+1 {
		t.Fatalf("%+v", res)
	}
	first := <-nothing
	again(t, d, noop, first)
	again(t, newNode(t, real), noop, first) // the answer went with the next commit
	readRoom(t, real, "r")
}
