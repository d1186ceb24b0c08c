package realtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Updates that were queued offline carry whole elements as they were then. They must not undo what others did meanwhile.
func TestPartiesOfflineUpdatesUndoNothing(t *testing.T) {
	w, base := newPartiesWorld(t)
	a, b := w.connect(base, "r", "a"), w.connect(base, "r", "b")
	a.add("e")
	a.add("f")
	b.wait("image:add")
	b.wait("image:add")
	a.move("e", 10, 0)
	b.shows("e", "x", 10)
	w.stored("r", "e", "x", "10")
	a.ws.CloseNow() // a is offline; it knows e at 10,0 and f at 0,0
	b.wait("presence:leave")
	b.move("e", 20, 0)
	b.move("f", 7, 7)
	w.stored("r", "e", "x", "20")
	w.stored("r", "f", "y", "7")

	again, _, err := w.dialOld(base, "r", "a", oldOptions{holdPongs: true})
	if err != nil {
		t.Fatal(err)
	}
	again.move("e", 10, 33) // it moved e down, and didn't touch x
	again.move("f", 5, 0)   // it moved f to the right, and didn't touch y
	go again.read()
	again.wait("connection:info")
	w.stored("r", "e", "y", "33")
	w.stored("r", "e", "x", "20")
	w.stored("r", "f", "x", "5")
	w.stored("r", "f", "y", "7")
	b.shows("e", "y", 33)
	b.shows("e", "x", 20)
	// Once it answers, it is told what its frames and sync:full have crossed to.
	again.answerPings()
	again.shows("e", "y", 33)
	again.shows("e", "x", 20)
	again.shows("f", "x", 5)
	again.shows("f", "y", 7)
	// What it sends from now on is meant: values of old times too.
	again.move("e", 10, 33)
	w.stored("r", "e", "x", "10")
}

// The same after a restart, when nobody's baseline is known but from the log.
func TestPartiesOfflineUpdatesAfterRestart(t *testing.T) {
	w := newWorld(t)
	first := w.hub
	base := w.parties()
	a, b := w.connect(base, "r", "a"), w.connect(base, "r", "b")
	a.add("e")
	b.wait("image:add")
	a.move("e", 10, 0)
	w.stored("r", "e", "x", "10")
	a.ws.CloseNow()
	b.wait("presence:leave")
	b.move("e", 20, 0)
	w.stored("r", "e", "x", "20")
	if err := first.Drain(soon(t)); err != nil {
		t.Fatal(err)
	}
	cfg := first.cfg
	cfg.Registerer = nil
	w.hub = New(cfg)
	again, _, err := w.dialOld(base, "r", "a", oldOptions{holdPongs: true})
	if err != nil {
		t.Fatal(err)
	}
	again.move("e", 10, 33)
	go again.read()
	again.wait("connection:info")
	w.stored("r", "e", "y", "33")
	w.stored("r", "e", "x", "20")
}

// Two people drag different members of one element while their frames cross: both survive, and everybody ends up with the same.
func TestPartiesCrossingDrags(t *testing.T) {
	w, base := newPartiesWorld(t)
	a := w.connectAs(base, "r", "a", oldOptions{})
	b, _, err := w.dialOld(base, "r", "b", oldOptions{holdPongs: true}) // so far away that nothing it is sent is proved
	if err != nil {
		t.Fatal(err)
	}
	go b.read()
	b.wait("connection:info")
	a.add("e")
	w.stored("r", "e", "x", "0")
	// Neither has seen anything of the other's drag when it sends its own: whole elements with the other's old values.
	for i := 1; i <= 30; i++ {
		a.own("image:update", fmt.Sprintf(`{"id":"e","src":"https://example.com/p.png","x":%d,"y":0,"width":10,"height":10,"rotation":0}`, i))
		b.own("image:update", fmt.Sprintf(`{"id":"e","src":"https://example.com/p.png","x":0,"y":0,"width":10,"height":10,"rotation":%d}`, i))
	}
	w.stored("r", "e", "x", "30")
	w.stored("r", "e", "rotation", "30")
	b.answerPings()
	c := w.connect(base, "r", "c")
	for _, o := range []*old{a, b, c} {
		o.shows("e", "x", 30)
		o.shows("e", "rotation", 30)
	}
	// And what each sends when it has seen that, is meant again.
	w.proved("r")
	b.own("image:update", `{"id":"e","src":"https://example.com/p.png","x":0,"y":0,"width":10,"height":10,"rotation":30}`)
	w.stored("r", "e", "x", "0")
}

// proved waits until all old clients of a room have proved to have everything.
func (w *world) proved(id string) {
	w.t.Helper()
	w.hub.mu.Lock()
	r := w.hub.rooms[id]
	w.hub.mu.Unlock()
	w.eventually("everything is proved", func() bool {
		ok := make(chan bool, 1)
		r.post(funcMail(func(r *room) {
			h := r.halves[protocolParties].(*partiesHalf)
			all := len(h.lane.queue) == 0 && h.lane.flights == 0
			for _, p := range h.list {
				x := partiesOf(p)
				all = all && x.live && x.told <= x.proven && x.full <= x.proven && len(x.holds) == 0
			}
			ok <- all
		}))
		return <-ok
	})
}

