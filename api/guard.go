package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/domain"
)

// What pages of other origins may send and read.
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Range, X-Request-Id, " +
		"X-Fal-Target-Url, X-Fal-Queue-Priority, X-Fal-Runner-Hint, X-Fal-Request-Timeout, X-Fal-Object-Lifecycle, X-Fal-Object-Lifecycle-Preference"
	corsExposed = "ETag, Location, Retry-After, Accept-Ranges, Content-Range, Kanvas-Revision, X-Request-Id, " +
		"X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-RateLimit-Period, X-Fal-Request-Id, X-Fal-Request-Timeout-Type"
	corsMaxAge = "600" // seconds
)

// probes may be asked under any name: load balancers use whatever they have.
var probes = map[string]bool{"/healthz": true, "/readyz": true}

// guard refuses names that are not this server's and pages that may not use it, and tells browsers what the others may.
func (a *API) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, h := c.Request(), c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		if !a.cfg.Sites.HostAllowed(r.Host) && !probes[c.Path()] && !a.cfg.Edge.Sent(r) { // the Worker asks under the name of ORIGIN
			return withStatus(http.StatusMisdirectedRequest, domain.CodeBadRequest, "this server does not go by the name in Host (KANVAS_HOSTS, KANVAS_PUBLIC_URL)")
		}
		if p := c.Path(); p != "" && strings.Count(p, "/") != strings.Count(r.URL.EscapedPath(), "/") {
			return echo.ErrNotFound // the router lets a parameter at the end swallow further elements of the path
		}
		h.Add("Vary", "Origin")
		if !a.cfg.Sites.OriginAllowed(r) {
			return domain.Errorf(domain.CodeForbidden, "pages of this origin may not use this server (KANVAS_ORIGINS)")
		}
		origin := r.Header.Get("Origin")
		if origin == "" {
			return next(c)
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", corsExposed)
		if a.cfg.Sites.CookieAllowed(r) {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			return next(c)
		}
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
		return c.NoContent(http.StatusNoContent)
	}
}
