package domain

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

const e1 = `{"id":"e","type":"shape"}`

func TestUndoLeavesWhatOthersChanged(t *testing.T) {
	w := studio(t)
	w.must("olga", shape(t, "e"))
	w.must("ann", set("e", "x", "1"))
	w.must("bob", set("e", "x", "2"))
	w.must("ann", set("e", "x", "3"))
	out := w.must("ann", Undo{})
	w.canvasIs(`{"id":"e","type":"shape","x":2}`)
	if e := out.events[0]; e.Cause != events.CauseUndo || e.Step != w.room.Revision()-1 || e.Actor != "ann" {
		t.Fatalf("undo is %+v", e)
	}
	w.refused(CodeNothingToUndo, "ann", Undo{}) // x is bob's now
	w.must("bob", Undo{})
	w.canvasIs(`{"id":"e","type":"shape","x":1}`)
	w.must("ann", Undo{}) // and ann's again
	w.canvasIs(e1)
	w.refused(CodeNothingToUndo, "ann", Undo{})
	w.refused(CodeNothingToUndo, "bob", Undo{})
	w.check()
}

func TestUndoAndRedoWalkBackAndForth(t *testing.T) {
	w := studio(t)
	states := []string{w.canvas()}
	for _, c := range [][]Command{
		{shape(t, "e")}, {set("e", "x", "1")}, {set("e", "x", "2"), set("e", "text", `"a"`)}, {unset("e", "x")}, {shape(t, "f")},
		{ReorderElements{IDs: []string{"f"}, To: "back"}}, {RemoveElements{IDs: []string{"e", "f"}}}, {shape(t, "e"), set("e", "y", "4")},
	} {
		w.must("ann", c...)
		states = append(states, w.canvas())
	}
	for round := range 3 {
		for i := len(states) - 2; i >= 0; i-- {
			w.must("ann", Undo{})
			if got := w.canvas(); got != states[i] {
				t.Fatalf("round %d, undone to %d: %s, want %s", round, i, got, states[i])
			}
			w.check()
		}
		w.refused(CodeNothingToUndo, "ann", Undo{})
		for i := 1; i < len(states); i++ {
			w.must("ann", Redo{})
			if got := w.canvas(); got != states[i] {
				t.Fatalf("round %d, redone to %d: %s, want %s", round, i, got, states[i])
			}
			w.check()
		}
		w.refused(CodeNothingToUndo, "ann", Redo{})
	}
}

// canvas is the whole canvas with z, in paint order.
func (w *world) canvas() string {
	var b strings.Builder
	for _, e := range w.room.Elements() {
		b.Write(e.JSON())
	}
	return b.String()
}

