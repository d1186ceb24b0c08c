package api

import (
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// createGuest is POST /v1/guests: a new person, durable before its token is handed out.
func (a *API) createGuest(c echo.Context) error {
	if a.isDraining() {
		return a.change(nil)(c)
	}
	body, err := readBody(c, maxBody)
	if err != nil {
		return err
	}
	var name string
	if err := decodeMembers(body, member{"name", &name, true}); err != nil {
		return err
	}
	if name, err = personName(name); err != nil {
		return err
	}
	who, err := a.cfg.Users.CreateGuest(c.Request().Context(), name)
	if err != nil {
		return err
	}
	token, id, err := a.cfg.Auth.Tokens().Sign(who.ID, "guest", auth.GuestLife)
	if err != nil {
		return err
	}
	requestOf(c).user = who.ID
	out := appendToken([]byte{'{'}, token)
	out = append(wire.AppendUser(append(out, `,"user":`...), who.ID, who.Name, who.Color), ',')
	return a.json(c, http.StatusCreated, append(appendExpiry(out, id.Expires), '}'))
}

// personName checks what somebody wants to be called: 1 to MaxPersonName bytes without control characters, white space around it cut off.
func personName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", badRequest("name: is empty")
	case len(name) > domain.MaxPersonName:
		return "", domain.Errorf(domain.CodeTooLarge, "name: has more than %d bytes", domain.MaxPersonName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "", badRequest("name: holds control characters")
	}
	return name, nil
}

// me is GET /v1/me: who the token speaks for, how they stand, and a fresh token past half of a guest token's life.
func (a *API) me(c echo.Context) error {
	q := requestOf(c)
	if err := q.signedIn(); err != nil {
		return err
	}
	out, err := a.appendMe(c.Request().Context(), nil, q.user)
	if err != nil {
		return err
	}
	out = a.appendStandings(c.Request().Context(), out, q.user)
	expires := q.who.Expires
	if q.who.Kind == "guest" && q.who.HalfLifeOver(a.cfg.Clock()) {
		token, id, err := a.cfg.Auth.Tokens().Sign(q.user, "guest", auth.GuestLife)
		if err != nil {
			return err
		}
		out, expires = appendToken(append(out, ','), token), id.Expires
	}
	return a.json(c, http.StatusOK, append(appendExpiry(append(out, ','), expires), '}'))
}

func appendToken(dst []byte, token string) []byte {
	return events.AppendString(append(dst, `"token":`...), token)
}

func appendExpiry(dst []byte, at time.Time) []byte {
	dst = append(dst, `"expires_at":"`...)
	return append(at.UTC().AppendFormat(dst, time.RFC3339), '"')
}

// createTicket is POST /v1/rooms/:id/tickets.
func (a *API) createTicket(c echo.Context) error {
	q := requestOf(c)
	if err := q.signedIn(); err != nil {
		return err
	}
	room, _, _, err := a.enter(c)
	if err != nil {
		return err
	}
	ticket, err := a.cfg.Tickets.Issue(q.user, room)
	if errors.Is(err, auth.ErrTooManyTickets) {
		return &httpError{reason: domain.Errorf(domain.CodeReadOnly, "too many tickets are open"), retry: auth.TicketLife}
	}
	if err != nil {
		return err
	}
	out := events.AppendString([]byte(`{"ticket":`), ticket)
	return a.json(c, http.StatusCreated, append(appendExpiry(append(out, ','), a.cfg.Clock().Add(auth.TicketLife)), '}'))
}
