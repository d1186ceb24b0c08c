package realtime

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/domain"
)

func TestPartiesConnectEditChat(t *testing.T) {
	w, base := newPartiesWorld(t)
	a := w.connectAs(base, "born", "aaaa-1", oldOptions{name: "Ann"})
	b := w.connect(base, "born", "bbbb-1")
	if a.id != "aaaa-1" || b.id != "bbbb-1" {
		t.Fatalf("called %s and %s", a.id, b.id)
	}
	if j := data(a.wait("presence:join")); j.str("userId") != "bbbb-1" || j.str("name") != "User bbbb" || j["cursor"] != nil || !strings.HasPrefix(j.str("color"), "#") {
		t.Fatalf("%v", j)
	}
	a.send(`{"type":"image:add","data":%s}`, picture("e", 1, 2, `,"isGenerated":true,"custom":{"deep":[1,2]}`))
	add := data(b.wait("image:add"))
	if add["z"] != nil || add["type"] != nil || add["x"] != 1.0 || fmt.Sprint(add["custom"]) != "map[deep:[1 2]]" {
		t.Fatalf("%v", add)
	}
	a.move("e", 5, 2, `,"isGenerated":true,"custom":{"deep":[1,2]}`)
	b.shows("e", "x", 5)
	w.stored("born", "e", "x", "5")
	a.move("e", 5, 2, `,"custom":{"deep":[1,2]}`) // absence of an optional member unsets it
	if up := data(b.wait("image:update")); up["isGenerated"] != nil || up["custom"] == nil {
		t.Fatalf("%v", up)
	}
	a.send(`{"type":"chat:send","data":{"text":"hello"}}`)
	for _, c := range []*old{a, b} {
		m := data(c.wait("chat:new"))
		if m.str("text") != "hello" || m.str("name") != "Ann" || m.str("userId") != "aaaa-1" || m["timestamp"].(float64) < 1e12 || m.str("id") == "" {
			t.Fatalf("%v", m)
		}
	}
	b.send(`{"type":"image:remove","data":{"imageId":"e"}}`)
	if m := data(a.wait("image:remove")); m.str("imageId") != "e" {
		t.Fatalf("%v", m)
	}
	v, err := w.rooms.View(soon(t), "born")
	if err != nil || v.Room.Visibility != domain.Unlisted || v.Room.OwnerID != "" || v.Room.Name != "Room born" || len(v.Elements) != 0 {
		t.Fatalf("%+v %v", v, err)
	}
	c := w.connect(base, "born", "cccc")
	c.ws.CloseNow()
	if m := data(a.wait("presence:leave")); m.str("userId") != "cccc" {
		t.Fatalf("%v", m)
	}
}

func TestPartiesOrderOnConnect(t *testing.T) {
	w, base := newPartiesWorld(t)
	a := w.connect(base, "r", "a")
	a.add("e")
	w.stored("r", "e", "x", "0")
	a.send(`{"type":"chat:send","data":{"text":"one"}}`)
	a.wait("chat:new")
	c, _, err := w.dialOld(base, "r", "b", oldOptions{})
	if err != nil {
		t.Fatal(err)
	}
	go c.read()
	var got []string
	c.waitFor("connection:info", func(m msg) bool {
		got = append(got, m.str("type"))
		return m.str("type") == "connection:info"
	})
	if s := strings.Join(got, " "); s != "sync:full chat:history presence:join connection:info" {
		t.Fatal(s)
	}
	if len(c.canvas) != 1 || c.canvas["e"]["type"] != nil || c.canvas["e"]["z"] != nil {
		t.Fatalf("%v", c.canvas)
	}
}

func TestPartiesPositions(t *testing.T) {
	w, base := newPartiesWorld(t)
	a := w.connectAs(base, "r", "aaaa", oldOptions{name: "Ann"})
	b := w.connect(base, "r", "bbbb")
	a.send(`{"type":"cursor:move","data":{"userId":"somebody-else","cursor":{"x":1.5,"y":-2}}}`)
	m := data(b.wait("cursor:move"))
	if m.str("userId") != "aaaa" || m.str("name") != "Ann" || fmt.Sprint(m["cursor"]) != "map[x:1.5 y:-2]" || m.str("color") == "" {
		t.Fatalf("%v", m)
	}
	a.send(`{"type":"viewport:change","data":{"x":1,"y":2,"scale":0.5}}`)
	m = data(b.wait("viewport:change"))
	if m.str("userId") != "aaaa" || fmt.Sprint(m["viewport"]) != "map[scale:0.5 x:1 y:2]" {
		t.Fatalf("%v", m)
	}
	b.send(`{"type":"cursor:move","data":{"cursor":{"x":7,"y":7}}}`)
	a.waitFor("b's cursor", func(m msg) bool {
		if m.str("type") != "cursor:move" {
			return false
		}
		if data(m).str("userId") != "bbbb" {
			t.Fatalf("its own cursor: %v", m)
		}
		return true
	})
	a.send(`{"type":"generation:start","data":{"imageId":"g1"}}`)
	if m := data(b.wait("generation:start")); m.str("imageId") != "g1" {
		t.Fatalf("%v", m)
	}
}

