package watermill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	wm "github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	wmmetrics "github.com/ThreeDotsLabs/watermill/components/metrics"
	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/infinite-kanvas/kanvas/infra/jetstream"
)

const closeTimeout = 20 * time.Second // of handling what is under way

// Runner is a set of running handlers. Safe for concurrent use.
type Runner struct {
	store   *jetstream.Store
	opts    Options
	log     *slog.Logger
	metrics *metrics
	parked  *parkedSet
	lanes   map[string]*lane // by name, which is the durable's too
	router  *message.Router
	conns   []*natsgo.Conn
	gone    []chan struct{} // closed with the connection
	cancel  context.CancelFunc
	freeing chan struct{} // capacity 1, full while a Release is under way

	started   bool
	done      chan struct{} // closed when the router has ended
	err       error         // of the router, after done
	closeOnce sync.Once
	closeErr  error
}

// Run starts the handlers and returns when all of them listen. It fails where another process runs one of them.
// The caller calls Close, before it closes the store.
func Run(ctx context.Context, store *jetstream.Store, hs []Handler, opts Options) (*Runner, error) {
	opts.setDefaults()
	if err := check(hs); err != nil {
		return nil, err
	}
	r := &Runner{store: store, opts: opts, log: opts.Logger, metrics: newMetrics(opts.Registerer), lanes: map[string]*lane{}, freeing: make(chan struct{}, 1), done: make(chan struct{})}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	if err := r.start(ctx, life, hs); err != nil {
		return nil, errors.Join(err, r.Close(context.WithoutCancel(ctx)))
	}
	return r, nil
}

func (r *Runner) start(ctx, life context.Context, hs []Handler) (err error) {
	if r.parked, err = openParked(ctx, r.store.JetStream(), r.store.Replicas()); err != nil {
		return err
	}
	r.metrics.watch(r.parked)
	if r.router, err = message.NewRouter(message.RouterConfig{CloseTimeout: closeTimeout}, logger{r.log}); err != nil {
		return fmt.Errorf("handlers: %w", err)
	}
	if r.opts.Registerer != nil {
		wmmetrics.NewPrometheusMetricsBuilder(r.opts.Registerer, "kanvas", "watermill").AddPrometheusRouterMetrics(r.router)
	}
	hs = slices.Clone(hs) // what follows is this Runner's own
	for i := range hs {
		hs[i].chain = r.makeChain(&hs[i])
	}
	names, lanes := byLane(hs)
	for _, name := range names {
		if err := r.add(ctx, name, lanes[name]); err != nil {
			return fmt.Errorf("handlers: %s: %w", name, err)
		}
	}
	r.started = true
	go func() {
		defer close(r.done)
		r.err = r.router.Run(life)
	}()
	select {
	case <-r.router.Running():
		return nil
	case <-r.done:
		return fmt.Errorf("handlers: %w", r.err)
	case <-ctx.Done():
		return fmt.Errorf("handlers: %w", ctx.Err())
	}
}

// byLane returns the names of the lanes, and the handlers of each, in the order given.
func byLane(hs []Handler) (names []string, lanes map[string][]*Handler) {
	lanes = map[string][]*Handler{}
	for i := range hs {
		name := hs[i].Lane
		if name == "" {
			name = hs[i].Name
		}
		if lanes[name] == nil {
			names = append(names, name)
		}
		lanes[name] = append(lanes[name], &hs[i])
	}
	return names, lanes
}

