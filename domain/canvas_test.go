package domain

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

func (w *world) order() string {
	var ids []string
	for _, e := range w.room.Elements() {
		ids = append(ids, e.ID())
	}
	return strings.Join(ids, " ")
}

// letters adds one shape for each letter, in paint order.
func letters(t testing.TB, ids string) *world {
	w := studio(t)
	for _, id := range ids {
		w.must("ann", shape(t, string(id)))
	}
	return w
}

func TestAdd(t *testing.T) {
	w := letters(t, "abc")
	w.must("ann", AddElement{Element: element(t, `{"id":"d","type":"shape","z":"zzz"}`), Before: "b"})
	w.must("ann", AddElement{Element: shape(t, "e").Element, Before: "a"})
	w.must("ann", AddElement{Element: shape(t, "f").Element, Before: "gone"})
	if got := w.order(); got != "e a d b c f" {
		t.Fatalf("order %s", got)
	}
	if len(w.must("bob", AddElement{Element: element(t, `{"type":"shape","z":"b","id":"d"}`)}).events) != 0 {
		t.Error("the same element again")
	}
	w.refused(CodeConflict, "bob", AddElement{Element: element(t, `{"type":"shape","id":"d","x":1}`)})
	w.refused(CodeInvalidCommand, "bob", AddElement{})
	w.must("ann", RemoveElements{IDs: []string{"d"}})
	w.must("bob", AddElement{Element: element(t, `{"type":"text","id":"d"}`)})
	if got := w.order(); got != "e a b c f d" {
		t.Fatalf("order %s", got)
	}
	w.check()
}

func TestPatch(t *testing.T) {
	w := studio(t)
	w.must("ann", AddElement{Element: element(t, `{"id":"e","type":"shape","x":1,"y":1,"keep":{"a":[1]}}`)})
	out := w.must("ann", PatchElement{ID: "e", Unset: []string{"none", "y", "y"},
		Set: events.Members{{Key: "x", Value: []byte("1.0")}, {Key: "w", Value: []byte(` {"a" : " b" } `)}, {Key: "keep", Value: []byte(`{"a":[ 1 ]}`)}}})
	if p := out.events[0].Payload.(*events.ElementPatchedData); len(p.Set) != 1 || p.Set[0].Key != "w" || string(p.Set[0].Value) != `{"a":" b"}` || !slices.Equal(p.Unset, []string{"y"}) {
		t.Errorf("patch %+v", p)
	}
	w.canvasIs(`{"id":"e","type":"shape","keep":{"a":[1]},"w":{"a":" b"},"x":1}`)
	for _, none := range []PatchElement{set("e", "x", "1"), unset("e", "y"), {ID: "e"}} {
		if out := w.must("ann", none); len(out.events)+len(out.dropped) != 0 {
			t.Errorf("%+v: %+v", none, out)
		}
	}
	if out := w.must("ann", set("gone", "x", "1")); len(out.events) != 0 || !slices.Equal(out.dropped, []string{"gone"}) {
		t.Errorf("gone: %+v", out)
	}
	for _, bad := range []PatchElement{set("e", "id", `"f"`), set("e", "type", `"text"`), set("e", "z", `"b"`), unset("e", "id"), unset("e", "type"), unset("e", "z"),
		set("e", "x", `"1"`), set("e", "x", "1e999"), set("e", "x", ""), set("e", "src", "1"), set("e", "text", "null"), set("e", "__proto__", "1"), set("e", "\xff", "1"), set("e", "\x00", "1"),
		set("e", "k", "{"), set("e", "k", "1 2"), set("e", "k", strings.Repeat("[", MaxJSONDepth)+strings.Repeat("]", MaxJSONDepth)), set("gone", "x", `"1"`),
		{ID: "e", Set: events.Members{{Key: "k", Value: []byte("1")}}, Unset: []string{"k"}},
		{ID: "e", Set: events.Members{{Key: "k", Value: []byte("1")}, {Key: "k", Value: []byte("2")}}}} {
		w.refused(CodeInvalidCommand, "ann", bad)
	}
	w.must("ann", set("e", "k", strings.Repeat("[", MaxJSONDepth-1)+strings.Repeat("]", MaxJSONDepth-1)))
	w.check()
}

