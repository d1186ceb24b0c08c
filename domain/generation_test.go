package domain

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

// asks is ann's way to ask for a picture in a placeholder of its own.
func asks(id string) RequestGeneration {
	e, err := ParseElement(fmt.Appendf(nil, `{"id":"p-%s","type":"image","x":100,"y":100,"width":200,"height":100}`, id))
	if err != nil {
		panic(err)
	}
	return RequestGeneration{ID: id, Model: "m", Result: "image", Request: "k1.s", Estimate: 7, Element: e}
}

func (w *world) advance(to any) outcome {
	w.t.Helper()
	return w.must(SystemID, AdvanceGeneration{to})
}

// taken takes a generation as far as the queue.
func (w *world) taken(id string) {
	w.t.Helper()
	w.advance(&events.GenerationSubmittingData{ID: id, Attempt: 1})
	w.advance(&events.GenerationSubmittedData{ID: id, RequestID: "r-" + id, StatusURL: "s"})
}

func (w *world) statusIs(id string, want GenerationStatus) {
	w.t.Helper()
	is := GenerationStatus("")
	if g := FindGeneration(w.room.Generations(), id); g != nil {
		is = g.Status
	}
	if is != want {
		w.t.Fatalf("generation %s is %q, not %q", id, is, want)
	}
}

func has[T any](o outcome) (found []*T) {
	for i := range o.events {
		if p, ok := o.events[i].Payload.(*T); ok {
			found = append(found, p)
		}
	}
	return found
}

func TestAGenerationsWay(t *testing.T) {
	w := studio(t)
	w.must("ann", asks("g"))
	w.statusIs("g", GenerationQueued)
	w.canvasIs(`{"id":"p-g","type":"image","generation":{"id":"g","status":"queued"},"height":100,"isGenerated":true,"src":"","width":200,"x":100,"y":100}`)
	w.taken("g")
	w.statusIs("g", GenerationSubmitted)
	w.advance(&events.GenerationStartedData{ID: "g"})
	w.statusIs("g", GenerationRunning)
	o := w.must(SystemID, FinishGeneration{ID: "g", Files: []GeneratedFile{{"a1", 512, 512}, {"a2", 512, 512}}, Seed: "42", Cost: 5, DurationMS: 9})
	w.statusIs("g", "")
	if done := has[events.GenerationSucceededData](o); len(done) != 1 || !done[0].Kept || done[0].Assets[1] != "asset:a2" || done[0].Cost != 5 {
		t.Fatalf("%+v", done)
	}
	w.canvasIs(`{"id":"p-g","type":"image","height":100,"isGenerated":true,"src":"asset:a1","width":100,"x":150,"y":100}`,
		`{"id":"g-1","type":"image","height":100,"isGenerated":true,"src":"asset:a2","width":100,"x":270,"y":100}`)
	for _, e := range o.events {
		if e.Type != events.GenerationSucceeded && e.Actor != "ann" {
			t.Errorf("%s is by %s: what is on the canvas is the requester's", e.Type, e.Actor)
		}
	}
	w.check()
	// The further picture is a step of its own, what was asked for with its result another.
	w.must("ann", Undo{})
	w.canvasIs(`{"id":"p-g","type":"image","height":100,"isGenerated":true,"src":"asset:a1","width":100,"x":150,"y":100}`)
	w.must("ann", Undo{})
	w.canvasIs()
	w.must("ann", Redo{})
	w.canvasIs(`{"id":"p-g","type":"image","height":100,"isGenerated":true,"src":"asset:a1","width":100,"x":150,"y":100}`)
	w.check()
}

func TestAResultReplacesAnElementAndUndoBringsItBack(t *testing.T) {
	w := studio(t)
	was := `{"id":"e","type":"image","height":90,"src":"asset:old","width":160,"x":0,"y":0}`
	w.must("olga", AddElement{Element: element(t, "%s", was)})
	ask := RequestGeneration{ID: "g", Model: "m", Result: "image", Request: "k1.s", ElementID: "e"}
	w.must("ann", ask)
	w.canvasIs(`{"id":"e","type":"image","generation":{"id":"g","status":"queued"},"height":90,"src":"asset:old","width":160,"x":0,"y":0}`)
	again := ask
	again.ID = "h"
	w.refused(CodeConflict, "olga", again)
	w.taken("g")
	w.must(SystemID, FinishGeneration{ID: "g", Files: []GeneratedFile{{"new", 1600, 900}}})
	w.canvasIs(`{"id":"e","type":"image","height":90,"src":"asset:new","width":160,"x":0,"y":0}`)
	w.must("ann", Undo{})
	w.canvasIs(was)
	w.must("ann", Redo{})
	w.canvasIs(`{"id":"e","type":"image","height":90,"src":"asset:new","width":160,"x":0,"y":0}`)
	w.check()
}