// expiring is an Authenticator that knows a token whose time is over.
type expiring struct{ Authenticator }

func (e expiring) Authenticate(ctx context.Context, token string) (Identity, error) {
	if token == "expired" {
		return Identity{}, fmt.Errorf("%w: %w", domain.Errorf(domain.CodeUnauthenticated, "the token has expired"), ErrExpired)
	}
	return e.Authenticator.Authenticate(ctx, token)
}

func TestPartiesHandshake(t *testing.T) {
	w, base := newPartiesWorld(t, func(c *Config) { c.Authenticator = expiring{c.Authenticator} })
	status := func(room string, o oldOptions) int {
		c, res, err := w.dialOld(base, room, "x", o)
		if err == nil {
			c.ws.CloseNow()
			return http.StatusSwitchingProtocols
		}
		if res == nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	private, public := w.room(domain.Private), w.room(domain.Public)
	w.do(public, "owner", domain.SetRole{User: "out", Role: domain.RoleEditor}, domain.RemoveParticipant{User: "out"})
	gone := w.room(domain.Public)
	w.do(gone, "owner", domain.DeleteRoom{})
	for _, c := range []struct {
		what, room string
		o          oldOptions
		want       int
	}{
		{"public", public, oldOptions{}, 101},
		{"forged token", public, oldOptions{token: "bad"}, 401},
		{"expired token is a guest", public, oldOptions{token: "expired"}, 101},
		{"expired token, private room", private, oldOptions{token: "expired"}, 401},
		{"stranger, private room", private, oldOptions{}, 404},
		{"its owner", private, oldOptions{token: "owner"}, 101},
		{"removed", public, oldOptions{token: "out"}, 403},
		{"deleted", gone, oldOptions{}, 404},
		{"bad id", "a%20b", oldOptions{}, 404},
	} {
		if got := status(c.room, c.o); got != c.want {
			t.Errorf("%s: %d, not %d", c.what, got, c.want)
		}
	}
}

// A refused handshake is cheap: an address that comes back again and again isn't looked at any more.
func TestPartiesRefusedOften(t *testing.T) {
	w := newWorld(t)
	base, private := w.parties(), w.room(domain.Private)
	for i := range 2 * refusalBurst {
		_, res, err := w.dialOld(base, private, "x", oldOptions{})
		if err == nil || res == nil {
			t.Fatal("entered")
		}
		if res.StatusCode == http.StatusTooManyRequests {
			if i < refusalBurst {
				t.Fatalf("after %d", i)
			}
			return
		}
	}
	t.Fatal("never refused sooner")
}

func TestPartiesStrangerReusesPk(t *testing.T) {
	w, base := newPartiesWorld(t)
	a := w.connect(base, "r", "same")
	b := w.connect(base, "r", "same")
	if b.id == "same" || b.id == "" {
		t.Fatalf("the stranger is called %q", b.id)
	}
	if j := data(a.wait("presence:join")); j.str("userId") != b.id {
		t.Fatalf("%v", j)
	}
	b.ws.CloseNow()
	if l := data(a.wait("presence:leave")); l.str("userId") != b.id {
		t.Fatalf("%v", l)
	}
	// The same user by another socket is the same person.
	c := w.connectAs(base, "r", "mine", oldOptions{token: "carl"})
	d := w.connectAs(base, "r", "mine", oldOptions{token: "carl"})
	if c.id != "mine" || d.id != "mine" {
		t.Fatalf("%s and %s", c.id, d.id)
	}
}

func TestPartiesBadFramesHurtNobody(t *testing.T) {
	w, base := newPartiesWorld(t)
	a, b := w.connect(base, "r", "a"), w.connect(base, "r", "b")
	a.add("e")
	b.wait("image:add")
	for _, bad := range []string{
		`{`, `[]`, `"x"`, `{"type":5}`, `{"type":"image:update"}`, `{"type":"image:update","data":{"id":"e","x":1e999}}`,
		`{"type":"image:update","data":{"id":"e","x":"1","src":"https://x.org/a"}}`, `{"type":"image:add","data":{"id":"../x"}}`,
		`{"type":"image:add","data":{"id":"q","__proto__":1}}`, `{"type":"image:remove","data":{"imageId":7}}`, `{"type":"nothing","data":{}}`,
		`{"type":"cursor:move","data":{"cursor":{"x":"1","y":2}}}`, `{"type":"chat:send","data":{}}`, `{"type":"image:add","data":{"id":"n","x":NaN}}`,
		`{"type":"image:add","data":{"id":"s","src":"data:image/svg+xml,<svg/>","x":0,"y":0}}`,
		`{"type":"image:add","data":{"id":"t","type":"text","text":"x"}}`,
		"{\"type\":\"image:add\",\"data\":{\"id\":\"u\",\"a\":\"\\ud800\"}}", strings.Repeat("[", 10_000),
	} {
		a.send("%s", bad)
	}
	a.move("e", 9, 0)
	b.waitFor("the good frame", func(m msg) bool {
		if m.str("type") == "image:update" && data(m)["x"] == 9.0 {
			return true
		}
		if strings.HasPrefix(m.str("type"), "image:") {
			t.Fatalf("b was shown %v", m)
		}
		return false
	})
	v, err := w.rooms.View(soon(t), "r")
	if err != nil || len(v.Elements) != 1 {
		t.Fatalf("%d elements, %v", len(v.Elements), err)
	}
}

// What may not be done is answered by the truth.
func TestPartiesRefusalsTellTheTruth(t *testing.T) {
	w := newWorld(t)
	base, room := w.parties(), w.room(domain.Public)
	viewer := domain.RoleViewer
	w.do(room, "owner", domain.UpdateRoom{DefaultRole: &viewer})
	o := w.connectAs(base, room, "o", oldOptions{token: "owner"})
	o.add("e")
	w.stored(room, "e", "x", "0")
	g := w.connect(base, room, "g")
	g.move("e", 5, 5)
	if m := data(g.wait("image:update")); m["x"] != 0.0 {
		t.Fatalf("%v", m)
	}
	g.add("mine")
	if m := data(g.wait("image:remove")); m.str("imageId") != "mine" {
		t.Fatalf("%v", m)
	}
	g.send(`{"type":"image:remove","data":{"imageId":"e"}}`)
	delete(g.canvas, "e")
	if m := data(g.wait("image:add")); m.str("id") != "e" {
		t.Fatalf("%v", m)
	}
	g.move("never-was", 1, 1)
	if m := data(g.wait("image:remove")); m.str("imageId") != "never-was" {
		t.Fatalf("%v", m)
	}
	if n := testCounter(t, w.reg, "kanvas_realtime_parties_refused_total"); n < 4 {
		t.Fatalf("%v refusals counted", n)
	}
	w.do(room, "owner", domain.DeleteRoom{})
	if code := g.closed(); code != 4404 {
		t.Fatalf("closed with %d", code)
	}
}

// Reorder and restore have no message in the old protocol: everybody gets a fresh sync:full. Elements of other types aren't shown.
func TestPartiesReorderIsASync(t *testing.T) {
	w, base := newPartiesWorld(t)
	a := w.connect(base, "r", "a")
	for _, id := range []string{"e1", "e2", "e3"} {
		a.add(id)
		w.stored("r", id, "x", "0")
	}
	b := w.connect(base, "r", "b")
	res := w.do("r", "somebody", domain.ReorderElements{IDs: []string{"e1"}, To: "front"}, domain.AddElement{Element: element(t, "hidden")})
	for _, c := range []*old{a, b} {
		c.syncs("e2 e3 e1") // a may still get the one for what it added before it had proved its first
	}
	w.do("r", "somebody", domain.RemoveElements{IDs: []string{"e2"}})
	b.wait("image:remove")
	v, err := w.rooms.ViewAt(soon(t), "r", res.Last)
	if err != nil {
		t.Fatal(err)
	}
	w.do("r", "somebody", domain.Restore{Revision: res.Last, Elements: v.Elements})
	b.syncs("e2 e3 e1")
}

func TestPartiesDrain(t *testing.T) {
	w, base := newPartiesWorld(t)
	a, b := w.connect(base, "r", "a"), w.connect(base, "r", "b")
	a.add("e")
	b.wait("image:add")
	a.move("e", 42, 0)
	b.shows("e", "x", 42) // a preview: not stored yet, most likely
	if err := w.hub.Drain(soon(t)); err != nil {
		t.Fatal(err)
	}
	if code := b.closed(); code != 1012 {
		t.Fatalf("closed with %d", code)
	}
	w.stored("r", "e", "x", "42")
}