// add makes the lanes of handlers that share them, one a partition, with a connection and a subscriber for them all: the subscriber drains the connection at its end.
func (r *Runner) add(ctx context.Context, name string, hs []*Handler) error {
	own := map[string]*lane{}
	for p := range r.store.Partitions() {
		l := &lane{r: r, of: name, handlers: hs, done: make([]uint64, len(hs)), partition: p, turn: make(chan struct{}, 1)}
		if err := r.consumer(ctx, l); err != nil {
			return err
		}
		own[l.name()], r.lanes[l.name()] = l, l
	}
	gone := make(chan struct{})
	nc, err := r.store.Dial("handler "+name, natsgo.ClosedHandler(func(*natsgo.Conn) { close(gone) }))
	if err != nil {
		return err
	}
	r.conns, r.gone = append(r.conns, nc), append(r.gone, gone)
	durable := map[string]string{} // by filter
	for name, l := range own {
		durable[l.filter()] = name
	}
	sub, err := nats.NewSubscriberWithNatsConn(nc, nats.SubscriberSubscriptionConfig{
		Unmarshaler: unmarshaler{own}, SubscribersCount: 1, AckWaitTimeout: longest, CloseTimeout: closeTimeout, SubscribeTimeout: storeTimeout,
		NakDelay: nats.NewStaticDelay(r.opts.Nap),
		JetStream: nats.JetStreamConfig{
			AckAsync: true, // a lost ack makes a second delivery, which the position knows
			// Without ManualAck nats.go acknowledges whatever the callback returns from, also what was not handled.
			SubscribeOptions:  []natsgo.SubOpt{natsgo.ManualAck()},
			DurableCalculator: func(_, subject string) string { return durable[subject] },
		},
	}, logger{r.log})
	if err != nil {
		return err
	}
	for name, l := range own {
		r.router.AddConsumerHandler(name, l.filter(), sub, l.handle)
	}
	return nil
}

// consumer makes or finds the lane's durable and its position.
func (r *Runner) consumer(ctx context.Context, l *lane) error {
	c, err := r.store.JetStream().CreateOrUpdatePushConsumer(ctx, jetstream.StreamName(l.partition), natsjs.ConsumerConfig{
		Durable: l.name(), Description: "Kanvas: handlers " + l.of, FilterSubject: l.filter(),
		DeliverSubject: "_KANVAS.handler." + l.of + "." + l.name(), DeliverPolicy: natsjs.DeliverAllPolicy,
		AckPolicy: natsjs.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: 1, MaxDeliver: -1, Replicas: r.store.Replicas(),
	})
	if err != nil {
		return err
	}
	info := c.CachedInfo()
	if info.PushBound {
		return fmt.Errorf("another process runs it")
	}
	l.position.Store(info.AckFloor.Stream)
	return nil
}

// Done is closed when the handlers have ended, by Close or by themselves.
func (r *Runner) Done() <-chan struct{} { return r.done }

// Close lets what is under way finish, for 20 s or until ctx ends, and ends the handlers. What was not acknowledged comes again at
// the next Run.
func (r *Runner) Close(ctx context.Context) error {
	r.closeOnce.Do(func() { r.closeErr = r.close(ctx) })
	return r.closeErr
}

func (r *Runner) close(ctx context.Context) error {
	var errs []error
	if r.started {
		errs = append(errs, r.closeRouter(ctx))
	}
	r.cancel()
	if r.started {
		<-r.done
		errs = append(errs, r.err)
	}
	for i, nc := range r.conns {
		nc.Close()
		<-r.gone[i]
	}
	r.metrics.unwatch()
	return errors.Join(errs...)
}

// closeRouter ends the router. The subscriber cancels what is under way as soon as it is closed: so wait for that first, with
// the turns taken so that nothing new begins.
func (r *Runner) closeRouter(ctx context.Context) error {
	if !r.router.IsRunning() {
		return nil
	}
	turns, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	var errs []error
	for _, l := range r.lanes {
		if err := l.take(turns); err != nil {
			errs = append(errs, fmt.Errorf("handlers: %s was still at work at close: %w", l.of, err))
			break
		}
	}
	return errors.Join(append(errs, r.router.Close())...)
}

// logger passes Watermill's errors on.
type logger struct{ log *slog.Logger }

func (l logger) Error(msg string, err error, fields wm.LogFields) {
	args := []any{"detail", msg, "error", err}
	for k, v := range fields {
		args = append(args, k, v)
	}
	l.log.Warn("handler", args...)
}

func (logger) Info(string, wm.LogFields)  {}
func (logger) Debug(string, wm.LogFields) {}
func (logger) Trace(string, wm.LogFields) {}
func (l logger) With(fields wm.LogFields) wm.LoggerAdapter {
	args := make([]any, 0, 2*len(fields))
	for k, v := range fields {
		args = append(args, k, v)
	}
	return logger{l.log.With(args...)}
}
