package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/labstack/echo/v4"
)

// quiet routes are asked by machines all day: their successes are logged at debug.
var quiet = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true, "/v1/assets/:id": true}

// long routes last as long as a client stays: their time is no latency.
var long = map[string]bool{"/v1/rooms/:id/ws": true, "/parties/:party/:room": true, "/party/:room": true}

// observe gives the request its id, bounds the writing of its answer, and logs and counts it. Never bodies, tokens or tickets.
func (a *API) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		q := requestOf(c)
		q.id = requestID(c.Request())
		q.client = a.cfg.Edge.Client(c.Request(), a.cfg.Proxies)
		response := c.Response()
		response.Header().Set("X-Request-Id", q.id)
		if !long[c.Path()] || c.Request().Method != http.MethodGet {
			response.Writer = &chunkWriter{ResponseWriter: response.Writer, control: http.NewResponseController(response.Writer)}
		}
		if err := next(c); err != nil {
			a.answerError(err, c)
		}
		a.log(c, q, time.Since(began))
		return nil
	}
}

func (a *API) log(c echo.Context, q *request, took time.Duration) {
	route, status, method := routeOf(c), c.Response().Status, knownMethod(c.Request().Method)
	if !long[route] || method != http.MethodGet {
		a.metrics.requests.WithLabelValues(route, method, fmt.Sprintf("%dxx", status/100)).Observe(took.Seconds())
	}
	level := slog.LevelInfo
	if quiet[route] && status < 400 || q.hungUp {
		level = slog.LevelDebug
	}
	ctx := c.Request().Context()
	if !a.cfg.Logger.Enabled(ctx, level) {
		return
	}
	message := "http_request"
	if q.hungUp {
		message = "http_client_gone"
	}
	attrs := []slog.Attr{
		slog.String("roomId", q.room), slog.String("userId", q.user), slog.Int64("dataSize", c.Response().Size),
		slog.String("method", method), slog.String("route", route), slog.String("url", RedactURL(c.Request().URL)), slog.Int("status", status),
		slog.Float64("durationMs", float64(took.Microseconds())/1000), slog.String("requestId", q.id),
	}
	if q.code != "" {
		attrs = append(attrs, slog.String("code", string(q.code)))
	}
	a.cfg.Logger.LogAttrs(ctx, level, message, attrs...)
}

// knownMethod keeps what clients invent out of labels.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "OTHER"
}

// recover turns a panic into "internal": one bad request ends one request.
func (a *API) recover(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p) // the way to cut an answer that has begun
			}
			a.metrics.panics.Inc()
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}()
		return next(c)
	}
}
