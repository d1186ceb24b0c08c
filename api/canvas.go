package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
)

// canvasKey is where a view keeps its encoded canvas: made once a revision, shared by all who ask.
type canvasKey struct{}

// canvas is GET /v1/rooms/:id/canvas: the elements now, at a revision or at a time.
func (a *API) canvas(c echo.Context) error {
	room, v, _, err := a.enter(c)
	if err != nil {
		return err
	}
	if at := c.QueryParam("at"); c.QueryParams().Has("at") {
		if v, err = a.viewAt(c, room, at, v); err != nil {
			return err
		}
	}
	h := c.Response().Header()
	h.Set("ETag", etag(v.Revision))
	h.Set("Cache-Control", "private, no-cache") // rights may end: ask every time
	h.Add("Vary", "Authorization")
	if matches(c.Request().Header.Get("If-None-Match"), etag(v.Revision)) {
		return c.NoContent(http.StatusNotModified)
	}
	return a.json(c, http.StatusOK, v.Cached.Get(canvasKey{}, func() any { return encodeCanvas(v) }).([]byte))
}

func encodeCanvas(v *commands.View) []byte {
	out := strconv.AppendUint([]byte(`{"revision":`), v.Revision, 10)
	out = append(events.AppendTime(append(out, `,"at":"`...), v.At), `","elements":`...)
	return append(wire.AppendElements(out, v.Elements), '}')
}

// viewAt returns the room as of a revision or an RFC 3339 time.
func (a *API) viewAt(c echo.Context, room, at string, now *commands.View) (*commands.View, error) {
	ctx := c.Request().Context()
	if revision, err := parseRevision(at); err == nil {
		if revision == now.Revision {
			return now, nil
		}
		return a.cfg.Rooms.ViewAt(ctx, room, revision)
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return nil, badRequest("at: is neither a revision nor a time such as 2026-01-31T12:00:00Z")
	}
	return a.cfg.Rooms.ViewAtTime(ctx, room, t.UnixMilli())
}
