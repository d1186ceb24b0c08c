package realtime

import (
	"fmt"
	"testing"

	"github.com/infinite-kanvas/kanvas/domain"
)

func TestCursorsAreTheNewestAndTheSessionsOwn(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a, b := w.enter(room, "alice", "a"), w.enter(room, "bob", "b")
	for i := 1; i <= 500; i++ {
		a.send(`{"type":"cursor","x":%d,"y":0.25,"user":"owner","userId":"owner","session":%q}`, i, b.session)
	}
	a.send(`{"type":"viewport","x":1,"y":2,"scale":0.5}`)
	n, lastX := 0, 0.0
	b.wait("the newest cursor and the viewport", func(m msg) bool {
		if m.str("type") != "ephemeral" || m.str("session") == b.session {
			return false
		}
		if m.str("session") != a.session || m["user"].(map[string]any)["id"] != "alice" {
			t.Fatalf("%v", m)
		}
		if cur, ok := m["cursor"].(map[string]any); ok {
			n++
			x := cur["x"].(float64)
			if x <= lastX || cur["y"] != 0.25 {
				t.Fatalf("%v after %v", cur, lastX)
			}
			lastX = x
		}
		vp, ok := m["viewport"].(map[string]any)
		return ok && vp["scale"] == 0.5 && lastX == 500
	})
	if n == 500 {
		t.Fatal("nothing was merged")
	}
}

func TestPreviewsAreMergedAndNeverStored(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a, b := w.enter(room, "alice", "a"), w.enter(room, "bob", "b")
	rev := a.add("e").num("revision")
	b.add("own") // bob's entry is stored by now
	rev++
	a.send(`[{"type":"preview","id":"e","set":{"x":1,"y":1}},{"type":"preview","id":"e","set":{"x":2}},{"type":"preview","id":"f","set":{"w":{"a":[]}}}]`)
	seen := map[string]map[string]any{}
	b.wait("both previews", func(m msg) bool {
		if m.str("type") != "preview" || m.str("session") != a.session {
			return false
		}
		seen[m.str("id")] = m["set"].(map[string]any)
		return len(seen) == 2
	})
	if fmt.Sprint(seen["e"]) != "map[x:2 y:1]" || fmt.Sprint(seen["f"]) != "map[w:map[a:[]]]" {
		t.Fatalf("%v", seen)
	}
	a.send(`{"type":"ping"}`)
	if got := a.waitType("pong").num("revision"); got > rev+1 {
		t.Fatalf("the room moved on from %d to %d", rev, got)
	}
	v, err := w.rooms.View(soon(t), room)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range v.Elements {
		if e.ID() == "f" {
			t.Fatal("a preview was stored")
		}
		if x, _ := e.Get("x"); e.ID() == "e" && string(x) != "1" {
			t.Fatalf("a preview changed x to %s", x)
		}
	}
}

// Whoever shows a preview has it on screen already: only others are told, also where several show some in one frame.
func TestAPreviewGoesToTheOthersAlone(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a, b, c := w.enter(room, "alice", "a"), w.enter(room, "bob", "b"), w.enter(room, "carol", "c")
	for round := 1; round <= 20; round++ {
		for _, p := range []*client{a, b, c} { // in one tick, as a rule, with positions between them
			p.send(`[{"type":"preview","id":"e","set":{"x":%d}},{"type":"cursor","x":%d,"y":1},{"type":"preview","id":"f","set":{"x":%d}}]`, round, round, round)
		}
		for _, p := range []*client{a, b, c} {
			left := map[string]bool{}
			for _, q := range []*client{a, b, c} {
				if q != p {
					left[q.session+"e"], left[q.session+"f"] = true, true
				}
			}
			p.wait("the others' previews", func(m msg) bool {
				if m.str("type") == "preview" {
					if m.str("session") == p.session {
						t.Fatalf("got its own preview: %v", m)
					}
					if m["set"].(map[string]any)["x"] == float64(round) {
						delete(left, m.str("session")+m.str("id"))
					}
				}
				return len(left) == 0
			})
		}
	}
	// Alone with its preview there is no frame at all for its sender; what comes next is the answer.
	a.send(`{"type":"preview","id":"g","set":{"x":7}}`)
	b.wait("the last preview", func(m msg) bool { return m.str("type") == "preview" && m.str("id") == "g" })
	a.send(`{"type":"ping"}`)
	a.wait("the pong", func(m msg) bool {
		if m.str("type") == "preview" && m.str("session") == a.session {
			t.Fatalf("got its own preview: %v", m)
		}
		return m.str("type") == "pong"
	})
}

// A preview that was sent before a command never comes after the commit of that command.
func TestAPreviewNeverFollowsItsCommit(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a, b := w.enter(room, "alice", "a"), w.enter(room, "bob", "b")
	a.add("e")
	for round := 1; round <= 100; round++ {
		a.send(`{"type":"preview","id":"e","set":{"x":%d}}`, round*10)
		seq := a.command("element.patch", fmt.Sprintf(`{"id":"e","set":{"x":%d}}`, round*10+1))
		a.wait("ack", func(m msg) bool { return m.str("type") == "ack" && m.num("seq") == seq })
	}
	a.command("chat.post", `{"text":"end"}`)
	stored := 0.0
	b.wait("the end", func(m msg) bool {
		switch m.str("type") {
		case "preview":
			if x := m["set"].(map[string]any)["x"].(float64); x < stored {
				t.Fatalf("preview %v after %v was stored", x, stored)
			}
		case "commit":
			for _, e := range m["events"].([]any) {
				e := e.(map[string]any)
				if e["type"] == "chat.posted" {
					return true
				}
				if set, ok := e["data"].(map[string]any)["set"].(map[string]any); ok {
					stored = set["x"].(float64)
				}
			}
		}
		return false
	})
}

func TestPresenceComesAndGoes(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	b := w.enter(room, "bob", "b")
	has := func(key, session string) func(msg) bool {
		return func(m msg) bool {
			list, _ := m[key].([]any)
			for _, x := range list {
				if x.(map[string]any)["session"] == session {
					return true
				}
			}
			return false
		}
	}
	a.wait("bob's coming", has("joined", b.session))
	if w.hub.Online(room) != 2 {
		t.Fatal(w.hub.Online(room))
	}
	b.ws.CloseNow()
	a.wait("bob's going", has("left", b.session))
	w.enter(room, "alice", "other")
	if w.hub.Online(room) != 1 {
		t.Fatal("one person in two tabs is one person")
	}
	if list := w.hub.Activities(); len(list) != 1 || list[0].Sessions != 2 || list[0].Users != 1 {
		t.Fatalf("%+v", list)
	}
}