// A connection that breaks in the middle of a drag: what was dragged is stored, and the drag goes on on the next one.
func TestPartiesReconnectInTheMiddleOfADrag(t *testing.T) {
	w := newWorld(t, limits(func(l *Limits) { l.Coalesce = time.Hour })) // nothing is stored but by leaving
	base := w.parties()
	a, b := w.connect(base, "r", "a"), w.connect(base, "r", "b")
	a.add("e")
	b.wait("image:add")
	for i := 1; i <= 10; i++ {
		a.move("e", i, 0)
	}
	b.shows("e", "x", 10)
	a.ws.CloseNow()
	b.wait("presence:leave")
	again := w.connect(base, "r", "a")
	again.shows("e", "x", 10) // what isn't stored is shown to newcomers, too
	again.move("e", 9, 0)     // back by one: it was shown before, and is meant
	b.shows("e", "x", 9)
	again.ws.CloseNow()
	b.wait("presence:leave")
	b.ws.CloseNow()
	w.stored("r", "e", "x", "9")
}

// A value somebody else commits over a preview, and a commit that is refused: everybody is shown what is true.
func TestPartiesRefusedCommitIsTakenBack(t *testing.T) {
	w := newWorld(t, limits(func(l *Limits) { l.Coalesce = 300 * time.Millisecond }))
	base, room := w.parties(), w.room(domain.Public)
	a := w.connectAs(base, room, "a", oldOptions{token: "alice"})
	b := w.connect(base, room, "b")
	w.eventually("alice has joined", func() bool {
		v, err := w.rooms.View(soon(t), room)
		return err == nil && len(v.Participants) == 2
	})
	a.add("e")
	b.wait("image:add")
	a.move("e", 5, 0)
	b.shows("e", "x", 5)
	w.do(room, "owner", domain.RemoveParticipant{User: "alice"}) // before the window is over
	b.shows("e", "x", 0)
	if code := a.closed(); code != 4403 {
		t.Fatalf("closed with %d", code)
	}
	if v, err := w.rooms.View(soon(t), room); err != nil || fmt.Sprint(v.Elements[0].Get("x")) == "5" {
		t.Fatalf("%v", err)
	}
}

func TestPartiesSeeOtherProtocols(t *testing.T) {
	w, base := newPartiesWorld(t)
	a := w.connect(base, "r", "a")
	a.add("e")
	w.stored("r", "e", "x", "0")
	w.do("r", "somebody", patch("e", "x", "77"))
	a.shows("e", "x", 77)
	v1 := w.enter("r", "vera", "v")
	if j := data(a.wait("presence:join")); j.str("name") != "Name of vera" {
		t.Fatalf("%v", j)
	}
	a.move("e", 78, 0)
	v1.wait("the drag's commit", func(m msg) bool { return m.str("type") == "commit" && contains(m, "78") })
	v1.acked("element.add", `{"element":{"id":"shape","type":"shape","x":1}}`)
	v1.acked("element.add", `{"element":{"id":"vid","type":"video","src":"https://example.com/v.mp4","isVideo":true}}`)
	if m := data(a.wait("image:add")); m.str("id") != "vid" || m["z"] != nil {
		t.Fatalf("%v", m)
	}
	// In the middle of the paint order: only a fresh sync:full can tell.
	v1.acked("element.add", `{"element":{"id":"below","type":"image","src":"https://example.com/b.png"},"before":"e"}`)
	a.wait("sync:full")
	if fmt.Sprint(a.order) != "[below e vid]" {
		t.Fatal(a.order)
	}
}

func contains(m msg, part string) bool { return strings.Contains(fmt.Sprint(m["events"]), part) }

// One value that every rule of the baseline decides on, each by itself.
func TestBaselineRules(t *testing.T) {
	el, err := domain.ParseElement([]byte(`{"id":"e","type":"image","x":10,"y":0}`))
	if err != nil {
		t.Fatal(err)
	}
	const me, other = 1, 2
	it := &item{id: "e", el: el}
	x := &partiesPeer{author: me, live: true, proven: 5, full: 1}
	set := func(seq uint64, by uint32, value string) {
		it.remember("x", it.live("x"), seq, by)
		it.set("x", []byte(value), "somebody")
		it.heard.note(seq, by)
	}
	meant := func(value string) bool {
		changes, _ := x.diff(nil, it, events.Members{{Key: "x", Value: []byte(value)}, {Key: "y", Value: []byte("0")}})
		return len(changes) == 1
	}
	check := func(what, value string, want bool) {
		t.Helper()
		if meant(value) != want {
			t.Errorf("%s: %s meant: %v", what, value, !want)
		}
	}
	check("the live value", "10", false)
	check("the live value, written otherwise", "1e1", false)
	set(6, me, "11")
	check("back to what it superseded itself", "10", true)
	set(7, other, "20")
	check("its own, superseded by another on the way", "11", false)
	check("what it moved on from", "10", true)
	check("the live one", "20", false)
	check("something new", "21", true)
	set(8, other, "30")
	check("sent and superseded, both on the way", "20", false)
	set(9, me, "12") // crosses with 7 and 8
	check("on the way", "30", false)
	check("on the way, older", "20", false)
	check("its own from before its newest", "11", true)
	x.proven = 9
	check("all of it proved", "30", true)
	check("all of it proved", "20", true)
	it.cut = 10
	set(11, other, "40")
	x.proven = 9
	check("too much was forgotten", "99", false)
}

// A client may come back before its last socket is found to be gone: its baseline is that socket's.
func TestPartiesBackBeforeTheLastSocketIsGone(t *testing.T) {
	w, base := newPartiesWorld(t)
	a, b := w.connect(base, "r", "a"), w.connect(base, "r", "b")
	a.add("e")
	b.wait("image:add")
	b.move("e", 20, 0)
	w.stored("r", "e", "x", "20")
	again, _, err := w.dialOld(base, "r", "a", oldOptions{holdPongs: true}) // a is still open
	if err != nil {
		t.Fatal(err)
	}
	again.move("e", 0, 33) // queued when it knew of no move of b's: e at 0,0
	go again.read()
	w.stored("r", "e", "y", "33")
	w.stored("r", "e", "x", "20")
}
