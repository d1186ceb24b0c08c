package watermill

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics beside Watermill's own (kanvas_watermill_…).
type metrics struct {
	reg      prometheus.Registerer // may be nil
	failures *prometheus.CounterVec
	poison   *prometheus.CounterVec
	parked   prometheus.Collector // set by watch
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"handler"})
		var already prometheus.AlreadyRegisteredError
		if r != nil && errors.As(r.Register(c), &already) {
			if old, ok := already.ExistingCollector.(*prometheus.CounterVec); ok {
				return old
			}
		}
		return c
	}
	return &metrics{
		reg:      r,
		failures: counter("kanvas_handler_failures_total", "Tries of process handlers that failed."),
		poison:   counter("kanvas_handler_poison_total", "Records that process handlers gave up on."),
	}
}

// watch exports how many streams are parked.
func (m *metrics) watch(p *parkedSet) {
	m.parked = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kanvas_handler_parked_streams", Help: "Streams that process handlers do not follow any more."},
		func() float64 { p.mu.RLock(); defer p.mu.RUnlock(); return float64(len(p.m)) })
	if m.reg != nil {
		_ = m.reg.Register(m.parked) // a second runner in one process shows the first one's
	}
}

func (m *metrics) unwatch() {
	if m.reg != nil && m.parked != nil {
		m.reg.Unregister(m.parked)
	}
}
