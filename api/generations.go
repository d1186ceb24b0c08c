package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

const (
	generationsPage    = 50
	maxGenerationsPage = 200
)

// Generations is the road of pictures and videos that people have made. *commands.Generations implements it.
type Generations interface {
	Request(ctx context.Context, room string, actor domain.Actor, role domain.Role, r commands.GenerationRequest) (id string, err error)
	Asked(ctx context.Context, room string, actor domain.Actor, key, hash string) (id string, err error)
	Cancel(ctx context.Context, room string, actor domain.Actor, id string) error
}

var errNoGeneration = domain.Errorf(domain.CodeNotFound, "there is no such generation")

// createGeneration is POST /v1/rooms/:id/generations: durable when answered; what comes of it is seen in the room.
func (a *API) createGeneration(c echo.Context) error {
	q := requestOf(c)
	if err := q.signedIn(); err != nil {
		return err
	}
	room, v, role, err := a.enter(c)
	if err != nil {
		return err
	}
	if a.cfg.Generations == nil {
		return badRequest("model: this server runs none, for want of a key of fal.ai (FAL_KEY)")
	}
	release, err := a.bodies.admit(c, maxEditorBody)
	if err != nil {
		return err
	}
	defer release()
	r, err := a.readGeneration(c)
	if err != nil {
		return err
	}
	r.Address = q.freeAddress()
	ctx := c.Request().Context()
	if r.Key != "" {
		if id, err := a.cfg.Generations.Asked(ctx, room, q.actor(), r.Key, r.Hash); err != nil || id != "" {
			return a.acceptedGeneration(c, room, id, err)
		}
	}
	if err := a.countGeneration(c); err != nil {
		return err
	}
	if err := a.join(ctx, room, v, &commands.Request{Actor: q.actor()}); err != nil {
		return err
	}
	id, err := a.cfg.Generations.Request(ctx, room, q.actor(), role, r)
	return a.acceptedGeneration(c, room, id, err)
}

// acceptedGeneration answers who asked for a generation.
func (a *API) acceptedGeneration(c echo.Context, room, id string, err error) error {
	if err != nil {
		return err
	}
	c.Response().Header().Set("Location", "/v1/rooms/"+room+"/generations/"+id)
	return a.marshal(c, http.StatusAccepted, map[string]string{"id": id, "status": string(domain.GenerationQueued)})
}

func (a *API) readGeneration(c echo.Context) (r commands.GenerationRequest, err error) {
	if r.Key, err = idempotencyKey(c.Request()); err != nil {
		return r, err
	}
	body, err := readBody(c, maxEditorBody)
	if err != nil {
		return r, err
	}
	if r.Key != "" {
		if r.Hash, err = a.cfg.Users.Sum(c.Request().Context(), requestOf(c).actor().ID, body); err != nil {
			return r, err
		}
	}
	var placement json.RawMessage
	err = decodeMembers(body, member{"model", &r.Model, false}, member{"prompt", &r.Prompt, false}, member{"input", &r.Input, false},
		member{"placement", &placement, false}, member{"retry_of", &r.RetryOf, false})
	if err != nil {
		return r, err
	}
	if r.Model == "" && r.RetryOf == "" {
		return r, badRequest("model: is missing")
	}
	if len(placement) == 0 {
		return r, nil
	}
	p := &r.Placement
	return r, decodeMembers(placement, member{"element_id", &p.ElementID, false}, member{"beside", &p.Beside, false},
		member{"x", &p.X, false}, member{"y", &p.Y, false}, member{"width", &p.Width, false}, member{"height", &p.Height, false})
}

// countGeneration counts against the same limits as calls of models through /api/fal: the person's, and the server's budget.
func (a *API) countGeneration(c echo.Context) error {
	q := requestOf(c)
	if err := a.take(c, a.falLimits.server, everybody, 0); err != nil {
		return err
	}
	if err := a.take(c, a.falLimits.person, q.caller(q.who.Kind == commands.KindGuest), 1); err != nil {
		return err
	}
	mine := c.Response().Header().Clone()
	if err := a.take(c, a.falLimits.server, everybody, 1); err != nil {
		return err
	}
	for _, name := range []string{headerLimit, headerRemaining, headerReset} {
		c.Response().Header().Set(name, mine.Get(name)) // the caller is told of its own
	}
	return nil
}

// listGenerations is GET /v1/rooms/:id/generations, newest first.
func (a *API) listGenerations(c echo.Context) error {
	room, _, _, err := a.enter(c)
	if err != nil {
		return err
	}
	limit, err := limitParam(c, generationsPage, maxGenerationsPage)
	if err != nil {
		return err
	}
	if err := a.waitList(c, room); err != nil {
		return err
	}
	rows, next, err := a.cfg.Queries.Generations(c.Request().Context(), room, c.QueryParam("cursor"), limit)
	if err != nil {
		return err
	}
	answer := struct {
		Generations []generationJSON `json:"generations"`
		Next        string           `json:"next_cursor,omitempty"`
	}{make([]generationJSON, len(rows)), next}
	for i := range rows {
		answer.Generations[i] = a.generationOf(c, &rows[i])
	}
	return a.marshal(c, http.StatusOK, answer)
}