func TestUndoScenarios(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world)
		undo string // whose undo
		want []string
		nothing,
		redo bool
	}{
		{name: "an addition that somebody else changed stays", undo: "ann", nothing: true, want: []string{`{"id":"e","type":"shape","x":1}`},
			do: func(w *world) { w.must("ann", shape(t, "e")); w.must("bob", set("e", "x", "1")) }},
		{name: "an addition that somebody else reordered stays", undo: "ann", nothing: true, want: []string{e1, `{"id":"f","type":"shape"}`},
			do: func(w *world) {
				w.must("bob", shape(t, "f"))
				w.must("ann", shape(t, "e"))
				w.must("bob", ReorderElements{IDs: []string{"e"}, To: "back"})
			}},
		{name: "somebody else's change taken back does not count", undo: "ann", want: nil,
			do: func(w *world) {
				w.must("ann", shape(t, "e"))
				w.must("bob", set("e", "x", "1"))
				w.must("bob", Undo{})
			}},
		{name: "a member that somebody else unset stays unset", undo: "ann", nothing: true, want: []string{e1},
			do: func(w *world) {
				w.must("olga", shape(t, "e"))
				w.must("ann", set("e", "x", "1"))
				w.must("bob", unset("e", "x"))
			}},
		{name: "a removal comes back with what it was", undo: "ann", want: []string{`{"id":"e","type":"shape","x":1}`},
			do: func(w *world) {
				w.must("bob", shape(t, "e"), set("e", "x", "1"))
				w.must("ann", RemoveElements{IDs: []string{"e"}})
			}},
		{name: "a removal comes back, and its author's steps still fit", undo: "bob", want: []string{e1},
			do: func(w *world) {
				w.must("bob", shape(t, "e"))
				w.must("bob", set("e", "x", "1"))
				w.must("ann", RemoveElements{IDs: []string{"e"}})
				w.must("ann", Undo{})
			}},
		{name: "a removal is not brought back beside a new element", undo: "ann", nothing: true, want: []string{e1},
			do: func(w *world) {
				w.must("bob", shape(t, "e"))
				w.must("ann", RemoveElements{IDs: []string{"e"}})
				w.must("bob", shape(t, "e"))
			}},
		{name: "redo of a removal takes somebody else's element again", undo: "ann", redo: true, want: nil,
			do: func(w *world) {
				w.must("bob", shape(t, "e"))
				w.must("ann", RemoveElements{IDs: []string{"e"}})
				w.must("ann", Undo{})
			}},
		{name: "redo of a removal leaves what changed since", undo: "ann", redo: true, nothing: true, want: []string{`{"id":"e","type":"shape","x":1}`},
			do: func(w *world) {
				w.must("bob", shape(t, "e"))
				w.must("ann", RemoveElements{IDs: []string{"e"}})
				w.must("ann", Undo{})
				w.must("bob", set("e", "x", "1"))
			}},
		{name: "a change clears redo", undo: "ann", redo: true, nothing: true, want: []string{`{"id":"e","type":"shape","y":2}`},
			do: func(w *world) {
				w.must("olga", shape(t, "e"))
				w.must("ann", set("e", "x", "1"))
				w.must("ann", Undo{})
				w.must("ann", set("e", "y", "2"))
			}},
		{name: "somebody else's change does not clear redo", undo: "ann", redo: true, want: []string{`{"id":"e","type":"shape","x":1,"y":2}`},
			do: func(w *world) {
				w.must("olga", shape(t, "e"))
				w.must("ann", set("e", "x", "1"))
				w.must("ann", Undo{})
				w.must("bob", set("e", "y", "2"))
			}},
		{name: "chat is no step", undo: "ann", want: []string{e1},
			do: func(w *world) {
				w.must("olga", shape(t, "e"))
				w.must("ann", set("e", "x", "1"))
				w.must("ann", PostChat{Sealed: "s"})
			}},
		{name: "a list is one step, chat in between or not", undo: "ann", want: nil,
			do: func(w *world) {
				w.must("ann", PostChat{Sealed: "s"}, shape(t, "e"), PostChat{Sealed: "s"}, set("e", "x", "1"))
			}},
		{name: "the part nobody touched is reverted", undo: "ann", want: []string{`{"id":"e","type":"shape","x":7}`},
			do: func(w *world) {
				w.must("olga", shape(t, "e"))
				w.must("ann", PatchElement{ID: "e", Set: events.Members{{Key: "x", Value: []byte("1")}, {Key: "y", Value: []byte("1")}}})
				w.must("bob", set("e", "x", "7"))
			}},
		{name: "a step with nothing left is skipped", undo: "ann", want: []string{`{"id":"e","type":"shape","y":5}`},
			do: func(w *world) {
				w.must("olga", shape(t, "e"))
				w.must("ann", set("e", "x", "1"))
				w.must("ann", set("e", "y", "1"))
				w.must("bob", set("e", "y", "5"))
			}},
		{name: "an undo within a list", undo: "ann", want: []string{e1},
			do: func(w *world) {
				w.must("olga", shape(t, "e"))
				w.must("ann", set("e", "x", "1"), Undo{}, set("e", "y", "1"))
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := studio(t)
			c.do(w)
			w.check()
			cmd := Command(Undo{})
			if c.redo {
				cmd = Redo{}
			}
			_, err := w.do(c.undo, cmd)
			if c.nothing != (codeOf(err) == CodeNothingToUndo) || !c.nothing && err != nil {
				t.Fatalf("undo: %v", err)
			}
			w.canvasIs(c.want...)
			w.check()
		})
	}
}

func TestAnonymousActorsHaveNoSteps(t *testing.T) {
	w := newWorld(t)
	w.must("anon:1", CreateRoom{Name: "r"}, shape(t, "e"))
	w.must("anon:1", set("e", "x", "1"))
	w.refused(CodeNothingToUndo, "anon:1", Undo{})
	w.must("ann", shape(t, "f"))
	w.must("ann", Undo{})
	w.canvasIs(`{"id":"e","type":"shape","x":1}`)
	w.check()
}

