package domain

import (
	"fmt"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

func TestChat(t *testing.T) {
	w := studio(t)
	w.refused(CodeInvalidCommand, "ann", PostChat{Text: "not sealed"})
	w.refused(CodeTooLarge, "ann", PostChat{Sealed: events.Sealed(strings.Repeat("s", maxSealed(MaxChatText)+1))})
	w.must("ann", PostChat{Sealed: "first", SealedName: "n", Color: "#fff", UserID: "u"})
	w.must("anon:1", PostChat{Sealed: "second", SealedName: "n", Color: "#fff", UserID: "u"})
	chat := w.room.Chat()
	if m := chat[0]; m.User != "ann" || m.Name != "" || m.UserID != "" || m.Text != "first" || m.ID == "" || m.At != w.now-10 || m.Revision != w.room.Revision()-1 {
		t.Errorf("message %+v", m)
	}
	if m := chat[1]; m.User != "anon:1" || m.Name != "n" || m.UserID != "u" || m.Color != "#fff" {
		t.Errorf("message %+v", m)
	}
	for i := range ChatKept {
		w.must("ann", PostChat{Sealed: events.Sealed(fmt.Sprint("m", i))})
	}
	if chat = w.room.Chat(); len(chat) != ChatKept || chat[0].Text != "m0" {
		t.Errorf("%d messages from %s", len(chat), chat[0].Text)
	}
	w.check()
}

func TestComments(t *testing.T) {
	w := studio(t)
	nan := 0.0
	nan /= nan
	x := 3.5
	c := AddComment{ID: "c", ElementID: "gone", X: &x, Sealed: "text"}
	w.must("carl", c)
	c.Sealed = "nonc" // the same text sealed again
	if len(w.must("carl", c).events) != 0 {
		t.Error("the same comment again")
	}
	w.refused(CodeConflict, "ann", c)
	for _, other := range []AddComment{{ID: "c", ElementID: "e", X: &x, Sealed: "text"}, {ID: "c", ElementID: "gone", Sealed: "text"}, {ID: "c", ElementID: "gone", X: &x, Sealed: "longer"}} {
		w.refused(CodeConflict, "carl", other)
	}
	for _, bad := range []AddComment{{ID: "", Sealed: "t"}, {ID: "a/b", Sealed: "t"}, {ID: "d", ElementID: "#", Sealed: "t"}, {ID: "d", Text: "t"}, {ID: "d", Sealed: "t", Y: &nan}} {
		w.refused(CodeInvalidCommand, "carl", bad)
	}
	w.refused(CodeNotFound, "carl", ResolveComment{"none"})
	w.must("ann", ResolveComment{"c"})
	if len(w.must("carl", ResolveComment{"c"}).events) != 0 {
		t.Error("resolved twice")
	}
	if got := w.room.Comments()[0]; !got.Resolved || got.ResolvedBy != "ann" || got.User != "carl" || *got.X != x || got.Text != "text" {
		t.Errorf("comment %+v", got)
	}
	w.check()
	for i := range MaxComments - 1 {
		fillRoom(w, "carl", []Command{AddComment{ID: fmt.Sprint(i), Sealed: "t"}})
	}
	if _, err := Decide(w.room, Actor{"carl"}, AddComment{ID: "more", Sealed: "t"}, 0); codeOf(err) != CodeRoomFull {
		t.Errorf("one comment more: %v", err)
	}
}

func TestParticipantsAreLimited(t *testing.T) {
	w := studio(t)
	for i := len(w.room.people); i < MaxParticipants; i++ {
		fillRoom(w, fmt.Sprint("user", i), []Command{Join{}})
	}
	if _, err := Decide(w.room, Actor{"more"}, Join{}, 0); codeOf(err) != CodeRoomFull {
		t.Errorf("one more: %v", err)
	}
	if _, err := Decide(w.room, Actor{"user100"}, Join{}, 0); err != nil {
		t.Errorf("somebody known: %v", err)
	}
}
