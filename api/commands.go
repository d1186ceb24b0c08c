package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// postCommands is POST /v1/rooms/:id/commands: all of the list or none of it, durable when answered.
func (a *API) postCommands(c echo.Context) error {
	q := requestOf(c)
	if err := q.signedIn(); err != nil {
		return err
	}
	room, v, role, err := a.enter(c)
	if err != nil {
		return err
	}
	if err := a.count(c, rateCommands, 1); err != nil { // bad bodies count too
		return err
	}
	limit := bodyLimit(role)
	release, err := a.bodies.admit(c, limit)
	if err != nil {
		return err
	}
	defer release()
	req, err := a.readCommands(c, limit)
	if err != nil {
		return err
	}
	if err := a.count(c, rateCommands, len(req.Commands)-1); err != nil {
		return err
	}
	ctx := c.Request().Context()
	if req.Commands, err = a.cfg.Preparer.Prepare(ctx, room, req.Actor, role, req.Commands); err != nil {
		return err
	}
	if err := a.join(ctx, room, v, &req); err != nil {
		return err
	}
	result, err := a.cfg.Rooms.Do(ctx, room, req)
	if err != nil {
		return err
	}
	list, err := a.eventsOf(ctx, room, result)
	if err != nil {
		return err
	}
	tellRevision(c, result.Last)
	out := strconv.AppendUint([]byte(`{"revision":`), result.Last, 10)
	out = append(append(out, `,"events":`...), list...)
	if len(result.Dropped) > 0 {
		out = wire.AppendStrings(append(out, `,"dropped":`...), result.Dropped)
	}
	return a.json(c, http.StatusOK, append(out, '}'))
}

// bodyLimit is how large a list of commands may be in bytes: only roles that may add pictures may send as much as those need.
func bodyLimit(role domain.Role) int64 {
	if domain.Allowed(role, domain.AddElement{}.CommandName()) {
		return maxEditorBody
	}
	return maxBody
}

// readCommands reads the list and what identifies it.
func (a *API) readCommands(c echo.Context, limit int64) (req commands.Request, err error) {
	req.Actor = requestOf(c).actor()
	if req.IfMatch, err = ifMatch(c); err != nil {
		return req, err
	}
	if req.Key, err = idempotencyKey(c.Request()); err != nil {
		return req, err
	}
	body, err := readBody(c, limit)
	if err != nil {
		return req, err
	}
	if req.Key != "" {
		if req.Hash, err = a.cfg.Users.Sum(c.Request().Context(), req.Actor.ID, body); err != nil {
			return req, err
		}
	}
	var raw []domain.RawCommand
	if err := decodeMembers(body, member{"commands", &raw, true}); err != nil {
		return req, err
	}
	for i := range raw {
		if len(raw[i].Data) == 0 {
			raw[i].Data = json.RawMessage("{}")
		}
	}
	req.Commands, err = domain.ParseCommands(raw)
	return req, err
}

func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if len(values) > 1 || len(key) == 0 || len(key) > domain.MaxIdempotencyKey {
		return "", badRequest("Idempotency-Key: is not one of 1 to %d bytes", domain.MaxIdempotencyKey)
	}
	for i := 0; i < len(key); i++ {
		if key[i] <= ' ' || key[i] > '~' {
			return "", badRequest("Idempotency-Key: holds other than printable ASCII")
		}
	}
	return key, nil
}

// join commits the caller's entry where this is the first one, as a change of its own, so that the answer holds just what was asked for. The
// room may not have moved between If-Match and the commands: the entry is under If-Match itself, and the commands under what it made.
func (a *API) join(ctx context.Context, room string, v *commands.View, req *commands.Request) error {
	for i := range v.Participants {
		if v.Participants[i].User == req.Actor.ID {
			return nil
		}
	}
	result, err := a.cfg.Rooms.Do(ctx, room, commands.Request{Actor: req.Actor, Commands: []domain.Command{domain.Join{}}, IfMatch: req.IfMatch})
	if err != nil {
		return fmt.Errorf("enter the room: %w", err)
	}
	if req.IfMatch != nil && result.First <= result.Last {
		moved := result.Last
		req.IfMatch = &moved
	}
	return nil
}

// eventsOf returns the JSON array of the events that a request made: from its commit, or from the log where it had been answered before.
func (a *API) eventsOf(ctx context.Context, room string, r commands.Result) ([]byte, error) {
	if r.First > r.Last {
		return []byte("[]"), nil
	}
	if r.Commit != nil {
		return a.encode.AppendEvents(ctx, nil, partOf(r.Commit, r.First, r.Last), 0), nil
	}
	out := []byte{'['}
	err := a.cfg.Rooms.Commits(ctx, room, r.First-1, func(c *events.Commit) bool {
		part := partOf(c, r.First, r.Last)
		for i := range part.Events {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = a.encode.AppendEvent(ctx, out, &part.Events[i], part.First+uint64(i), c.At)
		}
		return c.Last() < r.Last
	})
	if err != nil {
		return nil, errors.Join(errors.New("read the events of an answer given before"), err)
	}
	return append(out, ']'), nil
}

// partOf is the commit with its events from revision first to last alone; the events are shared.
func partOf(c *events.Commit, first, last uint64) *events.Commit {
	first, last = max(first, c.First), min(last, c.Last())
	part := *c
	part.First = first
	if first > last {
		part.Events = nil
		return &part
	}
	part.Events = c.Events[first-c.First : last-c.First+1]
	return &part
}
