package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/infinite-kanvas/kanvas/events"
)

// What waits for a watcher that does not keep up; more is dropped and reported as a gap.
const (
	watchMessages = 8192
	watchBytes    = 64 << 20
)

// watch is one watcher's subscription.
type watch struct {
	stream  events.Stream
	fn      func(events.Record, bool)
	stopped atomic.Bool

	mu   sync.Mutex // serialises fn
	last uint64     // sequence of the newest record handed out; 0 before the first
}

// watches are all of a Store, for telling them of lost connections.
type watches struct {
	mu sync.Mutex
	m  map[*nats.Subscription]*watch
}

// Watch implements commands.Log. With the embedded server fn is called by whoever appends, before Append returns. A gap is also reported when nothing follows it (after a reconnect, or when messages were
// dropped): then rec has no more than its Stream, and Seq is 0. After stop returns, a call of fn under way may still end.
func (s *Store) Watch(st events.Stream, fn func(rec events.Record, gap bool)) (stop func(), err error) {
	if err := checkStream(st); err != nil {
		return nil, err
	}
	w := &watch{stream: st, fn: fn}
	if s.ns != nil {
		s.locals.add(w)
		return func() {
			w.stopped.Store(true)
			s.locals.remove(w)
		}, nil
	}
	p := s.Partition(st)
	sub, err := s.live.Subscribe(livePrefix+subjectTail(p, st), w.deliver)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", st, err)
	}
	s.watches.add(sub, w)
	stop = func() {
		w.stopped.Store(true)
		s.watches.remove(sub)
		if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
			s.log.Warn("unsubscribe from the log", "stream", st.String(), "error", err)
		}
	}
	if err := s.inForce(p, sub); err != nil {
		stop()
		return nil, fmt.Errorf("watch %s: %w", st, err)
	}
	return stop, nil
}

// inForce returns when the subscription is known where commits of the partition are republished.
func (s *Store) inForce(p int, sub *nats.Subscription) error {
	if err := sub.SetPendingLimits(watchMessages, watchBytes); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if err := s.live.FlushWithContext(ctx); err != nil {
		return err
	}
	if !s.clustered {
		return nil
	}
	// The stream's leader may be another server: an answer of it, over the route on which it learns of the subscription
	// first, shows that it knows.
	_, err := s.live.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+StreamName(p), nil)
	return err
}

func (w *watch) deliver(msg *nats.Msg) {
	rec, err := recordOf(msg)
	if err != nil { // not from the stream: somebody published to live.> by hand
		return
	}
	w.take(rec, headerNumber(msg, "Nats-Last-Sequence"))
}

// take hands out a record that follows the stream's record of sequence after.
func (w *watch) take(rec events.Record, after uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped.Load() || rec.Seq <= w.last {
		return
	}
	gap := w.last != 0 && after != w.last
	w.last = rec.Seq
	w.fn(rec, gap)
}

// gap tells the watcher that records may be missing.
func (w *watch) gap() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped.Load() {
		w.fn(events.Record{Stream: w.stream}, true)
	}
}

func (ws *watches) add(sub *nats.Subscription, w *watch) {
	ws.mu.Lock()
	ws.m[sub] = w
	ws.mu.Unlock()
}

func (ws *watches) remove(sub *nats.Subscription) {
	ws.mu.Lock()
	delete(ws.m, sub)
	ws.mu.Unlock()
}

func (ws *watches) of(sub *nats.Subscription) *watch {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.m[sub]
}

func (ws *watches) gapAll() {
	ws.mu.Lock()
	all := make([]*watch, 0, len(ws.m))
	for _, w := range ws.m {
		all = append(all, w)
	}
	ws.mu.Unlock()
	for _, w := range all {
		w.gap()
	}
}

// liveReconnected tells every watcher to read its tail, once the subscriptions are in force again.
func (s *Store) liveReconnected(nc *nats.Conn) {
	if err := nc.FlushTimeout(callTimeout); err != nil {
		s.log.Warn("flush after reconnect", "role", "live", "error", err) // a lost connection reconnects, and gets here again
	}
	s.watches.gapAll()
}

// liveError hears of dropped messages from nats.go, once per spell of slowness.
func (s *Store) liveError(sub *nats.Subscription, err error) {
	if w := s.watches.of(sub); w != nil && errors.Is(err, nats.ErrSlowConsumer) {
		w.gap()
		return
	}
	if !errors.Is(err, nats.ErrSlowConsumer) { // a slow wake-up subscription loses nothing: Next looks by itself
		s.log.Warn("nats", "role", "live", "error", err)
	}
}