func TestRemove(t *testing.T) {
	w := letters(t, "abcdefghijklmnop")
	out := w.must("bob", RemoveElements{IDs: []string{"b", "gone", "a", "b", "gone"}})
	if ids := out.events[0].Payload.(*events.ElementRemovedData).IDs; len(out.events) != 1 || !slices.Equal(ids, []string{"b", "a"}) || !slices.Equal(out.dropped, []string{"gone"}) {
		t.Errorf("removed %q, dropped %q", ids, out.dropped)
	}
	before := w.room.EncodeSnapshot()
	m := w.room.Mark()
	if _, err := w.evolve("bob", []Command{shape(t, "new"), RemoveElements{IDs: strings.Split("p c d e f g h i j k new", " ")}, shape(t, "c")}); err != nil {
		t.Fatal(err)
	}
	if got := w.order(); got != "l m n o c" {
		t.Fatalf("order %s", got)
	}
	w.room.Rollback(m)
	w.room.Release()
	if after := w.room.EncodeSnapshot(); !bytes.Equal(before, after) {
		t.Fatalf("rolled back, but changed:\n%s", firstDifference(before, after))
	}
	w.check()
}

func TestReorder(t *testing.T) {
	for _, c := range []struct {
		c       ReorderElements
		want    string
		patches int
		dropped []string
	}{
		{ReorderElements{IDs: []string{"b"}, To: "front"}, "a c d e f b", 1, nil},
		{ReorderElements{IDs: []string{"f"}, To: "front"}, "a b c d e f", 0, nil},
		{ReorderElements{IDs: []string{"b"}, To: "back"}, "b a c d e f", 1, nil},
		{ReorderElements{IDs: []string{"e", "b"}, To: "back"}, "e b a c d f", 2, nil},
		{ReorderElements{IDs: []string{"e", "b", "e"}, Before: "d"}, "a c e b d f", 2, nil},
		{ReorderElements{IDs: []string{"b", "c"}, Before: "d"}, "a b c d e f", 0, nil},
		{ReorderElements{IDs: []string{"c", "b"}, Before: "d"}, "a c b d e f", 1, nil},
		{ReorderElements{IDs: []string{"b", "f", "c"}, Before: "d"}, "a b f c d e", 1, nil},
		{ReorderElements{IDs: []string{"a", "b"}, After: "e"}, "c d e a b f", 2, nil},
		{ReorderElements{IDs: []string{"a", "x", "b"}, After: "f"}, "c d e f a b", 2, []string{"x"}},
		{ReorderElements{IDs: []string{"a"}, After: "x"}, "a b c d e f", 0, []string{"x"}},
		{ReorderElements{IDs: []string{"x"}, To: "front"}, "a b c d e f", 0, []string{"x"}},
		{ReorderElements{IDs: []string{"f", "e", "d", "c", "b", "a"}, To: "front"}, "f e d c b a", 5, nil},
		{ReorderElements{IDs: []string{"a", "b", "c", "d", "f", "e"}, To: "back"}, "a b c d f e", 1, nil},
	} {
		w := letters(t, "abcdef")
		out := w.must("bob", c.c)
		if got := w.order(); got != c.want || len(out.events) != c.patches || !slices.Equal(out.dropped, c.dropped) {
			t.Errorf("%+v: order %s with %d patches, dropped %q; want %s with %d", c.c, got, len(out.events), out.dropped, c.want, c.patches)
		}
		w.check()
	}
	w := letters(t, "ab")
	for _, bad := range []ReorderElements{{IDs: []string{"a"}}, {IDs: []string{"a"}, To: "top"}, {IDs: []string{"a"}, Before: "b", To: "front"},
		{IDs: []string{"a"}, Before: "b", After: "b"}, {IDs: []string{"a", "b"}, Before: "a"}, {IDs: []string{"a", "b"}, After: "b"}} {
		w.refused(CodeInvalidCommand, "ann", bad)
	}
}

