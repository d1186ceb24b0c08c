package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// actor owns one room. Fields below the line belong to its goroutine.
type actor struct {
	cfg     *Config
	ids     *idSource
	metrics *metrics
	stream  events.Stream
	limit   int                                                                   // bytes of a commit
	before  func(ctx context.Context, revision uint64) ([]*domain.Element, error) // the elements of a revision, from the log
	box     *mailbox
	ring    ring
	base    context.Context // ends when pending commits may no longer finish
	done    chan struct{}   // closed when the goroutine has ended
	onFail  func(error)     // tells the dispatcher that the room is damaged
	revLast atomic.Uint64   // durable revision
	viewNow atomic.Pointer[View]
	past    *viewCache                  // the dispatcher's
	kept    atomic.Pointer[domain.Room] // see keepCheckpoint

	// ----
	room     *domain.Room // durable between turns
	watchers []*watch
	carried  []events.Done // of commands that changed nothing: they go with the next commit
	batch    batch
	mustSync bool // an outcome is unknown: read the tail before anything is decided
	exact    bool // the state is what a fold of the log gives: nothing was ever carried, which moves the time it is remembered under
	restored restored
	people   *people // of the newest View; nil after a change
}

func newActor(d *Dispatcher, roomID string) *actor {
	return &actor{
		cfg: &d.cfg, ids: d.ids, metrics: d.metrics,
		stream: events.Room(roomID),
		limit:  min(d.cfg.Log.MaxPayload(), MaxCommitBytes),
		before: func(ctx context.Context, revision uint64) ([]*domain.Element, error) {
			return d.elementsAt(ctx, roomID, revision)
		},
		box:   newMailbox(),
		base:  d.base,
		past:  &d.past,
		exact: true,
		done:  make(chan struct{}),
	}
}

// loaded gives the actor its room before run.
func (a *actor) loaded(r *domain.Room) {
	a.room = r
	a.revLast.Store(r.Revision())
	a.box.advanced(r.Seq())
}

// run works until the mailbox is closed and empty, or the room turns out to be damaged.
func (a *actor) run() {
	defer close(a.done)
	_, err := a.finishOperation() // what a process that died has left
	for served := 0; err == nil; {
		if served >= yieldFrom {
			runtime.Gosched() // those who were just answered have more to say: a larger commit for one fsync
		}
		w, ok := a.box.take()
		if !ok {
			break
		}
		served = len(w.requests)
		if err = a.turn(w); err != nil {
			break
		}
	}
	a.end(err)
}

// turn works off what was taken: first what others committed, then the tasks (the state is durable here), then the requests.
func (a *actor) turn(w work) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while deciding: %v", p)
			a.cfg.Logger.Error("room actor panicked", slog.String("event", "room_panic"), slog.String("roomId", a.stream.ID),
				slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		}
		if err != nil {
			a.refuse(w.requests, damage(a.stream.ID, err))
		}
	}()
	if err := a.follow(w.incoming, w.gap); err != nil {
		return err
	}
	for _, t := range w.tasks {
		t()
	}
	for left := w.requests; len(left) > 0; {
		n, err := a.commitSome(left)
		left = left[n:]
		if err != nil {
			return err
		}
	}
	return nil
}

// refuse answers those of the requests that have no answer yet.
func (a *actor) refuse(ps []pending, err error) {
	n, bytes := 0, 0
	for i := range ps {
		if !ps[i].told {
			n++
			bytes += ps[i].bytes
			ps[i].tell(Result{}, err)
		}
	}
	a.box.answered(n, bytes)
}

// end tells everybody that no more comes. err is nil after an orderly close.
func (a *actor) end(err error) {
	reason := a.box.stopped()
	if err != nil {
		var e *domain.Error
		if !errors.As(err, &e) {
			e = damage(a.stream.ID, err)
		}
		reason = e
		a.cfg.Logger.Error("room stopped", slog.String("event", "room_damaged"), slog.String("roomId", a.stream.ID), slog.Any("error", err))
		a.metrics.damaged.Inc()
		if a.onFail != nil {
			a.onFail(e)
		}
	}
	a.refuse(a.box.drop(reason), reason)
	for _, w := range a.watchers {
		w.ended(reason)
	}
	a.watchers = nil
}

// published takes a durable commit into the memory of recent ones and tells the watchers.
func (a *actor) published(c *events.Commit, bytes int) {
	a.box.advanced(c.Seq)
	a.revLast.Store(c.Last())
	a.viewNow.Store(nil)
	a.ring.add(c, bytes)
	if changesPeople(c) {
		a.people = nil
	}
	for _, w := range a.watchers {
		w.committed(c)
	}
}

// changesPeople reports whether a commit may change roles, participants or the room's own data.
func changesPeople(c *events.Commit) bool {
	for i := range c.Events {
		switch c.Events[i].Type {
		case events.ElementAdded, events.ElementPatched, events.ElementRemoved, events.ChatPosted,
			events.CommentAdded, events.CommentResolved, events.RoomCheckpointed:
		default:
			return true
		}
	}
	return false
}

// pause waits d or until pending commits may no longer finish.
func (a *actor) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.base.Done():
	}
}
