package jetstream

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/commands"
)

// metrics of the log, the cache and the keys.
type metrics struct {
	appends  prometheus.Histogram
	errors   *prometheus.CounterVec
	bytes    prometheus.Counter
	fsync    prometheus.Histogram
	readOnly prometheus.Gauge
	kv       *prometheus.HistogramVec
	kvGets   *prometheus.CounterVec
}

// fast buckets: 50 µs to 10 s.
var latency = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}

// inLog tells the cache here from the one of Cloudflare, whose metrics have the same names.
var inLog = prometheus.Labels{"store": "jetstream"}

// newMetrics makes the metrics and registers them with r, sharing those that are registered already. r may be nil.
func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		appends: share(r, prometheus.NewHistogram(prometheus.HistogramOpts{Name: "kanvas_log_append_seconds",
			Help: "Time from sending a commit to its durable ack, successes only.", Buckets: latency})),
		errors: share(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kanvas_log_append_errors_total",
			Help: "Appends that failed, by kind."}, []string{"kind"})),
		bytes: share(r, prometheus.NewCounter(prometheus.CounterOpts{Name: "kanvas_log_append_bytes_total",
			Help: "Bytes of stored commits."})),
		fsync: share(r, prometheus.NewHistogram(prometheus.HistogramOpts{Name: "kanvas_log_fsync_seconds",
			Help: "Raw write and fsync of 512 bytes on the log's disk, measured at start.", Buckets: latency})),
		readOnly: share(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: "kanvas_log_read_only",
			Help: "1 while the log cannot store."})),
		kv: share(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kanvas_kv_seconds",
			Help: "Time of cache operations.", Buckets: latency, ConstLabels: inLog}, []string{"op"})),
		kvGets: share(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kanvas_kv_gets_total",
			Help: "Cache reads, by result.", ConstLabels: inLog}, []string{"result"})),
	}
}

// share registers c and returns it, or what is registered under its name already (a second store in one process).
func share[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	err := r.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if old, ok := already.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}

func (m *metrics) appended(d time.Duration, bytes int, err error) {
	if err == nil {
		m.appends.Observe(d.Seconds())
		m.bytes.Add(float64(bytes))
		return
	}
	m.errors.WithLabelValues(kindOf(err)).Inc()
}

func kindOf(err error) string {
	switch {
	case errors.Is(err, commands.ErrSequence):
		return "sequence"
	case errors.Is(err, commands.ErrUnknownOutcome):
		return "unknown_outcome"
	case errors.Is(err, commands.ErrLogReadOnly):
		return "read_only"
	case errors.Is(err, commands.ErrCommitTooLarge):
		return "too_large"
	default:
		return "other"
	}
}