func TestDeleteWinsOverAResult(t *testing.T) {
	for name, gone := range map[string]func(w *world){
		"deleted":  func(w *world) { w.must("olga", RemoveElements{IDs: []string{"p-g"}}) },
		"undone":   func(w *world) { w.must("ann", Undo{}) },
		"unmarked": func(w *world) { w.must("olga", unset("p-g", "generation")) },
	} {
		w := studio(t)
		w.must("ann", asks("g"))
		w.taken("g")
		gone(w)
		before := w.room.ElementCount()
		o := w.must(SystemID, FinishGeneration{ID: "g", Files: []GeneratedFile{{"a1", 1, 1}, {"a2", 1, 1}}, Cost: 5})
		if done := has[events.GenerationSucceededData](o); len(o.events) != 1 || len(done) != 1 || done[0].Kept || len(done[0].Assets) != 2 {
			t.Errorf("%s: %+v", name, o.events)
		}
		if w.room.ElementCount() != before {
			t.Errorf("%s: elements came", name)
		}
		w.check()
	}
}

func TestFailuresStandOnTheElement(t *testing.T) {
	w := studio(t)
	w.must("ann", asks("g"))
	w.taken("g")
	w.advance(&events.GenerationFailedData{ID: "g", Code: "content_policy", Detail: "the model refuses it", Cost: 1})
	w.statusIs("g", "")
	w.canvasIs(`{"id":"p-g","type":"image","generation":{"id":"g","status":"failed","code":"content_policy","detail":"the model refuses it"},"height":100,"isGenerated":true,"src":"","width":200,"x":100,"y":100}`)
	// Again, in the same place.
	w.must("ann", RequestGeneration{ID: "h", Model: "m", Result: "image", Request: "k1.s", ElementID: "p-g", RetryOf: "g"})
	w.taken("h")
	w.must(SystemID, FinishGeneration{ID: "h", Files: []GeneratedFile{{"a", 200, 100}}})
	w.canvasIs(`{"id":"p-g","type":"image","height":100,"isGenerated":true,"src":"asset:a","width":200,"x":100,"y":100}`)
	w.must("ann", Undo{}) // there was nothing before
	w.canvasIs()
	w.check()
}

func TestACanceledRetryLeavesNothing(t *testing.T) {
	w := studio(t)
	w.must("ann", asks("g"))
	w.advance(&events.GenerationFailedData{ID: "g", Code: "timeout"})
	w.must("ann", RequestGeneration{ID: "h", Model: "m", Result: "image", Request: "k1.s", ElementID: "p-g", RetryOf: "g"})
	w.must("ann", CancelGeneration{"h"})
	w.canvasIs()
	w.check()
}

func TestUnknownMayStillCome(t *testing.T) {
	w := studio(t)
	w.must("ann", asks("g"))
	w.advance(&events.GenerationSubmittingData{ID: "g", Attempt: 1})
	w.advance(&events.GenerationUnknownData{ID: "g", Cost: 7})
	w.statusIs("g", GenerationUnknown)
	if o := w.advance(&events.GenerationSubmittingData{ID: "g", Attempt: 2}); len(o.events) != 0 {
		t.Fatal("sent again")
	}
	w.advance(&events.GenerationSubmittedData{ID: "g", RequestID: "r"})
	w.statusIs("g", GenerationSubmitted)
	w.must(SystemID, FinishGeneration{ID: "g", Files: []GeneratedFile{{"a", 200, 100}}})
	w.canvasIs(`{"id":"p-g","type":"image","height":100,"isGenerated":true,"src":"asset:a","width":200,"x":100,"y":100}`)
	w.check()
}

