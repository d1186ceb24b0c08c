package jetstream

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// errDisconnected: the connection broke while an answer was awaited.
var errDisconnected = errors.New("jetstream: connection lost while waiting for an answer")

// errOverflow: more answers came than were asked for.
var errOverflow = errors.New("jetstream: too many answers")

// mux sends requests over one connection and hands out their answers, one or several each. Unlike nats.go's own requests
// it fails what waits as soon as the connection is lost, and never retries.
type mux struct {
	nc     *nats.Conn
	sub    *nats.Subscription
	prefix string // of reply subjects, with the last dot

	mu    sync.Mutex
	next  uint64
	waits map[string]*wait
}

// wait is one request's queue of answers; its capacity is what was asked for.
type wait struct {
	token string
	ch    chan *nats.Msg
	fail  chan error // capacity 1
}

func newMux(nc *nats.Conn) (*mux, error) {
	m := &mux{nc: nc, prefix: nats.NewInbox() + ".", waits: map[string]*wait{}}
	var err error
	if m.sub, err = nc.Subscribe(m.prefix+"*", m.answer); err != nil {
		return nil, err
	}
	return m, m.sub.SetPendingLimits(-1, -1) // bounded by what was asked for
}

func (m *mux) answer(msg *nats.Msg) {
	token := strings.TrimPrefix(msg.Subject, m.prefix)
	m.mu.Lock()
	w := m.waits[token]
	m.mu.Unlock()
	if w == nil {
		return // nobody waits any more
	}
	select {
	case w.ch <- msg:
	default:
		w.failWith(errOverflow)
	}
}

func (w *wait) failWith(err error) {
	select {
	case w.fail <- err:
	default: // it has failed already
	}
}

// failAll ends every wait with err.
func (m *mux) failAll(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.waits {
		w.failWith(err)
	}
}

// send publishes msg with a reply subject of its own; up to answers messages are kept. sent is false where nothing
// can have left this process. The caller must call done.
func (m *mux) send(msg *nats.Msg, answers int) (w *wait, sent bool, err error) {
	w = &wait{ch: make(chan *nats.Msg, answers), fail: make(chan error, 1)}
	m.mu.Lock()
	m.next++
	w.token = strconv.FormatUint(m.next, 36)
	m.waits[w.token] = w
	m.mu.Unlock()
	msg.Reply = m.prefix + w.token
	if err := m.nc.PublishMsg(msg); err != nil {
		m.done(w)
		return nil, !definitelyUnsent(err), err
	}
	return w, true, nil
}

// definitelyUnsent reports errors of publishing that leave nothing in any buffer.
func definitelyUnsent(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, nats.ErrConnectionDraining) || errors.Is(err, nats.ErrMaxPayload) ||
		errors.Is(err, nats.ErrBadSubject) || errors.Is(err, nats.ErrHeadersNotSupported)
}

func (m *mux) done(w *wait) {
	m.mu.Lock()
	delete(m.waits, w.token)
	m.mu.Unlock()
}

// receive returns the next answer. Answers that came before a failure are handed out first.
func (w *wait) receive(ctx context.Context) (*nats.Msg, error) {
	select {
	case msg := <-w.ch:
		return msg, nil
	default:
	}
	select {
	case msg := <-w.ch:
		return msg, nil
	case err := <-w.fail:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// request sends one message and returns its one answer.
func (m *mux) request(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	w, _, err := m.send(&nats.Msg{Subject: subject, Data: data}, 1)
	if err != nil {
		return nil, err
	}
	defer m.done(w)
	return w.receive(ctx)
}

// status is the code of an answer without a body: "404", "204", "503" for nobody there.
func status(msg *nats.Msg) string {
	if msg.Header == nil || len(msg.Data) > 0 {
		return ""
	}
	return msg.Header.Get("Status")
}

// withDeadline gives ctx callTimeout where it has no deadline.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, callTimeout)
}
