package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// sharedLimits are counted for all nodes together (Config.Limiter): what makes something that stays, is rare, and takes longer than a question to the
// store. Guests are counted by address, the others per user, or per address for anonymous callers.
var sharedLimits = map[rateName]commands.Limit{
	rateGuests:  {Action: string(rateGuests), Windows: []commands.Window{{Max: 30, Per: time.Minute}}},
	rateRooms:   {Action: string(rateRooms), Windows: []commands.Window{{Max: 120, Per: time.Minute}}},
	rateUploads: {Action: string(rateUploads), Windows: []commands.Window{{Max: 300, Per: time.Minute}}},
}

// RoomsBorn counts rooms that old clients make by connecting to them, by address: many people may be behind one.
var RoomsBorn = commands.Limit{Action: "rooms_born", Windows: []commands.Window{{Max: 600, Per: time.Minute}}}

// Headers that tell a caller how it stands. Reset is in seconds since the epoch.
const (
	headerLimit     = "X-RateLimit-Limit"
	headerRemaining = "X-RateLimit-Remaining"
	headerReset     = "X-RateLimit-Reset"
)

// retryStore is how long to wait where the store of limits can't be asked.
const retryStore = 5 * time.Second

// limit counts every request of a route by name.
func (a *API) limit(name rateName) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := a.count(c, name, 1); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// count counts n things of a caller and refuses past the limit.
func (a *API) count(c echo.Context, name rateName, n int) error {
	q := requestOf(c)
	if limit, shared := sharedLimits[name]; shared {
		return a.take(c, limit, q.caller(name == rateGuests), n)
	}
	wait := a.rates.take(name, callerKey(q), n)
	if wait == 0 {
		return nil
	}
	setLimitHeaders(c, localRates[name].burst, 0, a.cfg.Clock().Add(wait))
	return a.tooMany(string(name), wait)
}

// take counts n against a shared limit. Where limits on rates are off, those that spend stay on.
func (a *API) take(c echo.Context, limit commands.Limit, who commands.Caller, n int) error {
	if !a.cfg.RateLimits && !limit.Spends {
		return nil
	}
	t, err := a.cfg.Limiter.Take(c.Request().Context(), limit, who, n)
	if err != nil {
		return errLimiterAway()
	}
	setLimitHeaders(c, t.Window.Max, t.Remaining, t.Reset)
	if t.OK {
		return nil
	}
	return a.tooMany(limit.Action, t.Retry)
}

// errLimiterAway is for limits that spend. The limiter has logged why.
func errLimiterAway() error {
	return &httpError{
		reason: domain.Errorf(domain.CodeUpstreamFailed, "what this costs can't be counted now, so it is refused; try again later"),
		status: http.StatusServiceUnavailable, title: http.StatusText(http.StatusServiceUnavailable), retry: retryStore,
	}
}

func (a *API) tooMany(action string, wait time.Duration) error {
	a.metrics.limited.WithLabelValues(action).Inc()
	return &httpError{reason: domain.Errorf(domain.CodeRateLimited, "too many of these (%s), see Retry-After", action), retry: max(wait, time.Millisecond)}
}

func setLimitHeaders(c echo.Context, limit, remaining int, reset time.Time) {
	h := c.Response().Header()
	h.Set(headerLimit, strconv.Itoa(limit))
	h.Set(headerRemaining, strconv.Itoa(remaining))
	h.Set(headerReset, strconv.FormatInt((reset.UnixMilli()+999)/1000, 10))
}

// caller is whom shared limits count; byAddress counts who is somebody by the address too.
func (q *request) caller(byAddress bool) commands.Caller {
	address := auth.AddressKey(q.client)
	if q.user == "" || byAddress {
		return commands.Caller{ID: address, IP: q.client.String()}
	}
	return commands.Caller{ID: q.user, IP: q.client.String()}
}

// freeAddress is where a caller comes from whose identity is free: a guest, or nobody; "" for others.
func (q *request) freeAddress() string {
	if q.user != "" && q.who.Kind != commands.KindGuest {
		return ""
	}
	return auth.AddressKey(q.client)
}

// callerKey is what this process counts by: the person, or the address of who is nobody.
func callerKey(q *request) string {
	if q.user != "" {
		return "u " + q.user
	}
	return "a " + auth.AddressKey(q.client)
}
