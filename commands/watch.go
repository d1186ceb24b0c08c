package commands

import (
	"sync"
	"sync/atomic"

	"github.com/infinite-kanvas/kanvas/events"
)

// watch is one Watcher's subscription to an actor. It holds the room loaded until Close.
type watch struct {
	a       *actor
	w       Watcher
	release func()
	once    sync.Once
	closed  atomic.Bool
}

func (w *watch) committed(c *events.Commit) {
	if !w.closed.Load() {
		w.w.Committed(c)
	}
}

func (w *watch) ended(err error) {
	if !w.closed.Load() {
		w.w.Ended(err)
	}
}

// View implements Watch. Where the actor has stopped, fn is not called: the Watcher is told by Ended.
func (w *watch) View(fn func(*View)) {
	w.a.box.task(func() { fn(w.a.view()) })
}

// Submit implements Watch.
func (w *watch) Submit(r Request, reply func(Result, error)) {
	if err := w.a.box.submit(r, reply); err != nil {
		w.a.metrics.refusedRequest()
		reply(Result{}, err)
	}
}

// Close implements Watch. A call of the Watcher that is under way when Close is called may still end after it; no new one begins.
func (w *watch) Close() {
	w.once.Do(func() {
		w.closed.Store(true)
		w.a.box.task(func() { w.a.unwatch(w) })
		w.release()
	})
}

func (a *actor) unwatch(w *watch) {
	for i, x := range a.watchers {
		if x == w {
			a.watchers = append(a.watchers[:i], a.watchers[i+1:]...)
			return
		}
	}
}
