package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/projections"
)

// timeColumn scans a time to Unix milliseconds, NULL to 0. Queries select `+column`: the driver would make time.Time of columns declared
// TIMESTAMP otherwise, which is slower.
type timeColumn int64

// Scan implements sql.Scanner.
func (t *timeColumn) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*t = 0
		return nil
	case string:
		if ms, ok := projections.ParseTime(v); ok {
			*t = timeColumn(ms)
			return nil
		}
	}
	return fmt.Errorf("no time: %.40v", v)
}

// textColumn scans NULL as "".
type textColumn string

// Scan implements sql.Scanner.
func (t *textColumn) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*t = ""
	case string:
		*t = textColumn(v)
	default:
		return fmt.Errorf("no text: %T", v)
	}
	return nil
}

func isNoRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }

func newLatency(r prometheus.Registerer) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "kanvas", Subsystem: "sqlite", Name: "operation_seconds",
		Help:    "Time of operations on the projection tables, by operation.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"operation"})
	if r != nil {
		r.MustRegister(h)
	}
	return h
}

func (s *Store) observe(operation string, start time.Time) {
	s.latency.WithLabelValues(operation).Observe(time.Since(start).Seconds())
}
