package api

import (
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/wire"
)

// API is the handler of all HTTP. Safe for concurrent use.
type API struct {
	cfg       Config
	echo      *echo.Echo
	encode    wire.Encoder
	metrics   *metrics
	rates     *rates
	puts      *gate
	page      *page
	streams   *gate     // of events
	forgotten broadcast // somebody was deleted
	bodies    bodyBudget

	falLimits falLimits
	falCalls  *gate

	drainOnce sync.Once
	draining  chan struct{} // closed by Drain
}

// New makes the handler. The error names everything that Config lacks.
func New(cfg Config) (*API, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &API{
		cfg: cfg, echo: echo.New(), encode: wire.Encoder{Users: cfg.Users}, metrics: newMetrics(cfg.Registerer),
		rates: newRates(cfg.RateLimits, cfg.Clock), draining: make(chan struct{}),
		streams:   &gate{what: "event streams", perCaller: streamsPerCaller, perNode: streamsPerNode, retry: sseHeartbeat},
		falLimits: newFalLimits(cfg.FalLimits, cfg.FalBudget),
		puts:      &gate{what: "parts of uploads", perCaller: putsPerAddress, perNode: putsPerNode, retry: retryPut},
		falCalls:  &gate{what: "calls to fal.ai", perCaller: falAtOnce, perNode: falOnNode, retry: time.Second},
	}
	if a.page, err = loadPage(cfg.Web); err != nil {
		return nil, err
	}
	a.echo.HideBanner, a.echo.HidePort = true, true
	a.echo.HTTPErrorHandler = a.answerError
	a.echo.Use(a.observe, a.recover, a.guard, a.identify)
	a.routes()
	return a, nil
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.echo.ServeHTTP(w, r) }

// Drain ends event streams and refuses changes from now on; reads are served until the server is shut down. It returns at once.
func (a *API) Drain() { a.drainOnce.Do(func() { close(a.draining) }) }

func (a *API) isDraining() bool {
	select {
	case <-a.draining:
		return true
	default:
		return false
	}
}