// getGeneration is GET /v1/rooms/:id/generations/:gid, as of now.
func (a *API) getGeneration(c echo.Context) error {
	room, v, _, err := a.enter(c)
	if err != nil {
		return err
	}
	row, err := a.generationRow(c, room, v)
	if err != nil {
		return err
	}
	return a.marshal(c, http.StatusOK, a.generationOf(c, &row))
}

// generationRow is the generation of the route as of the view.
func (a *API) generationRow(c echo.Context, room string, v *commands.View) (row projections.GenerationRow, err error) {
	ctx, cancel := context.WithTimeout(c.Request().Context(), minRevisionWait)
	defer cancel()
	if err := a.cfg.Progress.WaitFor(ctx, events.Room(room), v.Revision); err != nil {
		if ctx.Err() != nil && c.Request().Context().Err() == nil {
			return row, projections.ErrBehind
		}
		return row, err
	}
	row, err = a.cfg.Queries.GenerationByID(ctx, room, c.Param("gid"))
	if errors.Is(err, projections.ErrNotFound) {
		return row, errNoGeneration
	}
	return row, err
}

// cancelGeneration is DELETE /v1/rooms/:id/generations/:gid.
func (a *API) cancelGeneration(c echo.Context) error {
	q := requestOf(c)
	if err := q.signedIn(); err != nil {
		return err
	}
	room, v, _, err := a.enter(c)
	if err != nil {
		return err
	}
	if a.cfg.Generations == nil {
		return errNoGeneration
	}
	if domain.FindGeneration(v.Generations, c.Param("gid")) == nil {
		row, err := a.generationRow(c, room, v)
		if err != nil {
			return err
		}
		if row.Status == string(domain.GenerationCanceled) {
			return c.NoContent(http.StatusNoContent)
		}
	}
	if err := a.cfg.Generations.Cancel(c.Request().Context(), room, q.actor(), c.Param("gid")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// generationJSON is a Generation. Money is in millionths of a US dollar.
type generationJSON struct {
	ID          string          `json:"id"`
	Status      string          `json:"status"`
	Model       string          `json:"model"`
	Prompt      string          `json:"prompt"`
	Input       json.RawMessage `json:"input,omitempty"`
	Forgotten   bool            `json:"forgotten,omitempty"`
	User        personJSON      `json:"user"`
	Result      string          `json:"result"`
	ElementID   string          `json:"element_id"`
	RetryOf     string          `json:"retry_of,omitempty"`
	Assets      []linkJSON      `json:"assets"`
	Seed        string          `json:"seed,omitempty"`
	Estimate    int64           `json:"estimate"`
	Cost        *int64          `json:"cost,omitempty"`
	Kept        *bool           `json:"kept,omitempty"`
	Code        string          `json:"code,omitempty"`
	Detail      string          `json:"detail,omitempty"`
	Said        string          `json:"said,omitempty"`
	Retryable   bool            `json:"retryable,omitempty"`
	RequestedAt string          `json:"requested_at"`
	SubmittedAt string          `json:"submitted_at,omitempty"`
	StartedAt   string          `json:"started_at,omitempty"`
	FinishedAt  string          `json:"finished_at,omitempty"`
	DurationMS  int64           `json:"duration_ms,omitempty"`
}

type personJSON struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type linkJSON struct {
	ID  string `json:"id"`
	URL string `json:"url"`
}

// generationOf shows a generation to who may read the room. What the other side said is for who asked alone.
func (a *API) generationOf(c echo.Context, r *projections.GenerationRow) generationJSON {
	ctx := c.Request().Context()
	j := generationJSON{ID: r.ID, Status: r.Status, Model: r.Model, Result: r.Result, ElementID: r.ElementID, RetryOf: r.RetryOf, Assets: linksOf(r.Assets), Seed: r.Seed,
		Estimate: r.Estimate, Cost: r.Cost, Kept: r.Kept, Code: r.Reason, Detail: r.Detail, Retryable: r.Retryable, DurationMS: r.DurationMS,
		User:        personJSON{r.UserID, a.cfg.Users.Profile(ctx, r.UserID).Name},
		RequestedAt: timeJSON(r.RequestedAt), SubmittedAt: timeJSON(r.SubmittedAt), StartedAt: timeJSON(r.StartedAt), FinishedAt: timeJSON(r.FinishedAt)}
	var asked struct {
		Prompt string          `json:"prompt"`
		Input  json.RawMessage `json:"input"`
	}
	text, ok := a.cfg.Users.Open(ctx, r.UserID, events.Sealed(r.Request))
	if !ok || json.Unmarshal([]byte(text), &asked) != nil {
		j.Forgotten = true
	} else {
		j.Prompt, j.Input = asked.Prompt, asked.Input
	}
	if r.Said != "" && r.UserID == requestOf(c).user {
		j.Said, _ = a.cfg.Users.Open(ctx, r.UserID, events.Sealed(r.Said))
	}
	return j
}

// linksOf are the assets that a JSON list names.
func linksOf(list string) []linkJSON {
	var names []string
	if list == "" || json.Unmarshal([]byte(list), &names) != nil {
		return []linkJSON{}
	}
	links := make([]linkJSON, len(names))
	for i, name := range names {
		id := strings.TrimPrefix(name, "asset:")
		links[i] = linkJSON{id, "/v1/assets/" + id}
	}
	return links
}

// timeJSON is "" for a time that is not yet.
func timeJSON(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
