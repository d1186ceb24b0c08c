package commands

import (
	"context"
	"encoding/json"
	"errors"
	"math"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Placement is where a result goes: in place of an element, beside one, or where it says. The zero Placement is a square in the canvas's middle.
type Placement struct {
	ElementID           string // of the element that the result replaces; "" for a placeholder
	Beside              string // of the element that the placeholder stands to the right of
	X, Y, Width, Height *float64
}

// GenerationRequest is what somebody asks for. Of a retry, what is left out is as it was.
type GenerationRequest struct {
	Model     string
	Prompt    string
	Input     json.RawMessage // an object, or nothing
	Placement Placement
	RetryOf   string // id of the generation that this is another try of
	Key, Hash string // as of Request
	Address   string // as of Spend
}

// placeholderSize is that of a placeholder that nobody gave a size, in canvas units; placeholderGap how far it stands from what it stands beside.
const (
	placeholderSize = 512
	placeholderGap  = 20
	maxCoordinate   = 1e9
)

// Request asks for a generation and returns its id, once that is durable. role is the caller's in the room. What it may cost is reserved before.
func (g *Generations) Request(ctx context.Context, room string, actor domain.Actor, role domain.Role, r GenerationRequest) (id string, err error) {
	b := by{room, actor, role}
	switch {
	case !domain.Allowed(role, domain.RequestGeneration{}.CommandName()):
		return "", domain.Errorf(domain.CodeForbidden, "a %s may not do this", roleName(role))
	case actor.Anonymous():
		return "", domain.Errorf(domain.CodeUnauthenticated, "a generation is for somebody with an identity")
	}
	a, assets, c, err := g.prepare(ctx, b, &r)
	if err != nil {
		return "", err
	}
	text, err := a.sealed()
	if err != nil {
		return "", err
	}
	if c.Request, err = g.cfg.Sealer.Seal(ctx, actor.ID, text); err != nil {
		return "", err
	}
	c.ID, c.Assets, c.RetryOf = g.ids.next(), assets, r.RetryOf
	c.Estimate = g.cfg.Spending.Estimate(c.Model, a.body())
	if err := g.place(ctx, b, &c, r.Placement); err != nil {
		return "", err
	}
	spend := Spend{ID: c.ID, Person: actor.ID, Room: room, Model: c.Model, Amount: c.Estimate, Address: r.Address}
	if err := g.cfg.Spending.Reserve(ctx, spend); err != nil {
		return "", err
	}
	return g.ask(ctx, b, &c, &r, spend)
}

// ask sends the command, and gives back what was reserved where nothing comes of it.
func (g *Generations) ask(ctx context.Context, b by, c *domain.RequestGeneration, r *GenerationRequest, spend Spend) (string, error) {
	res, err := g.cfg.Rooms.Do(ctx, b.room, Request{Actor: b.actor, Commands: []domain.Command{*c}, Key: r.Key, Hash: r.Hash})
	switch {
	case err == nil && !res.Remembered:
		return c.ID, nil
	case err == nil:
		g.settle(ctx, spend, 0)
		return g.askedBefore(ctx, b.room, res)
	}
	var refusal *domain.Error
	if errors.As(err, &refusal) && refusal != errUnknown {
		g.settle(ctx, spend, 0)
	}
	return "", err
}

// neverAt is a revision that no room is at.
var neverAt = uint64(math.MaxUint64)

// Asked finds the generation that was asked for under an Idempotency-Key, so that what comes again is answered before it is counted against limits, budgets
// and space; id is "" where nothing was. CodeIdempotencyMismatch where the key was another request's.
func (g *Generations) Asked(ctx context.Context, room string, actor domain.Actor, key, hash string) (id string, err error) {
	res, err := g.cfg.Rooms.Do(ctx, room, Request{Actor: actor, Key: key, Hash: hash, IfMatch: &neverAt})
	switch {
	case isCode(err, domain.CodeRevisionConflict):
		return "", nil // the room does not know the key
	case err != nil:
		return "", err
	}
	return g.askedBefore(ctx, room, res)
}

// askedBefore finds the generation that a request made when it came first.
func (g *Generations) askedBefore(ctx context.Context, room string, res Result) (id string, err error) {
	err = g.cfg.Rooms.Commits(ctx, room, res.First-1, func(c *events.Commit) bool {
		for i := range c.Events {
			rev := c.First + uint64(i)
			if d, ok := c.Events[i].Payload.(*events.GenerationRequestedData); ok && rev >= res.First && rev <= res.Last {
				id = d.ID
			}
		}
		return id == "" && c.Last() < res.Last
	})
	if err == nil && id == "" {
		err = domain.Errorf(domain.CodeIdempotencyMismatch, "the key was another command's")
	}
	return id, err
}

// prepare reads what is asked for, with what a retry takes over.
func (g *Generations) prepare(ctx context.Context, b by, r *GenerationRequest) (a asked, assets []string, c domain.RequestGeneration, err error) {
	if r.RetryOf != "" {
		if err := g.takeOver(ctx, b, r); err != nil {
			return a, nil, c, err
		}
	}
	model, known := g.cfg.Models.Model(r.Model)
	if !known {
		return a, nil, c, domain.Errorf(domain.CodeBadRequest, "model: none that this server runs")
	}
	if err := g.cfg.Uploads.roomLeft(ctx, b.actor.ID); err != nil {
		return a, nil, c, err
	}
	if a, assets, err = g.cfg.Prepare.readInput(ctx, b, r.Prompt, r.Input); err != nil {
		return a, nil, c, err
	}
	if a.Prompt == "" && len(a.Input) == 0 {
		return a, nil, c, domain.Errorf(domain.CodeBadRequest, "prompt: missing, and so is input")
	}
	if model.MaskOf != "" {
		if name, ok := a.Input[model.MaskOf].(string); !ok || name == "" {
			return a, nil, c, domain.Errorf(domain.CodeBadRequest, "input.%s: the picture is missing", model.MaskOf)
		}
	}
	return a, assets, domain.RequestGeneration{Model: r.Model, Result: model.Result}, nil
}

// takeOver fills in what a retry leaves out.
func (g *Generations) takeOver(ctx context.Context, b by, r *GenerationRequest) error {
	v, err := g.cfg.Rooms.View(ctx, b.room)
	if err != nil {
		return err
	}
	var revision uint64
	if is := domain.FindGeneration(v.Generations, r.RetryOf); is != nil {
		revision = is.Revision
		if is.Status != domain.GenerationUnknown {
			return domain.Errorf(domain.CodeConflict, "retry_of: that generation is not over")
		}
	} else {
		is, ok, err := g.cfg.Table.Generation(ctx, b.room, r.RetryOf)
		if err != nil {
			return err
		}
		if !ok {
			return domain.Errorf(domain.CodeNotFound, "retry_of: there is no such generation")
		}
		revision = is.Revision
	}
	d, _, err := g.requested(ctx, b.room, revision)
	if err != nil {
		return err
	}
	if r.Model == "" {
		r.Model = d.Model
	}
	if r.Prompt == "" && len(r.Input) == 0 {
		was, _, err := g.asked(ctx, b.room, revision)
		if errors.Is(err, errForgotten) {
			return domain.Errorf(domain.CodeNotFound, "retry_of: what was asked for can't be read any more")
		}
		if err != nil {
			return err
		}
		r.Prompt = was.Prompt
		if r.Input, err = json.Marshal(was.Input); err != nil {
			return err
		}
	}
	if r.Placement == (Placement{}) && elementOf(v, d.Element) != nil {
		r.Placement.ElementID = d.Element
	}
	return nil
}

func elementOf(v *View, id string) *domain.Element {
	for _, e := range v.Elements {
		if e.ID() == id {
			return e
		}
	}
	return nil
}

// place says what shows the generation.
func (g *Generations) place(ctx context.Context, b by, c *domain.RequestGeneration, p Placement) error {
	if p.ElementID != "" {
		if p.Beside != "" || p.X != nil || p.Y != nil || p.Width != nil || p.Height != nil {
			return domain.Errorf(domain.CodeBadRequest, "placement: element_id goes alone")
		}
		c.ElementID = p.ElementID
		return nil
	}
	at := [4]float64{-placeholderSize / 2, -placeholderSize / 2, placeholderSize, placeholderSize}
	if p.Beside != "" {
		v, err := g.cfg.Rooms.View(ctx, b.room)
		if err != nil {
			return err
		}
		e := elementOf(v, p.Beside)
		if e == nil {
			return domain.Errorf(domain.CodeNotFound, "placement.beside: there is no such element")
		}
		at = besideOf(e)
	}
	for i, v := range []*float64{p.X, p.Y, p.Width, p.Height} {
		name := [...]string{"x", "y", "width", "height"}[i]
		switch {
		case v == nil:
		case math.Abs(*v) > maxCoordinate || math.IsNaN(*v) || i >= 2 && *v <= 0:
			return domain.Errorf(domain.CodeBadRequest, "placement.%s: out of range", name)
		default:
			at[i] = *v
		}
	}
	e, err := placeholder(c.ID, c.Result, at)
	c.Element = e
	return err
}

func besideOf(e *domain.Element) [4]float64 {
	at := [4]float64{0, 0, placeholderSize, placeholderSize}
	for i, key := range [...]string{"x", "y", "width", "height"} {
		var f float64
		if v, ok := e.Get(key); ok && json.Unmarshal(v, &f) == nil && (i < 2 || f > 0) {
			at[i] = f
		}
	}
	at[0] += at[2] + placeholderGap
	return at
}

// placeholder is an element that old front ends draw as one that is being made.
func placeholder(id, result string, at [4]float64) (*domain.Element, error) {
	members := map[string]any{"id": id, "type": result, "x": at[0], "y": at[1], "width": at[2], "height": at[3], "rotation": 0}
	if result == ResultVideo {
		members["isVideo"], members["isGenerating"] = true, true
	}
	raw, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	return domain.ParseElement(raw)
}

// Cancel ends a generation that is under way; one that is canceled stays so. CodeConflict where it is over.
func (g *Generations) Cancel(ctx context.Context, room string, actor domain.Actor, id string) error {
	v, err := g.cfg.Rooms.View(ctx, room)
	if err != nil {
		return err
	}
	was := domain.FindGeneration(v.Generations, id)
	res, err := g.cfg.Rooms.Do(ctx, room, Request{Actor: actor, Commands: []domain.Command{domain.CancelGeneration{ID: id}}})
	if err != nil || res.Commit == nil || was == nil {
		return err
	}
	for i := range res.Commit.Events {
		if d, ok := res.Commit.Events[i].Payload.(*events.GenerationCanceledData); ok && d.ID == id {
			g.cfg.Live(GenerationProgress{Room: room, ID: id, Status: domain.GenerationCanceled})
			if !d.Open {
				g.over.WithLabelValues(string(domain.GenerationCanceled)).Inc()
				g.settle(ctx, spendOf(room, was), 0)
			}
		}
	}
	return nil
}
