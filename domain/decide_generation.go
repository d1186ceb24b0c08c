package domain

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/infinite-kanvas/kanvas/events"
)

// generationKey is the member of an element that says which generation it waits for, or why there is no result: {"id","status","code"?,"detail"?}.
const generationKey = "generation"

func (d *decider) requestGeneration(c RequestGeneration) error {
	if err := c.check(d.actor); err != nil {
		return err
	}
	r := d.room
	under := 0
	for _, g := range r.generations {
		if g.ID == c.ID {
			return Errorf(CodeConflict, "the generation exists")
		}
		if g.under() {
			under++
		}
	}
	if under >= MaxGenerations {
		return Errorf(CodeRateLimited, "at most %d generations may be under way in a room", MaxGenerations)
	}
	data := &events.GenerationRequestedData{ID: c.ID, Model: c.Model, Request: c.Request, Result: c.Result, Element: c.ElementID, Assets: c.Assets,
		Estimate: c.Estimate, RetryOf: c.RetryOf}
	mark := generationMark(c.ID, GenerationQueued, "", "")
	if c.Element == nil {
		d.emit(events.GenerationRequested, data)
		return d.markElement(c, mark)
	}
	if r.canvas.byID[c.Element.id] != nil {
		return Errorf(CodeConflict, "the placeholder's id is taken by another element")
	}
	if c.Element.typ != c.Result {
		return Errorf(CodeInvalidCommand, "the placeholder is no %s", c.Result)
	}
	data.Element, data.Added = c.Element.id, true
	d.emit(events.GenerationRequested, data)
	return d.add(AddElement{Element: c.Element.apply([]part{{key: generationKey, value: mark}, {key: "src", value: []byte(`""`)}, {key: "isGenerated", value: []byte("true")}})})
}

func (c *RequestGeneration) check(a Actor) error {
	switch {
	case !a.person():
		return Errorf(CodeUnauthenticated, "a generation is for somebody with an identity")
	case !ValidElementID(c.ID):
		return badID("id")
	case c.Model == "" || len(c.Model) > MaxModelName:
		return Errorf(CodeInvalidCommand, "model: 1 to %d bytes", MaxModelName)
	case c.Result != "image" && c.Result != "video":
		return Errorf(CodeInvalidCommand, "the result is neither an image nor a video")
	case c.Estimate < 0:
		return Errorf(CodeInvalidCommand, "the estimate is less than nothing")
	case len(c.Assets) > MaxGenerationFiles:
		return Errorf(CodeTooLarge, "input: names more than %d files", MaxGenerationFiles)
	case c.RetryOf != "" && !ValidElementID(c.RetryOf):
		return badID("retry_of")
	}
	return checkSealed(c.Request, MaxGenerationBytes)
}

// markElement shows on an element that is there that it waits for a result.
func (d *decider) markElement(c RequestGeneration, mark []byte) error {
	e := d.room.canvas.byID[c.ElementID]
	switch {
	case e == nil:
		return Errorf(CodeNotFound, "there is no such element")
	case e.typ != c.Result:
		return Errorf(CodeInvalidCommand, "an element of type %s can't become the result, a %s: ask for it beside the element", e.typ, c.Result)
	}
	if id := markOf(e).ID; id != "" && FindGeneration(d.room.generations, id) != nil {
		return Errorf(CodeConflict, "the element waits for a generation already")
	}
	if err := fits(e.contentBytes() + memberBytes(generationKey, mark)); err != nil {
		return err
	}
	if err := d.roomFor(0, memberBytes(generationKey, mark)); err != nil {
		return err
	}
	d.patchFor(d.actor.ID, e.id, events.Members{{Key: generationKey, Value: mark}}, nil)
	return nil
}

// patchFor patches an element in a requester's name, as no step of undo.
func (d *decider) patchFor(user, id string, set events.Members, unset []string) {
	d.emitAs(user, events.CauseGeneration, events.ElementPatched, &events.ElementPatchedData{ID: id, Set: set, Unset: unset})
}

// emitAs adds an event in somebody's name.
func (d *decider) emitAs(user string, cause events.Cause, t events.Type, payload any) {
	d.emit(t, payload)
	e := &d.out.Events[len(d.out.Events)-1]
	e.Actor, e.Cause = user, cause
}

func generationMark(id string, status GenerationStatus, code, detail string) []byte {
	b, err := json.Marshal(mark{id, status, code, detail})
	if err != nil {
		panic("domain: mark of a generation: " + err.Error()) // strings can't fail
	}
	return b
}

// mark is what an element says of the generation that it names.
type mark struct {
	ID     string           `json:"id"`
	Status GenerationStatus `json:"status"`
	Code   string           `json:"code,omitempty"`
	Detail string           `json:"detail,omitempty"`
}

// markOf is the zero mark where the element names no generation.
func markOf(e *Element) mark {
	value, _ := e.Get(generationKey)
	return readMark(value)
}

func readMark(value json.RawMessage) (m mark) {
	if len(value) == 0 || value[0] != '{' || json.Unmarshal(value, &m) != nil {
		return mark{}
	}
	return m
}

// WaitsIn is WaitsFor of a patch's members.
func WaitsIn(set events.Members) string {
	value, _ := set.Get(generationKey)
	if m := readMark(value); m.Status == GenerationQueued {
		return m.ID
	}
	return ""
}

// WaitsFor is the generation for whose result an element waits, or "".
func WaitsFor(e *Element) string {
	if m := markOf(e); m.Status == GenerationQueued {
		return m.ID
	}
	return ""
}

