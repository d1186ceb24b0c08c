package api

import "github.com/labstack/echo/v4"

// socketV1 is GET /v1/rooms/:id/ws.
func (a *API) socketV1(c echo.Context) error {
	requestOf(c).room = c.Param("id")
	a.cfg.Hub.ServeV1(c.Response(), c.Request(), c.Param("id"))
	return nil
}

// socketParties is GET /parties/:party/:room and GET /party/:room, which means party main.
func (a *API) socketParties(c echo.Context) error {
	party := c.Param("party")
	if party == "" {
		party = "main"
	}
	requestOf(c).room = c.Param("room")
	a.cfg.Hub.ServeParties(c.Response(), c.Request(), party, c.Param("room"))
	return nil
}
