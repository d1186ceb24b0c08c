package kv

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics have the names of those of the cache in the log's engine, and the label store to tell them apart.
type metrics struct {
	seconds  *prometheus.HistogramVec
	gets     *prometheus.CounterVec
	failures *prometheus.CounterVec
	entries  prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "kanvas", Subsystem: "kv", Name: name, Help: help}
	}
	m := metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "kanvas", Subsystem: "kv", Name: "seconds",
			Help: "Time of cache operations.", Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}}, []string{"op"}),
		gets:     prometheus.NewCounterVec(opts("gets_total", "Cache reads, by result."), []string{"result"}),
		failures: prometheus.NewCounterVec(opts("failures_total", "Cache operations that failed."), []string{"op"}),
		entries: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "kanvas", Subsystem: "kv", Name: "put_entries",
			Help: "Entries written by one call.", Buckets: prometheus.ExponentialBuckets(1, 4, 6)}),
	}
	for _, r := range []string{"hit", "miss", "error"} {
		m.gets.WithLabelValues(r)
	}
	for _, op := range []string{"put", "get", "delete", "list"} {
		m.seconds.WithLabelValues(op)
		m.failures.WithLabelValues(op)
	}
	if reg != nil {
		prometheus.WrapRegistererWith(prometheus.Labels{"store": "cloudflare"}, reg).MustRegister(m.seconds, m.gets, m.failures, m.entries)
	}
	return m
}

func (m *metrics) observe(op string, began time.Time, err error) {
	m.seconds.WithLabelValues(op).Observe(time.Since(began).Seconds())
	if err != nil {
		m.failures.WithLabelValues(op).Inc()
	}
}

func (m *metrics) got(ok bool, err error) {
	result := "miss"
	switch {
	case err != nil:
		result = "error"
	case ok:
		result = "hit"
	}
	m.gets.WithLabelValues(result).Inc()
}
