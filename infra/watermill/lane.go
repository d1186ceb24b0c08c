package watermill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
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

// lane is one handler in one partition.
type lane struct {
	r         *Runner
	h         *Handler
	partition int
	turn      chan struct{}            // capacity 1, full while a record is handled or a release ends
	position  atomic.Uint64            // sequence of the last record that was handled, skipped or parked
	current   atomic.Pointer[nats.Msg] // newest delivery, for signs of life
}

func (l *lane) name() string   { return l.h.Name + "-" + strconv.Itoa(l.partition) }
func (l *lane) filter() string { return filterOf(l.h, l.partition) }

// filterOf is the subject that a handler listens to: of its one kind, or of all.
func filterOf(h *Handler, partition int) string {
	kind := ">"
	if len(h.Kinds) == 1 {
		kind = string(h.Kinds[0]) + ".*"
	}
	return "kanvas." + strconv.Itoa(partition) + "." + kind
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
		l.r.log.Error("handler was given what is no commit", "handler", l.h.Name, "error", err)
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
	if _, parked := l.r.parked.get(l.h.Name, rec.Stream); !parked && l.h.wants(rec.Stream.Kind) {
		if err := l.try(msg); err != nil {
			if err := l.giveUp(ctx, rec, err); err != nil {
				return err
			}
		}
	}
	l.position.Store(rec.Seq)
	return nil
}

func (h *Handler) wants(k events.Kind) bool { return len(h.Kinds) == 0 || slices.Contains(h.Kinds, k) }

// try calls Fn with a deadline, retries with growing waits, and takes panics for errors.
func (l *lane) try(msg *message.Message) error {
	o := &l.r.opts
	retry := middleware.Retry{
		MaxRetries: o.Retries, InitialInterval: o.First, MaxInterval: o.Longest, Multiplier: 2, ResetContextOnRetry: true,
		ShouldRetry: func(p middleware.RetryParams) bool {
			l.r.metrics.failures.WithLabelValues(l.h.Name).Inc()
			return !o.Transient(p.Err)
		},
	}
	h := retry.Middleware(middleware.Recoverer(middleware.Timeout(o.Timeout)(func(m *message.Message) ([]*message.Message, error) {
		rec, err := recordOf(m)
		if err != nil {
			return nil, err
		}
		return nil, l.h.Fn(m.Context(), rec)
	})))
	_, err := h(msg)
	return err
}

// giveUp parks the stream, unless the failure says nothing about the record.
func (l *lane) giveUp(ctx context.Context, rec events.Record, cause error) error {
	if ctx.Err() != nil || l.r.opts.Transient(cause) {
		return cause
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	v := Parked{Handler: l.h.Name, Stream: rec.Stream, Partition: l.partition, Seq: rec.Seq, Reason: reasonOf(cause), At: time.Now().UTC()}
	if err := l.r.parked.poison(ctx, v, rec.Payload); err != nil {
		return errors.Join(cause, err)
	}
	if err := l.r.parked.put(ctx, v); err != nil {
		return errors.Join(cause, err)
	}
	l.r.metrics.poison.WithLabelValues(l.h.Name).Inc()
	l.r.log.Error("handler gave up on a stream", "handler", l.h.Name, "stream", rec.Stream.String(), "seq", rec.Seq, "error", cause)
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

// keepAlive tells the server that the newest delivery is being handled, until the returned function is called.
func (l *lane) keepAlive() (stop func()) {
	m := l.current.Load()
	quit, done := make(chan struct{}), make(chan struct{})
	timer := time.NewTicker(lifeSigns)
	go func() {
		defer close(done)
		defer timer.Stop()
		for {
			select {
			case <-quit:
				return
			case <-timer.C:
				if err := m.InProgress(); err != nil && !errors.Is(err, nats.ErrMsgAlreadyAckd) {
					l.r.log.Warn("handler cannot tell that it is at work", "handler", l.h.Name, "error", err)
				}
			}
		}
	}()
	return func() { close(quit); <-done }
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
