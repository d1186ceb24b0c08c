package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"

	"github.com/infinite-kanvas/kanvas/commands"
)

const (
	defaultTimeout = time.Second     // of one question
	tripAfter      = 3               // failures in a row after which the store is left alone
	defaultRest    = 5 * time.Second // for which it is; then one question finds out
)

// Outcomes, as the label of kanvas_limit_total.
const (
	outcomePassed  = "passed"
	outcomeRefused = "refused" // over the limit
	outcomeOpen    = "open"    // counted by this process alone, for the store is away
	outcomeClosed  = "closed"  // refused, for the store is away and the limit spends
)

// Config is what New needs.
type Config struct {
	Store      commands.Limiter
	Name       string                // of the store, for the log: "jetstream", "upstash"
	Timeout    time.Duration         // of one question; 0: 1 s
	Rest       time.Duration         // how long a store that failed is left alone; 0: 5 s
	Now        func() time.Time      // nil: the system's clock
	Registerer prometheus.Registerer // nil: metrics are counted and not shown
	Logger     *slog.Logger          // nil: none
}

var _ commands.Limiter = (*Limiter)(nil)

// Limiter is a store behind a deadline and a circuit breaker. Safe for concurrent use.
type Limiter struct {
	store    commands.Limiter
	name     string
	timeout  time.Duration
	fallback *Memory
	breaker  *gobreaker.CircuitBreaker[commands.Taken]
	log      *slog.Logger

	total   *prometheus.CounterVec
	seconds prometheus.Histogram
	up      prometheus.Gauge

	mu   sync.Mutex
	down error // of the last question; nil: it was answered
}

// New puts a store behind its guard.
func New(c Config) (*Limiter, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Rest == 0 {
		c.Rest = defaultRest
	}
	l := &Limiter{
		store: c.Store, name: c.Name, timeout: c.Timeout, fallback: NewMemory(c.Now), log: c.Logger,
		total:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kanvas_limit_total", Help: "What was counted against shared limits, by outcome: passed, refused, open and closed (the store is away)."}, []string{"action", "outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "kanvas_limit_store_seconds", Help: "Time to ask the store of shared limits.", Buckets: prometheus.ExponentialBuckets(50e-6, 2, 15)}),
		up:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "kanvas_limit_store_up", Help: "1 while the store of shared limits answers."}),
	}
	l.up.Set(1)
	l.breaker = gobreaker.NewCircuitBreaker[commands.Taken](gobreaker.Settings{
		Name: c.Name, Timeout: c.Rest,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= tripAfter },
		IsExcluded:  func(err error) bool { return errors.Is(err, context.Canceled) }, // the caller went away
	})
	if c.Registerer != nil {
		for _, m := range []prometheus.Collector{l.total, l.seconds, l.up} {
			if err := c.Registerer.Register(m); err != nil {
				return nil, fmt.Errorf("ratelimit: metrics: %w", err)
			}
		}
	}
	return l, nil
}

// Take implements commands.Limiter.
func (l *Limiter) Take(ctx context.Context, limit commands.Limit, who commands.Caller, n int) (commands.Taken, error) {
	t, err := l.breaker.Execute(func() (commands.Taken, error) {
		ctx, cancel := context.WithTimeout(ctx, l.timeout)
		defer cancel()
		began := time.Now()
		t, err := l.store.Take(ctx, limit, who, n)
		l.seconds.Observe(time.Since(began).Seconds())
		l.tell(err)
		return t, err
	})
	outcome := outcomePassed
	switch {
	case err != nil && limit.Spends:
		outcome = outcomeClosed
	case err != nil:
		outcome = outcomeOpen
		t, err = l.fallback.Take(ctx, limit, who, n)
	}
	if err == nil && !t.OK {
		outcome = outcomeRefused
	}
	l.total.WithLabelValues(limit.Action, outcome).Inc()
	return t, err
}

// Down says why the store did not answer when it was last asked; nil: it did.
func (l *Limiter) Down() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// tell says once that the store is away, and once that it is back.
func (l *Limiter) tell(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.down
	l.down = err
	if (err != nil) != (was != nil) {
		if err != nil {
			l.up.Set(0)
			l.log.Warn("limit_store_away", slog.String("store", l.name), slog.String("error", err.Error()),
				slog.String("meaning", "what costs money is refused, other limits are counted by this process alone"))
			return
		}
		l.up.Set(1)
		l.log.Info("limit_store_back", slog.String("store", l.name))
	}
}
