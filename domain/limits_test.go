package domain

import (
	"fmt"
	"strings"
	"testing"
)

// sized is an element whose canonical JSON without z has n bytes.
func sized(t testing.TB, id string, n int) *Element {
	base := len(fmt.Sprintf(`{"id":%q,"type":"text","text":""}`, id))
	return element(t, `{"id":%q,"type":"text","text":%q}`, id, strings.Repeat("x", n-base))
}

func TestElementBytesAreLimited(t *testing.T) {
	w := studio(t)
	w.refused(CodeTooLarge, "ann", AddElement{Element: sized(t, "e", MaxElementBytes+1)})
	w.must("ann", AddElement{Element: sized(t, "e", MaxElementBytes)})
	w.refused(CodeTooLarge, "ann", set("e", "x", "1"))
	w.must("ann", ReorderElements{IDs: []string{"e"}, To: "back"})
	w.must("ann", set("e", "text", `""`))
	free := MaxElementBytes - w.room.Element("e").contentBytes() - len(`,"k":""`)
	w.refused(CodeTooLarge, "ann", set("e", "k", `"`+strings.Repeat("k", free+1)+`"`))
	w.must("ann", set("e", "k", `"`+strings.Repeat("k", free)+`"`))
	if n := w.room.Element("e").contentBytes(); n != MaxElementBytes {
		t.Errorf("%d bytes", n)
	}
	w.refused(CodeTooLarge, "ann", set("e", "\x01", "1"))
	w.must("ann", unset("e", "k"))
	w.refused(CodeTooLarge, "ann", Restore{Elements: []*Element{sized(t, "e", MaxElementBytes+1)}})
	// An undo that would make an element too large leaves it as it is.
	w.must("bob", set("e", "b", `"`+strings.Repeat("k", free-100)+`"`))
	w.refused(CodeTooLarge, "ann", set("e", "k", `"`+strings.Repeat("k", free-100)+`"`))
	w.refused(CodeNothingToUndo, "ann", Undo{})
	if e := w.room.Element("e"); e.contentBytes() > MaxElementBytes {
		t.Errorf("%d bytes after undo", e.contentBytes())
	}
	w.check()
}

func TestRoomBytesAreLimited(t *testing.T) {
	w := studio(t)
	for i := 0; w.room.ElementBytes()+MaxElementBytes+16 <= MaxRoomBytes; i++ {
		if err := evolveAll(w, "ann", AddElement{Element: sized(t, fmt.Sprint("e", i), MaxElementBytes)}); err != nil {
			t.Fatal(err)
		}
	}
	free := MaxRoomBytes - w.room.ElementBytes()
	z := keyBetween(w.room.canvas.order[len(w.room.canvas.order)-1].z, "")
	last := free - len(`,"z":""`) - len(z)
	for _, c := range []struct {
		n    int
		code Code
	}{{last + 1, CodeRoomFull}, {last, ""}} {
		if c.n > MaxElementBytes {
			t.Fatalf("%d bytes left", c.n)
		}
		if err := evolveAll(w, "ann", AddElement{Element: sized(t, "last", c.n)}); codeOf(err) != c.code {
			t.Fatalf("%d bytes more: %v", c.n, err)
		}
	}
	if w.room.ElementBytes() != MaxRoomBytes {
		t.Fatalf("%d bytes", w.room.ElementBytes())
	}
	if _, err := Decide(w.room, Actor{"ann"}, set("last", "k", "1"), 0); codeOf(err) != CodeRoomFull {
		t.Errorf("a member more: %v", err)
	}
	if _, err := Decide(w.room, Actor{"ann"}, set("e0", "text", `""`), 0); err != nil {
		t.Errorf("fewer bytes: %v", err)
	}
}

func TestListsOfIDsAreLimited(t *testing.T) {
	w := studio(t)
	ids := make([]string, MaxIDsPerCommand+1)
	for i := range ids {
		ids[i] = "gone"
	}
	w.refused(CodeTooLarge, "ann", RemoveElements{IDs: ids})
	w.refused(CodeTooLarge, "ann", ReorderElements{IDs: ids, To: "front"})
	w.must("ann", RemoveElements{IDs: ids[1:]})
	w.must("ann", ReorderElements{IDs: ids[1:], To: "front"})
}