func TestCancel(t *testing.T) {
	t.Run("before it was sent", func(t *testing.T) {
		w := studio(t)
		w.must("ann", asks("g"))
		w.refused(CodeForbidden, "bob", CancelGeneration{"g"})
		o := w.must("ann", CancelGeneration{"g"})
		if d := has[events.GenerationCanceledData](o); len(d) != 1 || d[0].Open {
			t.Fatalf("%+v", d)
		}
		w.statusIs("g", "")
		w.canvasIs()
		w.refused(CodeConflict, "ann", CancelGeneration{"g"})
		w.check()
	})
	t.Run("a result that comes all the same", func(t *testing.T) {
		w := studio(t)
		w.must("ann", asks("g"))
		w.advance(&events.GenerationSubmittingData{ID: "g", Attempt: 1})
		w.must("olga", CancelGeneration{"g"})
		w.advance(&events.GenerationSubmittedData{ID: "g", RequestID: "r"}) // the answer was on its way
		w.statusIs("g", GenerationCanceled)
		o := w.must(SystemID, FinishGeneration{ID: "g", Files: []GeneratedFile{{"a", 1, 1}}, Cost: 5})
		if d := has[events.GenerationSettledData](o); len(o.events) != 1 || len(d) != 1 || d[0].Assets[0] != "asset:a" || d[0].Cost != 5 {
			t.Fatalf("%+v", o.events)
		}
		w.statusIs("g", "")
		w.canvasIs()
		w.check()
	})
	t.Run("of an element that was there", func(t *testing.T) {
		w := studio(t)
		was := `{"id":"e","type":"image","src":"asset:old"}`
		w.must("olga", AddElement{Element: element(t, "%s", was)})
		w.must("ann", RequestGeneration{ID: "g", Model: "m", Result: "image", Request: "k1.s", ElementID: "e"})
		w.must("ann", CancelGeneration{"g"})
		w.canvasIs(was)
	})
}

func TestGenerationsThatAreRefused(t *testing.T) {
	w := studio(t)
	w.must("olga", AddElement{Element: element(t, `{"id":"text","type":"text"}`)}, AddElement{Element: element(t, `{"id":"p-taken","type":"image"}`)})
	change := func(f func(c *RequestGeneration)) RequestGeneration {
		c := asks("g")
		f(&c)
		return c
	}
	long := strings.Repeat("x", MaxModelName+1)
	many := make([]string, MaxGenerationFiles+1)
	for _, c := range []struct {
		code Code
		ask  RequestGeneration
	}{
		{CodeInvalidCommand, change(func(c *RequestGeneration) { c.ID = "" })},
		{CodeInvalidCommand, change(func(c *RequestGeneration) { c.ID = "a/b" })},
		{CodeInvalidCommand, change(func(c *RequestGeneration) { c.Model = "" })},
		{CodeInvalidCommand, change(func(c *RequestGeneration) { c.Model = long })},
		{CodeInvalidCommand, change(func(c *RequestGeneration) { c.Result = "text" })},
		{CodeInvalidCommand, change(func(c *RequestGeneration) { c.Result = "video" })}, // a placeholder of another kind
		{CodeInvalidCommand, change(func(c *RequestGeneration) { c.Estimate = -1 })},
		{CodeInvalidCommand, change(func(c *RequestGeneration) { c.Request = "" })},
		{CodeInvalidCommand, change(func(c *RequestGeneration) { c.RetryOf = "a b" })},
		{CodeTooLarge, change(func(c *RequestGeneration) { c.Assets = many })},
		{CodeTooLarge, change(func(c *RequestGeneration) {
			c.Request = events.Sealed(strings.Repeat("x", maxSealed(MaxGenerationBytes)+1))
		})},
		{CodeNotFound, change(func(c *RequestGeneration) { c.Element, c.ElementID = nil, "nobody" })},
		{CodeInvalidCommand, change(func(c *RequestGeneration) { c.Element, c.ElementID = nil, "text" })},
		{CodeConflict, asks("taken")},
	} {
		w.refused(c.code, "ann", c.ask)
	}
	w.refused(CodeUnauthenticated, "anon:1", asks("g"))
	fits := change(func(c *RequestGeneration) {
		c.Request = events.Sealed(strings.Repeat("x", maxSealed(MaxGenerationBytes)))
	})
	w.must("ann", fits)
	w.refused(CodeConflict, "ann", fits)
}

func TestGenerationsPerRoom(t *testing.T) {
	w := studio(t)
	w.every = 1000
	for i := range MaxGenerations {
		w.must("ann", asks(fmt.Sprint("g", i)))
	}
	w.refused(CodeRateLimited, "ann", asks("more"))
	// Those of which nobody knows don't count; too many of them are forgotten, the oldest first.
	for i := range MaxGenerations {
		id := fmt.Sprint("g", i)
		w.advance(&events.GenerationSubmittingData{ID: id, Attempt: 1})
		w.advance(&events.GenerationUnknownData{ID: id})
	}
	w.must("ann", asks("more"))
	w.statusIs("g0", "")
	w.statusIs("g1", GenerationUnknown)
	if n := len(w.room.Generations()); n != MaxGenerations {
		t.Errorf("%d generations", n)
	}
	w.check()
}

