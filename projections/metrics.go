package projections

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one Runner, by the label projector.
type metrics struct {
	commits, events, retries prometheus.Counter
	batch, seconds           prometheus.Observer
	parked, lag, lagSeconds  prometheus.Gauge
	standby                  prometheus.Gauge
}

// newMetrics makes and registers them; r may be nil.
func newMetrics(r prometheus.Registerer, projector string) *metrics {
	if r == nil {
		r = prometheus.NewRegistry()
	}
	r = prometheus.WrapRegistererWith(prometheus.Labels{"projector": projector}, r)
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kanvas", Subsystem: "projection", Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "kanvas", Subsystem: "projection", Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	histogram := func(name, help string, buckets []float64) prometheus.Observer {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "kanvas", Subsystem: "projection", Name: name, Help: help, Buckets: buckets})
		r.MustRegister(h)
		return h
	}
	return &metrics{
		commits:    counter("commits_total", "Commits applied."),
		events:     counter("events_total", "Events applied."),
		retries:    counter("retries_total", "Reads and batches that failed and were tried again."),
		batch:      histogram("batch_commits", "Commits in a transaction.", prometheus.ExponentialBuckets(1, 4, 8)),
		seconds:    histogram("apply_seconds", "Time of a transaction.", prometheus.ExponentialBuckets(0.0001, 2.5, 12)),
		parked:     gauge("parked_streams", "Streams that are not followed because of a record that could not be applied."),
		lag:        gauge("lag_commits", "Commits in the log that are not applied yet."),
		lagSeconds: gauge("lag_seconds", "Age of the oldest commit that is not applied yet, else 0."),
		standby:    gauge("standby", "1 while another node applies to this store."),
	}
}

func (m *metrics) appliedBatch(commits int, events uint64, d time.Duration) {
	m.commits.Add(float64(commits))
	m.events.Add(float64(events))
	m.batch.Observe(float64(commits))
	m.seconds.Observe(d.Seconds())
}

func (m *metrics) retried()        { m.retries.Inc() }
func (m *metrics) setParked(n int) { m.parked.Set(float64(n)) }

func (m *metrics) setLag(commits uint64, age time.Duration) {
	m.lag.Set(float64(commits))
	m.lagSeconds.Set(age.Seconds())
}

func (m *metrics) setStandby(on bool) {
	if on {
		m.standby.Set(1)
		return
	}
	m.standby.Set(0)
}
