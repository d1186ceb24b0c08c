package d1

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/projections"
)

type metrics struct {
	calls             *prometheus.HistogramVec
	statements        *prometheus.HistogramVec
	batch, bytes      prometheus.Histogram
	outcomes          *prometheus.CounterVec
	rowsRead, written prometheus.Counter

	kinds sync.Map // SQL → kind; there are few texts, as rows are parameters
}

func newMetrics(r prometheus.Registerer) *metrics {
	name := func(n, help string) (o prometheus.HistogramOpts) {
		o.Namespace, o.Subsystem, o.Name, o.Help = "kanvas", "d1", n, help
		return o
	}
	times := func(o prometheus.HistogramOpts) prometheus.HistogramOpts {
		o.Buckets = prometheus.ExponentialBuckets(0.0001, 2.5, 15)
		return o
	}
	sizes := func(o prometheus.HistogramOpts, start float64) prometheus.HistogramOpts {
		o.Buckets = prometheus.ExponentialBuckets(start, 4, 8)
		return o
	}
	counter := func(n, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(prometheus.Opts{Namespace: "kanvas", Subsystem: "d1", Name: n, Help: help}))
	}
	m := &metrics{
		calls:      prometheus.NewHistogramVec(times(name("call_seconds", "Time of calls by operation, with the wait for their turn.")), []string{"operation"}),
		statements: prometheus.NewHistogramVec(times(name("statement_seconds", "Time of statements inside of D1, by verb and table.")), []string{"kind"}),
		batch:      prometheus.NewHistogram(sizes(name("batch_statements", "Statements of batches that apply commits."), 1)),
		bytes:      prometheus.NewHistogram(sizes(name("batch_bytes", "Bytes of batches that apply commits."), 256)),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "kanvas", Subsystem: "d1", Name: "unknown_outcomes_total",
			Help: "Batches whose answer was lost, by what the checkpoint then said: applied, not_applied, moved (by another node), not_yet (it could not be read)."}, []string{"resolved"}),
		rowsRead: counter("rows_read_total", "Rows that D1 read, which it bills."),
		written:  counter("rows_written_total", "Rows that D1 wrote, which it bills."),
	}
	for _, resolved := range []string{"applied", "not_applied", "moved", "not_yet"} { // so that rates start from zero
		m.outcomes.WithLabelValues(resolved)
	}
	if r != nil {
		r.MustRegister(m.calls, m.statements, m.batch, m.bytes, m.outcomes, m.rowsRead, m.written)
	}
	return m
}

func (m *metrics) called(operation string, statements, bytes int, d time.Duration) {
	m.calls.WithLabelValues(operation).Observe(d.Seconds())
	if operation == "apply" {
		m.batch.Observe(float64(statements))
		m.bytes.Observe(float64(bytes))
	}
}

func (m *metrics) ran(list []projections.Statement, results []result) {
	for i := range list {
		meta := &results[i].Meta
		m.statements.WithLabelValues(m.kind(list[i].SQL)).Observe(meta.Duration / 1000)
		m.rowsRead.Add(max(0, meta.RowsRead))
		m.written.Add(max(0, meta.RowsWritten))
	}
}

// settled counts what became of a batch whose answer was lost.
func (m *metrics) settled(err error) {
	resolved := "not_applied"
	switch {
	case err == nil:
		resolved = "applied"
	case errors.Is(err, projections.ErrCheckpoint):
		resolved = "moved"
	case errors.Is(err, errOpen):
		resolved = "not_yet"
	}
	m.outcomes.WithLabelValues(resolved).Inc()
}

// sqlKind finds verb and table.
var sqlKind = regexp.MustCompile(`(?is)^\s*(insert|update|delete|select|create|drop)\b(?:.*?\b(?:into|from|table if exists|table)\b)?\s+"?([a-z_0-9]+)`)

func (m *metrics) kind(sql string) string {
	if k, ok := m.kinds.Load(sql); ok {
		return k.(string)
	}
	kind := "other"
	if found := sqlKind.FindStringSubmatch(sql); found != nil {
		kind = strings.ToLower(found[1] + " " + found[2])
	}
	m.kinds.Store(sql, kind)
	return kind
}
