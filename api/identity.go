package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/domain"
)

// sessionCookie is where an issuer of sessions (Clerk) keeps its token.
const sessionCookie = "__session"

// anonymous is the actor of requests without a token. It is nobody's id, so a room gives it what it gives every stranger.
const anonymous = "anon:http"

// identity is who asks; the zero identity is anonymous.
type identity = auth.Identity

// identify finds out who asks: a bearer token, a ticket, or a session cookie that comes from an allowed page. A token that is no good is
// refused even where none is needed: its bearer thinks to be somebody.
func (a *API) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if long[c.Path()] && c.Request().Method == http.MethodGet {
			return next(c) // sockets: the hub asks, the token may come in the first frame
		}
		if err := a.readIdentity(c); err != nil {
			return err
		}
		if err := a.refuseDeleted(c); err != nil {
			return err
		}
		return next(c)
	}
}

// errDeleted is what the bearer of a token of somebody who was deleted is told.
var errDeleted = domain.Errorf(domain.CodeUnauthenticated, "this user was deleted")

// refuseDeleted: however long a token was given for, it ends with its person.
func (a *API) refuseDeleted(c echo.Context) error {
	q := requestOf(c)
	if q.user == "" {
		return nil
	}
	deleted, err := a.cfg.Users.Deleted(c.Request().Context(), q.user)
	if err != nil {
		return fmt.Errorf("%w: %w", domain.Errorf(domain.CodeReadOnly, "whether you may can't be looked up now, try again"), err)
	}
	if deleted {
		q.who, q.user = identity{}, ""
		return errDeleted
	}
	return nil
}

func (a *API) readIdentity(c echo.Context) error {
	r, q := c.Request(), requestOf(c)
	if c.Path() == falPath {
		if _, own, err := ownFalKey(r); own {
			return err // a key of fal.ai's is nobody's identity here
		}
	}
	token, given, err := bearer(r)
	switch {
	case err != nil:
		return err
	case given:
		q.who, err = a.cfg.Auth.Authenticate(r.Context(), token)
	case r.URL.Query().Has("ticket") && ticketRoutes[c.Path()] && r.Method != http.MethodPost:
		return a.redeem(c, q)
	case a.cfg.Auth.HasSessions() && a.cfg.Sites.CookieAllowed(r):
		cookie, missing := r.Cookie(sessionCookie)
		if missing != nil {
			return nil
		}
		q.who, err = a.cfg.Auth.Session(r.Context(), cookie.Value)
	default:
		return nil
	}
	if err != nil {
		q.who = identity{}
		return tokenRefusal(err)
	}
	q.user = q.who.User
	return nil
}

// bearer returns the token in Authorization.
func bearer(r *http.Request) (token string, given bool, err error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", false, nil
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || len(values) > 1 {
		return "", false, domain.Errorf(domain.CodeUnauthenticated, "Authorization: one Bearer token is expected")
	}
	return strings.TrimSpace(token), true, nil
}

// ticketRoutes are those where a browser can't send headers: event streams and downloads.
var ticketRoutes = map[string]bool{"/v1/rooms/:id/events": true, "/v1/rooms/:id/canvas": true, "/v1/assets/:id": true}

func (a *API) redeem(c echo.Context, q *request) error {
	t, ok := a.cfg.Tickets.Redeem(c.QueryParam("ticket"))
	if !ok {
		return domain.Errorf(domain.CodeUnauthenticated, "the ticket is unknown, used or over")
	}
	if id := c.Param("id"); strings.HasPrefix(c.Path(), "/v1/rooms/") && id != t.Room {
		return domain.Errorf(domain.CodeUnauthenticated, "the ticket is for another room")
	}
	q.user, q.ticket = t.User, t.Room
	return nil
}

// tokenRefusal is what the bearer of a token that was not accepted is told.
func tokenRefusal(err error) error {
	switch {
	case errors.Is(err, auth.ErrExpired):
		return domain.Errorf(domain.CodeUnauthenticated, "the token has expired")
	case errors.Is(err, auth.ErrToken):
		return domain.Errorf(domain.CodeUnauthenticated, "the token is not valid here")
	}
	var coded *domain.Error
	if errors.As(err, &coded) {
		return err
	}
	return fmt.Errorf("verify token: %w", err)
}

// actor is who asks, for commands and rights.
func (q *request) actor() domain.Actor {
	if q.user == "" {
		return domain.Actor{ID: anonymous}
	}
	return domain.Actor{ID: q.user}
}

// signedIn refuses anonymous callers.
func (q *request) signedIn() error {
	if q.user == "" {
		return domain.Errorf(domain.CodeUnauthenticated, "a token is needed: Authorization: Bearer …")
	}
	return nil
}

// change is for routes that change something: none while the server drains.
func (a *API) change(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if a.isDraining() {
			return &httpError{reason: domain.Errorf(domain.CodeReadOnly, "the server is going away, try again"), retry: retryDraining}
		}
		return next(c)
	}
}
