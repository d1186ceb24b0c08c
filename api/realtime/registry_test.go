package realtime

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/infinite-kanvas/kanvas/domain"
)

// lobby is a client of the registry party.
type lobby struct {
	t  *testing.T
	ws *websocket.Conn
}

func (w *world) lobby(t *testing.T, base, token string) *lobby {
	t.Helper()
	ws, _, err := websocket.Dial(soon(t), base+"/parties/registry/registry?_pk=x&token="+token, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	return &lobby{t, ws}
}

// until returns the next message that f is true for.
func (l *lobby) until(what string, f func(msg) bool) msg {
	l.t.Helper()
	for {
		_, b, err := l.ws.Read(soon(l.t))
		if err != nil {
			l.t.Fatalf("%s: %v", what, err)
		}
		var m msg
		if err := json.Unmarshal(b, &m); err != nil {
			l.t.Fatal(err)
		}
		if f(m) {
			return m
		}
	}
}

func (l *lobby) of(typ, room string) msg {
	l.t.Helper()
	return l.until(typ+" of "+room, func(m msg) bool {
		id := m.str("roomId")
		if r, ok := m["room"].(map[string]any); ok {
			id = msg(r).str("id")
		}
		return m.str("type") == typ && id == room
	})
}

func (l *lobby) send(format string, args ...any) {
	l.t.Helper()
	if err := l.ws.Write(soon(l.t), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		l.t.Fatal(err)
	}
}

func (w *world) view(room string) (v domain.Visibility, owner string) {
	w.t.Helper()
	w.eventually("the room is there", func() bool {
		r, err := w.rooms.View(soon(w.t), room)
		if err == nil {
			v, owner = r.Room.Visibility, r.Room.OwnerID
		}
		return err == nil
	})
	return v, owner
}

func TestRegistryRoomsComeAndGo(t *testing.T) {
	w, base := newPartiesWorld(t)
	l := w.lobby(t, base, "")
	if m := l.until("rooms", func(m msg) bool { return m.str("type") == "rooms" }); len(m["rooms"].([]any)) != 0 {
		t.Fatalf("%v", m)
	}
	// Somebody without a token: public, and nobody's; his name is shown.
	l.send(`{"type":"room-created","roomId":"pub","name":"Public one","isPublic":true,"creatorName":"Ann"}`)
	r := msg(l.of("room-added", "pub")["room"].(map[string]any))
	if r.str("name") != "Public one" || r["isPublic"] != true || r["userCount"] != 0.0 || r.str("creatorName") != "Ann" || r["createdAt"].(float64) < 1e12 {
		t.Fatalf("%v", r)
	}
	// false is private for somebody with a token, unlisted without.
	l.send(`{"type":"room-created","roomId":"anon","name":"x","isPublic":false}`)
	if v, owner := w.view("anon"); v != domain.Unlisted || owner != "" {
		t.Fatalf("%s of %q", v, owner)
	}
	mine := w.lobby(t, base, "carl")
	mine.send(`{"type":"room-created","roomId":"mine","name":"Mine","isPublic":false}`)
	if v, owner := w.view("mine"); v != domain.Private || owner != "carl" {
		t.Fatalf("%s of %q", v, owner)
	}
	// The caller's own room is changed by it, nobody else's is; what clients say of counts is ignored.
	l.send(`{"type":"room-created","roomId":"mine","name":"Stolen","isPublic":true}`)
	l.send(`{"type":"room-update","roomId":"pub","updates":{"userCount":99}}`)
	l.send(`{"type":"room-cleanup","roomId":"pub"}`)
	mine.send(`{"type":"room-created","roomId":"mine","name":"Mine, open","isPublic":true}`)
	r = msg(l.of("room-added", "mine")["room"].(map[string]any))
	if r.str("name") != "Mine, open" || r.str("creatorName") != "Name of carl" {
		t.Fatalf("%v", r)
	}
	// Visibility and deletion take effect from commits, whoever makes them.
	unlisted := domain.Unlisted
	public := domain.Public
	c := w.connectAs(base, "mine", "c", oldOptions{token: "carl"}) // a commit reaches the list by whoever has the room open, or follows the log
	w.do("mine", "carl", domain.UpdateRoom{Visibility: &unlisted})
	l.of("room-removed", "mine")
	w.do("mine", "carl", domain.UpdateRoom{Visibility: &public})
	l.of("room-added", "mine")
	w.do("mine", "carl", domain.DeleteRoom{})
	l.of("room-removed", "mine")
	if code := c.closed(); code != 4404 {
		t.Fatalf("closed with %d", code)
	}
	// How many are in a room.
	a := w.connect(base, "pub", "a")
	l.until("one in pub", func(m msg) bool {
		u, _ := m["updates"].(map[string]any)
		return m.str("roomId") == "pub" && u["userCount"] == 1.0
	})
	a.ws.CloseNow()
	l.until("none in pub", func(m msg) bool {
		u, _ := m["updates"].(map[string]any)
		return m.str("roomId") == "pub" && u["userCount"] == 0.0
	})
	again := w.lobby(t, base, "")
	m := again.until("rooms", func(m msg) bool { return m.str("type") == "rooms" })
	if list := m["rooms"].([]any); len(list) != 1 || msg(list[0].(map[string]any)).str("id") != "pub" {
		t.Fatalf("%v", m)
	}
}

// A public room that is empty for 30 minutes leaves the list, a private one after 10; the rooms themselves stay.
func TestRegistryEmptyRoomsLeave(t *testing.T) {
	var ahead atomic.Int64
	clock := func() int64 { return time.Now().UnixMilli() + ahead.Load() }
	w, base := newPartiesWorld(t, func(c *Config) { c.Clock = clock })
	l := w.lobby(t, base, "carl")
	l.send(`{"type":"room-created","roomId":"empty","name":"Empty","isPublic":true}`)
	l.of("room-added", "empty")
	l.send(`{"type":"room-created","roomId":"full","name":"Full","isPublic":true}`)
	l.of("room-added", "full")
	l.send(`{"type":"room-created","roomId":"hidden","name":"Hidden","isPublic":false}`)
	w.view("hidden")
	g := w.hub.Registry()
	known := func(id string) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.rooms[id] != nil
	}
	w.eventually("hidden is known", func() bool { return known("hidden") })
	w.connect(base, "full", "a")
	l.until("somebody in full", func(m msg) bool {
		u, _ := m["updates"].(map[string]any)
		return m.str("roomId") == "full" && u["userCount"] == 1.0
	})
	at := func(d time.Duration) { ahead.Store(d.Milliseconds()); g.sweep() }
	at(9 * time.Minute)
	if !known("hidden") || !known("empty") {
		t.Fatal("left too early")
	}
	at(11 * time.Minute)
	if known("hidden") || !known("empty") {
		t.Fatal("a private room stays 10 minutes, a public one 30")
	}
	at(29 * time.Minute)
	if !known("empty") {
		t.Fatal("left too early")
	}
	at(31 * time.Minute)
	l.of("room-removed", "empty")
	if list := g.Rooms(); len(list) != 1 || list[0].ID != "full" {
		t.Fatalf("%v", list)
	}
	if v, err := w.rooms.View(soon(t), "empty"); err != nil || v.Room.Name != "Empty" {
		t.Fatalf("the room itself: %v", err)
	}
	w.connect(base, "empty", "b") // and comes back with whoever enters it
	l.of("room-added", "empty")
}

func TestRegistryIsFilledAtTheStart(t *testing.T) {
	now := time.Now().UnixMilli()
	w := newWorld(t, func(c *Config) {
		c.PublicRooms = func(context.Context) ([]ListedRoom, error) {
			return []ListedRoom{
				{ID: "young", Name: "Young", IsPublic: true, CreatedAt: now, LastActivity: now},
				{ID: "old", Name: "Old", IsPublic: true, CreatedAt: 1, LastActivity: now - publicEmptyFor.Milliseconds()},
			}, nil
		}
	})
	l := w.lobby(t, w.parties(), "")
	young := func(m msg) bool {
		return len(fmt.Sprint(m)) > 0 && (m.str("type") == "rooms" || m.str("type") == "room-added")
	}
	m := l.until("young", young)
	for m.str("type") == "rooms" && len(m["rooms"].([]any)) == 0 {
		m = l.until("young", young)
	}
	if list := w.hub.Registry().Rooms(); len(list) != 1 || list[0].ID != "young" {
		t.Fatalf("%v", list)
	}
}
