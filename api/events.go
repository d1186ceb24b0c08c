package api

import (
	"context"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/events"
)

const (
	eventsPerPage = 100
	maxEventsPage = 1_000
	// maxEventsBytes ends a page early; next_after says where.
	maxEventsBytes = 8 << 20
)

// events is GET /v1/rooms/:id/events: a page of JSON, or a live stream where the client asks for text/event-stream.
func (a *API) events(c echo.Context) error {
	room, v, _, err := a.enter(c)
	if err != nil {
		return err
	}
	after, _, err := revisionParam(c, "after")
	if err != nil {
		return err
	}
	if wantsStream(c.Request()) {
		return a.stream(c, room, after)
	}
	limit, err := limitParam(c, eventsPerPage, maxEventsPage)
	if err != nil {
		return err
	}
	out, next := []byte(`{"events":[`), after
	if after < v.Revision {
		if out, next, err = a.appendPage(c.Request().Context(), out, room, after, limit); err != nil {
			return err
		}
	}
	out = strconv.AppendUint(append(out, `],"next_after":`...), next, 10)
	return a.json(c, http.StatusOK, append(out, '}'))
}

// appendPage appends the events after a revision, at most limit and about maxEventsBytes of them; next is the revision of the last.
func (a *API) appendPage(ctx context.Context, out []byte, room string, after uint64, limit int) (_ []byte, next uint64, err error) {
	start, n := len(out), 0
	next = after
	err = a.cfg.Rooms.Commits(ctx, room, after, func(c *events.Commit) bool {
		part := partOf(c, next+1, c.Last())
		for i := range part.Events {
			if n == limit || len(out)-start > maxEventsBytes {
				return false
			}
			if n > 0 {
				out = append(out, ',')
			}
			next = part.First + uint64(i)
			out = a.encode.AppendEvent(ctx, out, &part.Events[i], next, c.At)
			n++
		}
		return n < limit
	})
	return out, next, err
}

// wantsStream reports whether Accept asks for text/event-stream.
func wantsStream(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		for _, kind := range strings.Split(accept, ",") {
			if t, params, err := mime.ParseMediaType(kind); err == nil && t == "text/event-stream" && params["q"] != "0" {
				return true
			}
		}
	}
	return false
}