func TestUndoKeepsAHundredSteps(t *testing.T) {
	w := studio(t)
	w.must("olga", shape(t, "e"))
	for i := range MaxUndoSteps + 1 {
		w.must("ann", set("e", "x", fmt.Sprint(i)))
	}
	for range MaxUndoSteps {
		w.must("ann", Undo{})
	}
	w.canvasIs(`{"id":"e","type":"shape","x":0}`)
	w.refused(CodeNothingToUndo, "ann", Undo{})
	w.check()
}

func TestUndoBytesAreBounded(t *testing.T) {
	w := studio(t)
	w.must("ann", shape(t, "small"))
	const each = 8 // elements that a step changes
	for i := range each {
		w.must("bob", shape(t, fmt.Sprint("e", i)))
	}
	text := `"` + strings.Repeat("t", 60<<10) + `"`
	n := 0
	for ; w.room.stacks["ann"] == nil || len(w.room.stacks["ann"].undo) > 0; n++ {
		if n > 2*MaxUndoBytes/(each*60<<10) {
			t.Fatal("ann's old step outlives what the others changed since")
		}
		var step []Command
		for i := range each {
			step = append(step, set(fmt.Sprint("e", i), "text", text[:len(text)-1-n%7]+`"`))
		}
		w.must([]string{"bob", "olga"}[n%2], step...)
	}
	if n < MaxUndoBytes/(each*61<<10) {
		t.Fatalf("the oldest step went after %d", n)
	}
	w.refused(CodeNothingToUndo, "ann", Undo{})
	w.must([]string{"bob", "olga"}[(n-1)%2], Undo{})
	w.check()
}

// The bound holds what a room can hold: whoever removes everything can take it back, as one step.
func TestTheRemovalOfEverythingCanBeTakenBack(t *testing.T) {
	w := studio(t)
	text := strings.Repeat("t", 60<<10)
	var ids []string
	for i := range (MaxRoomBytes - 1<<20) / (61 << 10) {
		id := fmt.Sprint("e", i)
		ids = append(ids, id)
		w.must("bob", AddElement{Element: element(t, `{"id":%q,"type":"text","text":%q}`, id, text)})
	}
	w.must("ann", shape(t, "f"))
	w.must("bob", set("e0", "x", "1"))
	full := w.room.ElementBytes()
	w.must("ann", RemoveElements{IDs: ids})
	w.must("ann", Undo{})
	if w.room.ElementBytes() != full {
		t.Fatalf("%d bytes of %d came back", w.room.ElementBytes(), full)
	}
	w.must("ann", Redo{})
	if w.room.ElementCount() != 1 {
		t.Fatal("redo")
	}
	w.check()
}

func TestUndoIsRefusedWhereTheRoomIsFull(t *testing.T) {
	w := studio(t)
	w.must("ann", shape(t, "e"))
	w.must("ann", RemoveElements{IDs: []string{"e"}})
	var cs []Command
	for i := range MaxElements {
		cs = append(cs, shape(t, fmt.Sprint("f", i)))
	}
	fillRoom(w, "bob", cs)
	if _, err := Decide(w.room, Actor{"ann"}, Undo{}, 0); codeOf(err) != CodeRoomFull {
		t.Fatalf("undo: %v", err)
	}
	if _, err := Decide(w.room, Actor{"ann"}, shape(t, "g"), 0); codeOf(err) != CodeRoomFull {
		t.Fatalf("one element more: %v", err)
	}
	if err := evolveAll(w, "bob", RemoveElements{IDs: []string{"f7"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := Decide(w.room, Actor{"ann"}, Undo{}, 0); err != nil {
		t.Fatalf("undo: %v", err)
	}
}

// fillRoom evolves commands without the checks of do.
func fillRoom(w *world, actor string, cs []Command) {
	w.t.Helper()
	for _, c := range cs {
		if err := evolveAll(w, actor, c); err != nil {
			w.t.Fatal(err)
		}
	}
}

func evolveAll(w *world, actor string, c Command) error {
	d, err := Decide(w.room, Actor{actor}, c, w.now)
	for i := range d.Events {
		err = errors.Join(err, w.room.Evolve(&d.Events[i], w.room.Revision()+1, w.now))
	}
	return err
}
