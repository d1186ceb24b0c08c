package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/openapi"
)

// readyTimeout bounds all checks of one /readyz.
const readyTimeout = 5 * time.Second

// healthz says that the process answers.
func (a *API) healthz(c echo.Context) error {
	return a.json(c, http.StatusOK, []byte(`{"status":"ok"}`))
}

// readiness is the answer of /readyz.
type readiness struct {
	Status     string  `json:"status"` // ready or not_ready
	Durability string  `json:"durability"`
	Checks     []Check `json:"checks"`
}

// readyz says whether this node can do its work, and how durable an ack is.
func (a *API) readyz(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
	defer cancel()
	answer := readiness{Status: "ready", Durability: a.cfg.Durability, Checks: a.cfg.Ready(ctx)}
	if a.isDraining() {
		answer.Checks = append(answer.Checks, Check{Name: "draining", Detail: "the server is going away"})
	}
	status := http.StatusOK
	for _, check := range answer.Checks {
		if !check.OK && !check.Optional {
			answer.Status, status = "not_ready", http.StatusServiceUnavailable
		}
	}
	if answer.Checks == nil {
		answer.Checks = []Check{}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return a.json(c, status, body)
}

func (a *API) openapi(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-cache")
	return a.json(c, http.StatusOK, openapi.Document())
}
