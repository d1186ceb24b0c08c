package objects

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/commands"
)

// Metrics of one object store, told apart by the label store. Safe for concurrent use.
type Metrics struct {
	seconds          *prometheus.HistogramVec
	bytes, transfers *prometheus.CounterVec
	failures         *prometheus.CounterVec
}

// NewMetrics makes them and registers them on reg, which may be nil.
func NewMetrics(reg prometheus.Registerer, store string) (*Metrics, error) {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "kanvas", Subsystem: "object", Name: name, Help: help}, []string{"op"})
	}
	m := &Metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "kanvas", Subsystem: "object", Name: "seconds",
			Help: "Time of object store calls by operation; of a get until its first byte.", Buckets: prometheus.ExponentialBuckets(1e-4, 4, 10)}, []string{"op"}),
		bytes:     counter("bytes_total", "Bytes put into and read from the object store."),
		transfers: counter("transfer_seconds_total", "Time in which these bytes moved: bytes by this time is the throughput."),
		failures:  counter("failures_total", "Object store calls that failed; a missing object is no failure."),
	}
	for _, op := range []string{"put", "get", "head", "delete", "list"} { // so that rates start from zero
		m.seconds.WithLabelValues(op)
		m.failures.WithLabelValues(op)
	}
	for _, op := range []string{"put", "get"} {
		m.bytes.WithLabelValues(op)
		m.transfers.WithLabelValues(op)
	}
	if reg == nil {
		return m, nil
	}
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"store": store}, reg)
	for _, c := range []prometheus.Collector{m.seconds, m.bytes, m.transfers, m.failures} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("objects: %w", err)
		}
	}
	return m, nil
}

// Observe notes a call that began at began and ended now with err.
func (m *Metrics) Observe(op string, began time.Time, err error) {
	m.seconds.WithLabelValues(op).Observe(time.Since(began).Seconds())
	if err != nil && !errors.Is(err, commands.ErrNoObject) {
		m.failures.WithLabelValues(op).Inc()
	}
}

// Moved notes n bytes that took d to move.
func (m *Metrics) Moved(op string, n int64, d time.Duration) {
	m.bytes.WithLabelValues(op).Add(float64(n))
	m.transfers.WithLabelValues(op).Add(d.Seconds())
}
