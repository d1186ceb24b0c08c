package cloudflare

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one Client. The label service is what Options was given.
type metrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	retries prometheus.Counter
}

func newMetrics(r prometheus.Registerer, b *budget) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "kanvas", Subsystem: "cloudflare", Name: "calls_total",
			Help: "Calls to Cloudflare's API by service and outcome; held ones were not made for want of budget."}, []string{"service", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "kanvas", Subsystem: "cloudflare", Name: "call_seconds",
			Help: "Time of calls to Cloudflare's API by service, without the wait for their turn.", Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 13)}, []string{"service"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kanvas", Subsystem: "cloudflare", Name: "retries_total",
			Help: "Calls that were made again after a failure, as they are harmless when repeated."}),
	}
	left := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "kanvas", Subsystem: "cloudflare", Name: "budget_left_ratio",
		Help: "How much of the reserve of calls is left, 0 to 1; 1 where calls aren't counted."}, b.left)
	if r != nil {
		r.MustRegister(m.calls, m.seconds, m.retries, left)
	}
	return m
}

func (m *metrics) held(service string) { m.calls.WithLabelValues(service, "held").Inc() }

func (m *metrics) called(service string, failed *Error, d time.Duration) {
	m.calls.WithLabelValues(service, outcome(failed)).Inc()
	m.seconds.WithLabelValues(service).Observe(d.Seconds())
}

func outcome(failed *Error) string {
	if failed == nil {
		return "ok"
	}
	switch failed.Kind {
	case ErrUnknown:
		return "unknown"
	case ErrUnreachable:
		return "unreachable"
	case ErrLimited:
		return "limited"
	case ErrDenied:
		return "denied"
	case ErrNotFound:
		return "not_found"
	}
	return "refused"
}