// Always between the same two: keys grow until they are spread anew.
func TestKeysAreSpreadAnew(t *testing.T) {
	w := letters(t, "ab")
	before, patches := "b", 0
	for i := range 4_000 {
		id := fmt.Sprint("n", i)
		d, err := Decide(w.room, Actor{"bob"}, AddElement{Element: shape(t, id).Element, Before: before}, w.now)
		if err != nil {
			t.Fatal(err)
		}
		patches += len(d.Events) - 1
		for j := range d.Events {
			if err := w.room.Evolve(&d.Events[j], w.room.Revision()+1, w.now); err != nil {
				t.Fatal(err)
			}
		}
		place := w.room.canvas.place(w.room.Element(id))
		if w.room.canvas.order[place+1].ID() != before {
			t.Fatalf("%s is before %s, not %s", id, w.room.canvas.order[place+1].ID(), before)
		}
		if i%2 == 0 {
			before = id
		}
	}
	if patches == 0 || patches > 4_000 {
		t.Errorf("%d patches for 4,000 additions", patches)
	}
	checkBooks(t, w.room)
}

func TestEqualKeysAreSpread(t *testing.T) {
	w := letters(t, "abcdefgh")
	var same []*Element
	for _, e := range w.room.Elements() {
		same = append(same, e.apply([]part{{key: "z", value: []byte(`"k"`)}}))
	}
	w.must("ann", Restore{Elements: same})
	if w.room.Element("a").Z() != "k" || w.room.Element("h").Z() != "k" {
		t.Fatal("the keys are not as restored")
	}
	w.must("bob", AddElement{Element: shape(t, "n").Element, Before: "d"})
	w.must("bob", ReorderElements{IDs: []string{"h"}, After: "a"})
	if got := w.order(); got != "a h b c n d e f g" {
		t.Fatalf("order %s", got)
	}
	w.check()
}

func TestRestore(t *testing.T) {
	w := letters(t, "abc")
	w.must("ann", set("a", "x", "1"))
	old, was := w.room.Elements(), w.canvas()
	w.must("bob", set("a", "x", "2"), set("b", "y", "1"), RemoveElements{IDs: []string{"c"}}, shape(t, "d"), ReorderElements{IDs: []string{"a"}, To: "front"})
	changed := w.canvas()
	w.must("bob", RemoveElements{IDs: []string{"b"}}, AddElement{Element: element(t, `{"id":"b","type":"text"}`)})
	other := w.canvas()
	out := w.must("ann", Restore{Elements: old})
	if got := w.canvas(); got != was {
		t.Fatalf("restored to %s, want %s", got, was)
	}
	for i, e := range out.events {
		if e.Cause != events.CauseRestore || e.Cont != (i > 0) {
			t.Errorf("event %+v", e)
		}
	}
	w.check()
	w.must("ann", Undo{})
	if got := w.canvas(); got != other {
		t.Fatalf("undone to %s, want %s", got, other)
	}
	w.must("bob", Undo{})
	if got := w.canvas(); got != changed {
		t.Fatalf("undone to %s, want %s", got, changed)
	}
	w.must("ann", Redo{})
	w.check()
	if len(w.must("ann", Restore{Elements: w.room.Elements()}).events) != 0 {
		t.Error("restored to what it is, with events")
	}
	w.must("ann", Restore{Elements: []*Element{shape(t, "q").Element, shape(t, "p").Element}}) // without keys
	if got := w.order(); got != "q p" {
		t.Errorf("order %s", got)
	}
	w.must("ann", Restore{})
	w.canvasIs()
	w.refused(CodeInvalidCommand, "ann", Restore{Elements: []*Element{old[0], old[0]}})
	w.refused(CodeInvalidCommand, "ann", Restore{Elements: []*Element{nil}})
	w.check()
}

func TestLongestRising(t *testing.T) {
	rng := rand.New(rand.NewSource(3))
	for range 500 {
		list := rng.Perm(8)
		got := longestRising(list, func(a, b int) int { return a - b })
		best := 0
		for mask := range 1 << len(list) {
			last, n, ok := -1, 0, true
			for i, v := range list {
				if mask>>i&1 == 1 {
					ok, last, n = ok && v > last, v, n+1
				}
			}
			if ok {
				best = max(best, n)
			}
		}
		if len(got) != best || !slices.IsSorted(got) {
			t.Fatalf("of %v: %v, want %d", list, got, best)
		}
	}
}
