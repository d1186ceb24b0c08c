package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/domain"
)

const maxBridgeHash = 128 // bytes

// bridge is POST /parties/main/:room of old clients: it keeps the hash they send in the cache, where nothing trusts it.
func (a *API) bridge(c echo.Context) error {
	if party := c.Param("party"); party != "" && party != "main" {
		return domain.Errorf(domain.CodeNotFound, "there is no such party")
	}
	if err := a.partyIdentity(c); err != nil {
		return err
	}
	room, _, _, err := a.enter(c)
	if err != nil {
		return err
	}
	body, err := readAnyBody(c, maxBridgeBody)
	if err != nil {
		return err
	}
	var kind, hash string
	if err := decodeMembers(body, member{"type", &kind, true}, member{"hash", &hash, true}); err != nil {
		return err
	}
	switch {
	case kind != "canvas_update":
		return badRequest("type: is not canvas_update")
	case hash == "" || len(hash) > maxBridgeHash:
		return badRequest("hash: is not 1 to %d bytes", maxBridgeHash)
	}
	if !a.cfg.Canvases.PutCanvas(room, hash) {
		return &httpError{reason: domain.Errorf(domain.CodeReadOnly, "too many changes wait for the cache"), retry: time.Second}
	}
	return a.json(c, http.StatusOK, []byte(`{"success":true}`))
}

// partyIdentity takes the token where old clients have it: in the address. One that has expired makes them a guest, as on their sockets.
func (a *API) partyIdentity(c echo.Context) error {
	q, token := requestOf(c), c.QueryParam("token")
	if q.user != "" || token == "" {
		return nil
	}
	who, err := a.cfg.Auth.Authenticate(c.Request().Context(), token)
	if errors.Is(err, auth.ErrExpired) {
		return nil
	}
	if err != nil {
		return tokenRefusal(err)
	}
	q.who, q.user = who, who.User
	return nil
}