// Whatever comes twice, late or out of order changes nothing.
func TestWhatCantFollowChangesNothing(t *testing.T) {
	w := studio(t)
	w.must("ann", asks("g"))
	none := func(to any) {
		t.Helper()
		if o := w.advance(to); len(o.events) != 0 {
			t.Errorf("%T: %+v", to, o.events)
		}
	}
	none(&events.GenerationSubmittedData{ID: "g", RequestID: "r"})
	none(&events.GenerationStartedData{ID: "g"})
	none(&events.GenerationUnknownData{ID: "g"})
	none(&events.GenerationSubmittingData{ID: "g", Attempt: 2})
	none(&events.GenerationSubmittingData{ID: "other", Attempt: 1})
	none(&events.GenerationUnsentData{ID: "g", Attempt: 1})
	w.advance(&events.GenerationSubmittingData{ID: "g", Attempt: 1})
	none(&events.GenerationUnsentData{ID: "g", Attempt: 2})
	w.advance(&events.GenerationUnsentData{ID: "g", Attempt: 1})
	w.statusIs("g", GenerationQueued)
	none(&events.GenerationSubmittingData{ID: "g", Attempt: 1})
	w.advance(&events.GenerationSubmittingData{ID: "g", Attempt: 2})
	none(&events.GenerationSubmittingData{ID: "g", Attempt: 2})
	w.advance(&events.GenerationSubmittedData{ID: "g", RequestID: "r"})
	none(&events.GenerationSubmittedData{ID: "g", RequestID: "other"})
	none(&events.GenerationUnknownData{ID: "g"})
	none(&events.GenerationSubmittingData{ID: "g", Attempt: 2})
	w.advance(&events.GenerationStartedData{ID: "g"})
	none(&events.GenerationStartedData{ID: "g"})
	w.must(SystemID, FinishGeneration{ID: "g", Files: []GeneratedFile{{Asset: "a"}}})
	none(&events.GenerationFailedData{ID: "g"})
	if o := w.must(SystemID, FinishGeneration{ID: "g", Files: []GeneratedFile{{Asset: "a"}}}); len(o.events) != 0 {
		t.Errorf("finished twice: %+v", o.events)
	}
	w.refused(CodeInvalidCommand, SystemID, AdvanceGeneration{json.RawMessage(`{}`)})
	w.refused(CodeForbidden, SystemID, asks("h"))
}

// What came back after the end, or was copied, gets what became of it.
func TestElementsThatWaitForWhatIsOver(t *testing.T) {
	w := studio(t)
	w.must("ann", asks("g"))
	w.taken("g")
	w.must("ann", Undo{})
	w.must(SystemID, FinishGeneration{ID: "g", Files: []GeneratedFile{{"a", 200, 100}}})
	w.must("ann", Redo{})
	if WaitsFor(w.room.Element("p-g")) != "g" {
		t.Fatal("the placeholder did not come back")
	}
	show := ShowGeneration{ID: "g", ElementID: "p-g", Status: GenerationSucceeded, File: GeneratedFile{"a", 200, 100}}
	w.must(SystemID, show)
	w.canvasIs(`{"id":"p-g","type":"image","height":100,"isGenerated":true,"src":"asset:a","width":200,"x":100,"y":100}`)
	if o := w.must(SystemID, show); len(o.events) != 0 {
		t.Error("shown twice")
	}
	w.must("ann", Undo{})
	w.canvasIs()
	waits := `{"id":"c","type":"image","generation":{"id":"g","status":"queued"},"isGenerated":true,"src":""}`
	for status, want := range map[GenerationStatus]string{
		GenerationFailed:   `{"id":"c","type":"image","generation":{"id":"g","status":"failed","code":"timeout","detail":"late"},"isGenerated":true,"src":""}`,
		GenerationUnknown:  `{"id":"c","type":"image","generation":{"id":"g","status":"unknown"},"isGenerated":true,"src":""}`,
		GenerationCanceled: "",
	} {
		w.must("olga", AddElement{Element: element(t, "%s", waits)})
		s := ShowGeneration{ID: "g", ElementID: "c", Status: status}
		if status == GenerationFailed {
			s.Code, s.Detail = "timeout", "late"
		}
		w.must(SystemID, s)
		if want == "" {
			w.canvasIs()
			continue
		}
		w.canvasIs(want)
		w.must("olga", RemoveElements{IDs: []string{"c"}})
	}
	w.must("ann", asks("h"))
	if o := w.must(SystemID, ShowGeneration{ID: "h", ElementID: "p-h", Status: GenerationFailed}); len(o.events) != 0 {
		t.Error("what is under way was shown as over")
	}
	w.check()
}
