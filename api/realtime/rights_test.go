package realtime

import (
	"testing"

	"github.com/infinite-kanvas/kanvas/domain"
)

func TestARemovedUserGetsThatCommitAndNoMore(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	a.add("e")
	removed := w.do(room, "owner", domain.RemoveParticipant{User: "alice"})
	w.do(room, "owner", domain.AddElement{Element: element(t, "after")})
	code, last := a.closed()
	if code != 4403 || last.str("code") != "forbidden" {
		t.Fatalf("%d %v", code, last)
	}
	if a.revision != removed.Last {
		t.Fatalf("saw up to %d, removed at %d", a.revision, removed.Last)
	}
	again := w.dial(room, nil)
	again.hello("alice", "a")
	go again.read()
	if code, _ := again.closed(); code != 4403 {
		t.Fatal(code)
	}
}

func TestARoleChangeHoldsFromItsRevisionOn(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	b := w.enter(room, "bob", "b")
	a.add("e")
	changed := w.do(room, "owner", domain.SetRole{User: "alice", Role: domain.RoleViewer})
	if m := a.waitType("role"); m.str("role") != "viewer" || a.revision < changed.Last {
		t.Fatalf("%v at %d", m, a.revision)
	}
	a.command("element.remove", `{"id":"e"}`)
	if m := a.waitType("reject"); m.str("code") != "forbidden" {
		t.Fatalf("%v", m)
	}
	a.send(`{"type":"preview","id":"e","set":{"x":9}}`)
	if m := a.waitType("error"); m.str("code") != "forbidden" {
		t.Fatalf("%v", m)
	}
	a.send(`{"type":"cursor","x":1,"y":2}`) // a viewer's cursor is welcome; it comes, the preview doesn't
	b.wait("cursor", func(m msg) bool {
		if m.str("type") == "preview" {
			t.Fatal("a viewer's preview came through")
		}
		return m.str("type") == "ephemeral"
	})
}

func TestADeletedRoomIsOver(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	res := w.do(room, "owner", domain.DeleteRoom{})
	if code, _ := a.closed(); code != 4404 || a.revision != res.Last {
		t.Fatalf("%d at %d of %d", code, a.revision, res.Last)
	}
}

func TestAPrivateRoomKeepsItsParticipants(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	a.add("e") // her entry is stored by now
	private := domain.Private
	w.do(room, "owner", domain.UpdateRoom{Visibility: &private})
	a.add("f")
	b := w.dial(room, nil)
	b.hello("bob", "b")
	go b.read()
	if code, _ := b.closed(); code != 4404 {
		t.Fatal(code)
	}
}

func TestTheDefaultRoleIsForThoseWithoutOne(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	a.add("e")
	viewer := domain.RoleViewer
	w.do(room, "owner", domain.UpdateRoom{DefaultRole: &viewer})
	a.add("f") // a participant keeps the role
	if c := w.enter(room, "carol", "c"); c.welcome.str("role") != "viewer" {
		t.Fatalf("%v", c.welcome)
	}
}
