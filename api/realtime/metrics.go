package realtime

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the realtime layer. All labels are of small, fixed sets.
type metrics struct {
	sockets   *prometheus.GaugeVec   // protocol
	framesIn  *prometheus.CounterVec // protocol
	bytesIn   prometheus.Counter
	framesOut prometheus.Counter
	bytesOut  prometheus.Counter
	writes    prometheus.Counter
	dropped   prometheus.Counter
	slow      prometheus.Counter
	refusals  *prometheus.CounterVec // code; of frames of old clients
	closes    *prometheus.CounterVec // code
	refused   *prometheus.CounterVec // reason
	replays   prometheus.Counter     // from the log
	snapshots prometheus.Counter
	fanout    prometheus.Histogram
	rooms     prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kanvas", Subsystem: "realtime", Name: name, Help: help})
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "kanvas", Subsystem: "realtime", Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		sockets: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "kanvas", Subsystem: "realtime", Name: "sockets",
			Help: "Open sockets."}, []string{"protocol"}),
		framesIn:  counters("frames_in_total", "Frames received.", "protocol"),
		bytesIn:   counter("bytes_in_total", "Bytes of frames received."),
		framesOut: counter("frames_out_total", "Queue entries written; one may hold several frames."),
		bytesOut:  counter("bytes_out_total", "Bytes written to sockets."),
		writes:    counter("writes_total", "Writes to sockets: less than frames where they were gathered."),
		dropped:   counter("queue_drops_total", "Ephemeral frames dropped for want of room in a queue."),
		slow:      counter("slow_closes_total", "Sockets closed because the client was too slow."),
		refusals:  counters("parties_refused_total", "Frames of old clients that were not taken, by code.", "code"),
		closes:    counters("closes_total", "Sockets closed by the server, by close code.", "code"),
		refused:   counters("refused_total", "Sockets refused before the upgrade.", "reason"),
		replays:   counter("log_replays_total", "Sockets that were caught up from the log."),
		snapshots: counter("snapshots_total", "Snapshots sent."),
		fanout: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "kanvas", Subsystem: "realtime", Name: "fanout_seconds",
			Help: "From a durable commit to its frames handed to all writers of the room.", Buckets: prometheus.ExponentialBuckets(0.00005, 2, 16)}),
		rooms: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "kanvas", Subsystem: "realtime", Name: "rooms", Help: "Rooms held for sockets."}),
	}
	if r != nil {
		r.MustRegister(m.sockets, m.framesIn, m.bytesIn, m.framesOut, m.bytesOut, m.writes, m.dropped, m.slow, m.closes, m.refusals, m.refused, m.replays, m.snapshots, m.fanout, m.rooms)
	}
	return m
}

func (m *metrics) written(frames, bytes int) {
	m.framesOut.Add(float64(frames))
	m.bytesOut.Add(float64(bytes))
	m.writes.Inc()
}

func (m *metrics) closed(code CloseCode) {
	if code != 0 {
		m.closes.WithLabelValues(strconv.Itoa(int(code))).Inc()
	}
}