// shownBy is the element that still waits for the generation, or nil.
func (d *decider) shownBy(g *Generation) *Element {
	if e := d.room.canvas.byID[g.ElementID]; e != nil && markOf(e).ID == g.ID {
		return e
	}
	return nil
}

func (d *decider) cancelGeneration(c CancelGeneration) error {
	g := FindGeneration(d.room.generations, c.ID)
	if g == nil {
		return Errorf(CodeConflict, "the generation is over, or there never was one")
	}
	if role, _ := d.room.RoleOf(d.actor.ID); g.User != d.actor.ID && role != RoleOwner {
		return Errorf(CodeForbidden, "only who asked for it, and owners, may cancel a generation")
	}
	if g.Status == GenerationCanceled || g.Status == GenerationUnknown {
		return nil // nothing more can be done about it
	}
	d.emit(events.GenerationCanceled, &events.GenerationCanceledData{ID: g.ID, Open: g.Status != GenerationQueued})
	d.stopWaiting(g)
	return nil
}

// stopWaiting takes away what only waited for a result that is not wanted any more.
func (d *decider) stopWaiting(g *Generation) {
	e := d.shownBy(g)
	switch {
	case e == nil:
	case placeholder(e):
		d.emitAs(g.User, events.CauseGeneration, events.ElementRemoved, &events.ElementRemovedData{IDs: []string{e.id}})
	default:
		d.patchFor(g.User, e.id, nil, waiting(e))
	}
}

// placeholder reports whether an element is one that shows nothing yet: of this generation, or of one that this one is another try of.
func placeholder(e *Element) bool {
	src, ok := e.Get("src")
	made, _ := e.Get("isGenerated")
	return (!ok || string(src) == `""`) && string(made) == "true"
}

// waiting lists the members of e that say that it waits, sorted.
func waiting(e *Element) []string {
	keys := []string{generationKey}
	if _, ok := e.Get("isGenerating"); ok {
		keys = append(keys, "isGenerating")
	}
	return keys
}

// advanceGeneration says what happened to a generation. It changes nothing where that can't follow: somebody else was faster.
func (d *decider) advanceGeneration(to any) error {
	switch p := to.(type) {
	case *events.GenerationSubmittingData:
		if g := d.generation(p.ID, GenerationQueued, GenerationSubmitting); g != nil && p.Attempt == g.Attempt+1 {
			d.emit(events.GenerationSubmitting, p)
		}
	case *events.GenerationUnsentData:
		if g := d.generation(p.ID, GenerationSubmitting); g != nil && p.Attempt == g.Attempt {
			d.emit(events.GenerationUnsent, p)
		}
	case *events.GenerationSubmittedData:
		if g := d.generation(p.ID, GenerationSubmitting, GenerationUnknown, GenerationCanceled); g != nil && g.RequestID == "" {
			d.emit(events.GenerationSubmitted, p)
			if g.Status == GenerationUnknown {
				d.showStatus(g, GenerationQueued, "", "")
			}
		}
	case *events.GenerationStartedData:
		if g := d.generation(p.ID, GenerationSubmitted); g != nil {
			d.emit(events.GenerationStarted, p)
		}
	case *events.GenerationUnknownData:
		if g := d.generation(p.ID, GenerationSubmitting, GenerationCanceled); g != nil && g.RequestID == "" {
			d.unknown(g, p)
		}
	case *events.GenerationFailedData:
		if g := d.generation(p.ID); g != nil {
			d.failed(g, p)
		}
	default:
		return Errorf(CodeInvalidCommand, "nothing that happens to a generation: %T", to)
	}
	return nil
}

// generation finds one that is under way in one of the statuses; none: in any.
func (d *decider) generation(id string, in ...GenerationStatus) *Generation {
	g := FindGeneration(d.room.generations, id)
	if g == nil || len(in) > 0 && !slices.Contains(in, g.Status) {
		return nil
	}
	return g
}

func (d *decider) unknown(g *Generation, p *events.GenerationUnknownData) {
	if g.Status == GenerationCanceled {
		d.emit(events.GenerationSettled, &events.GenerationSettledData{ID: g.ID, Cost: p.Cost})
		return
	}
	d.emit(events.GenerationUnknown, p)
	d.showStatus(g, GenerationUnknown, "", "nobody can say whether it was taken; it may still come")
}

func (d *decider) failed(g *Generation, p *events.GenerationFailedData) {
	if g.Status == GenerationCanceled {
		d.emit(events.GenerationSettled, &events.GenerationSettledData{ID: g.ID, Cost: p.Cost})
		return
	}
	d.emit(events.GenerationFailed, p)
	d.showStatus(g, GenerationFailed, p.Code, p.Detail)
}

// showStatus says on the element how the generation stands.
func (d *decider) showStatus(g *Generation, status GenerationStatus, code, detail string) {
	e := d.shownBy(g)
	if e == nil {
		return
	}
	var unset []string
	if status != GenerationQueued {
		unset = waiting(e)[1:]
	}
	d.patchFor(g.User, e.id, events.Members{{Key: generationKey, Value: generationMark(g.ID, status, code, detail)}}, unset)
}

// sortMembers puts members in the order of payloads.
func sortMembers(m events.Members) events.Members {
	slices.SortFunc(m, func(a, b events.Member) int { return strings.Compare(a.Key, b.Key) })
	return m
}
