package api

import (
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type metrics struct {
	requests     *prometheus.HistogramVec
	limited      *prometheus.CounterVec
	panics       prometheus.Counter
	roomsCreated prometheus.Counter
	streams      prometheus.Gauge
	streamsCut   *prometheus.CounterVec
}

// newMetrics makes the metrics; reg may be nil.
func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kanvas_http_request_seconds", Help: "Time to answer HTTP requests, sockets not included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "method", "status"}),
		limited:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kanvas_http_rate_limited_total", Help: "Requests refused by a limit on rates."}, []string{"limit"}),
		panics:       prometheus.NewCounter(prometheus.CounterOpts{Name: "kanvas_http_panics_total", Help: "Requests that ended in a recovered panic."}),
		roomsCreated: prometheus.NewCounter(prometheus.CounterOpts{Name: "kanvas_http_rooms_created_total", Help: "Rooms created over HTTP."}),
		streams:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "kanvas_http_event_streams", Help: "Open event streams (SSE)."}),
		streamsCut:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kanvas_http_event_streams_ended_total", Help: "Event streams that the server ended."}, []string{"reason"}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.limited, m.panics, m.roomsCreated, m.streams, m.streamsCut)
	}
	return m
}

func (a *API) serveMetrics(c echo.Context) error {
	promhttp.HandlerFor(a.cfg.Gatherer, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}).ServeHTTP(c.Response(), c.Request())
	return nil
}
