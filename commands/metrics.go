package commands

import (
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of rooms. Methods may be called concurrently.
type metrics struct {
	commit       prometheus.Histogram
	events       prometheus.Counter
	bytes        prometheus.Counter
	perCommit    prometheus.Histogram
	answers      *prometheus.CounterVec
	byCode       map[domain.Code]prometheus.Counter
	ok, once     prometheus.Counter
	conflicts    prometheus.Counter
	unknown      prometheus.Counter
	foreign      prometheus.Counter
	evicted      prometheus.Counter
	damaged      prometheus.Counter
	badSnapshots prometheus.Counter
	load         prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, rooms func() float64) *metrics {
	m := &metrics{
		commit: histogram("kanvas_commit_seconds", "From the append of a room's commit to its being durable, which holds the fsync.",
			[]float64{.0005, .001, .002, .004, .008, .016, .032, .064, .128, .256, .512, 1, 4}),
		events:    counter("kanvas_commit_events_total", "Events committed to rooms by this process."),
		bytes:     counter("kanvas_commit_bytes_total", "Bytes of commits appended to rooms by this process."),
		perCommit: histogram("kanvas_commit_events", "Events in one commit (group commit).", []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kanvas_requests_total",
			Help: "Requests answered by room actors; result is ok, remembered or the code of the refusal."}, []string{"result"}),
		conflicts:    counter("kanvas_commit_conflicts_total", "Appends that another node was ahead of."),
		unknown:      counter("kanvas_commit_unknown_total", "Appends whose outcome had to be looked up."),
		foreign:      counter("kanvas_foreign_commits_total", "Commits of other nodes applied to loaded rooms."),
		evicted:      counter("kanvas_rooms_evicted_total", "Idle rooms unloaded."),
		damaged:      counter("kanvas_rooms_damaged_total", "Rooms refused because their log or state can't be trusted."),
		badSnapshots: counter("kanvas_snapshots_refused_total", "Snapshots that could not be used."),
		load:         histogram("kanvas_room_load_seconds", "Loading a room from snapshot and log.", prometheus.ExponentialBuckets(.001, 2, 14)),
	}
	m.ok, m.once = m.answers.WithLabelValues("ok"), m.answers.WithLabelValues("remembered")
	m.byCode = map[domain.Code]prometheus.Counter{}
	for _, c := range []domain.Code{domain.CodeInvalidCommand, domain.CodeForbidden, domain.CodeNotFound, domain.CodeConflict,
		domain.CodeRevisionConflict, domain.CodeIdempotencyMismatch, domain.CodeStaleSeq, domain.CodeNothingToUndo, domain.CodeTooLarge,
		domain.CodeRoomFull, domain.CodeReadOnly, domain.CodeInternal} {
		m.byCode[c] = m.answers.WithLabelValues(string(c))
	}
	if reg != nil {
		reg.MustRegister(m.commit, m.events, m.bytes, m.perCommit, m.answers, m.conflicts, m.unknown, m.foreign, m.evicted, m.damaged,
			m.badSnapshots, m.load, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kanvas_rooms_loaded", Help: "Rooms in memory."}, rooms))
	}
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

func (m *metrics) committed(took time.Duration, events, bytes int) {
	m.commit.Observe(took.Seconds())
	m.events.Add(float64(events))
	m.bytes.Add(float64(bytes))
	m.perCommit.Observe(float64(events))
}

func (m *metrics) answered(a *answer) {
	switch {
	case a.err != nil:
		m.refused(codeOf(a.err))
	case a.res.Remembered:
		m.once.Inc()
	default:
		m.ok.Inc()
	}
}

func (m *metrics) refused(code domain.Code) {
	c := m.byCode[code]
	if c == nil {
		c = m.byCode[domain.CodeInternal]
	}
	c.Inc()
}

func (m *metrics) refusedRequest() { m.refused(domain.CodeReadOnly) }

func (m *metrics) loaded(took time.Duration) { m.load.Observe(took.Seconds()) }
