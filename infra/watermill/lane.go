package watermill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/nats-io/nats.go"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
)

const (
	ackWait   = 5 * time.Second  // without a sign of life the record is delivered again
	lifeSigns = ackWait / 3      // between them, while a record is handled
	longest   = 30 * time.Minute // watermill's own limit of handling one record; ours are Timeout and Retries
)

// Metadata that our unmarshaler gives a message.
const (
	metaSubject = "subject"
	metaSeq     = "seq"
)

// lane is one handler, or several that share a consumer, in one partition.
type lane struct {
	r         *Runner
	of        string // its name in all partitions
	handlers  []*Handler
	done      []uint64 // of each handler, the last record that it took; whoever has the turn
	partition int
	turn      chan struct{}            // capacity 1, full while a record is handled or a release ends
	position  atomic.Uint64            // sequence of the last record that was handled, skipped or parked
	current   atomic.Pointer[nats.Msg] // newest delivery, for signs of life
}

func (l *lane) name() string { return l.of + "-" + strconv.Itoa(l.partition) }

// filter is the subject that the lane listens to: of the one kind that all of its handlers want, or of all.
func (l *lane) filter() string {
	kind := l.handlers[0].Kinds
	for _, h := range l.handlers {
		if len(h.Kinds) != 1 || h.Kinds[0] != kind[0] {
			kind = nil
			break
		}
	}
	subject := ">"
	if len(kind) == 1 {
		subject = string(kind[0]) + ".*"
	}
	return "kanvas." + strconv.Itoa(l.partition) + "." + subject
}

// take waits for the lane's turn.
func (l *lane) take(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *lane) give() { <-l.turn }

// handle is the lane's whole handling of a delivered message; an error means: deliver it again after a nap.
func (l *lane) handle(msg *message.Message) error {
	stop := l.keepAlive()
	defer stop()
	rec, err := recordOf(msg)
	if err != nil {
		l.r.log.Error("handlers were given what is no commit", "lane", l.of, "error", err)
		return nil
	}
	ctx := msg.Context() // the tries put contexts of their own in its place
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	if rec.Seq <= l.position.Load() {
		return nil // delivered again although it is done: its ack was late or lost
	}
	var errs []error
	for i, h := range l.handlers {
		if err := l.pass(ctx, i, h, rec, msg); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		l.position.Store(rec.Seq)
	}
	return errors.Join(errs...)
}

// pass gives the record to the lane's handler i, once: a lane that waits for one handler does not trouble the others again.
func (l *lane) pass(ctx context.Context, i int, h *Handler, rec events.Record, msg *message.Message) error {
	if _, parked := l.r.parked.get(h.Name, rec.Stream); parked || !h.wants(rec.Stream.Kind) || l.done[i] == rec.Seq {
		return nil
	}
	msg.SetContext(ctx) // not the one of the handler before, which has ended
	if err := l.try(h, rec, msg); err != nil {
		if err := l.giveUp(ctx, h, rec, err); err != nil {
			return err
		}
	}
	l.done[i] = rec.Seq
	return nil
}

func (h *Handler) wants(k events.Kind) bool { return len(h.Kinds) == 0 || slices.Contains(h.Kinds, k) }

// try calls Fn, where the handler wants the record, with a deadline; it retries with growing waits, and takes panics for errors.
func (l *lane) try(h *Handler, rec events.Record, msg *message.Message) error {
	if h.Wants != nil && !h.Wants(rec) {
		return nil
	}
	_, err := h.chain(msg)
	return err
}

// makeChain puts Watermill's middleware around Fn, once for all records.
func (r *Runner) makeChain(h *Handler) message.HandlerFunc {
	retry := middleware.Retry{
		MaxRetries: r.opts.Retries, InitialInterval: r.opts.First, MaxInterval: r.opts.Longest, Multiplier: 2, ResetContextOnRetry: true,
		ShouldRetry: func(p middleware.RetryParams) bool {
			r.metrics.failures.WithLabelValues(h.Name).Inc()
			return !r.opts.Transient(p.Err)
		},
	}
	return retry.Middleware(middleware.Recoverer(middleware.Timeout(r.opts.Timeout)(func(m *message.Message) ([]*message.Message, error) {
		rec, err := recordOf(m)
		if err != nil {
			return nil, err
		}
		return nil, h.Fn(m.Context(), rec)
	})))
}

// giveUp parks the stream for the handler, unless the failure says nothing about the record.
func (l *lane) giveUp(ctx context.Context, h *Handler, rec events.Record, cause error) error {
	if ctx.Err() != nil || l.r.opts.Transient(cause) {
		return cause
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	v := Parked{Handler: h.Name, Stream: rec.Stream, Partition: l.partition, Seq: rec.Seq, Reason: reasonOf(cause), At: time.Now().UTC()}
	if err := l.r.parked.poison(ctx, v, rec.Payload); err != nil {
		return errors.Join(cause, err)
	}
	if err := l.r.parked.put(ctx, v); err != nil {
		return errors.Join(cause, err)
	}
	l.r.metrics.poison.WithLabelValues(h.Name).Inc()
	l.r.log.Error("handler gave up on a stream", "handler", h.Name, "stream", rec.Stream.String(), "seq", rec.Seq, "error", cause)
	return nil
}

// reasonOf is the error's text; of a panic its value, without the stack.
func reasonOf(err error) string {
	var p middleware.RecoveredPanicError
	if errors.As(err, &p) {
		return fmt.Sprintf("panic: %v", p.V)
	}
	return err.Error()
}

// keepAlive tells the server that the newest delivery is being handled, until the returned function is called, which waits for a sign under way.
func (l *lane) keepAlive() (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	m, stopped := l.current.Load(), false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(lifeSigns, func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		if err := m.InProgress(); err != nil && !errors.Is(err, nats.ErrMsgAlreadyAckd) {
			l.r.log.Warn("handlers cannot tell that they are at work", "lane", l.of, "error", err)
		}
		timer.Reset(lifeSigns)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// unmarshaler makes Watermill messages of deliveries. It never fails: a message that failed here would be acknowledged by nobody.
type unmarshaler struct{ lanes map[string]*lane } // by durable name

func (u unmarshaler) Unmarshal(m *nats.Msg) (*message.Message, error) {
	var seq uint64
	if meta, err := m.Metadata(); err == nil {
		seq = meta.Sequence.Stream
		if l := u.lanes[meta.Consumer]; l != nil {
			l.current.Store(m)
		}
	}
	text := strconv.FormatUint(seq, 10)
	msg := message.NewMessage(m.Subject+"#"+text, m.Data)
	msg.Metadata.Set(metaSubject, m.Subject)
	msg.Metadata.Set(metaSeq, text)
	return msg, nil
}

func recordOf(msg *message.Message) (events.Record, error) {
	st, p, ok := jetstream.ParseSubject(msg.Metadata.Get(metaSubject))
	seq, err := strconv.ParseUint(msg.Metadata.Get(metaSeq), 10, 64)
	if !ok || err != nil || seq == 0 {
		return events.Record{}, fmt.Errorf("message %s is not of the log", msg.UUID)
	}
	return events.Record{Stream: st, Partition: p, Seq: seq, Payload: msg.Payload}, nil
}
