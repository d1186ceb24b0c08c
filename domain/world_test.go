package domain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

// world drives a room as commands does: requests of several commands, all or nothing, journaled, encoded by the real codec; and a
// second room that sees nothing but what was encoded.
type world struct {
	t      testing.TB
	room   *Room
	replay *Room
	now    int64
	ids    int
	seq    uint64
	every  uint64 // small looks at every one of that many requests
}

func newWorld(t testing.TB) *world {
	return &world{t: t, room: NewRoom("r1"), replay: NewRoom("r1"), now: 1_700_000_000_000, every: 1}
}

// outcome is the answer to a request.
type outcome struct {
	events  []events.Event
	dropped []string
}

// do decides a request and commits it.
func (w *world) do(actor string, cs ...Command) (outcome, error) {
	w.t.Helper()
	w.now += 10
	m := w.room.Mark()
	out, err := w.evolve(actor, cs)
	if err != nil {
		w.room.Rollback(m)
		w.room.Release()
		return outcome{}, err
	}
	w.seq++
	done := events.Done{User: actor, Client: "c", Seq: w.seq, First: w.room.Revision() + 1 - uint64(len(out.events)), Last: w.room.Revision(), Dropped: out.dropped}
	w.commit(out.events, done)
	w.room.Release()
	return out, nil
}

// small is the room's snapshot, if that is small enough to be made at each step.
func (w *world) small() []byte {
	if w.room.ElementBytes()+w.room.undoBytes > 32<<10 || w.seq%w.every != 0 {
		return nil
	}
	return w.room.EncodeSnapshot()
}

// evolve decides the commands one after the other on the room as the ones before made it.
func (w *world) evolve(actor string, cs []Command) (outcome, error) {
	w.t.Helper()
	var out outcome
	for _, c := range cs {
		before := w.small()
		d, err := Decide(w.room, Actor{actor}, c, w.now)
		if again, err2 := Decide(w.room, Actor{actor}, c, w.now); fmt.Sprint(err) != fmt.Sprint(err2) || !sameEvents(d.Events, again.Events) {
			w.t.Fatalf("%s decided twice: %v and %v, %v and %v", c.CommandName(), d.Events, again.Events, err, err2)
		}
		if !bytes.Equal(before, w.small()) {
			w.t.Fatalf("Decide of %s changed the room", c.CommandName())
		}
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				w.t.Fatalf("%s: %v is not an *Error", c.CommandName(), err)
			}
			return out, err
		}
		for i := range d.Events {
			e := d.Events[i]
			if e.Cont != (i > 0) {
				w.t.Fatalf("%s: event %d has Cont %t", c.CommandName(), i, e.Cont)
			}
			w.ids++
			e.ID = fmt.Sprintf("00000000-0000-7000-8000-%012d", w.ids)
			e.Cont = len(out.events) > 0
			if err := w.room.Evolve(&e, w.room.Revision()+1, w.now); err != nil {
				w.t.Fatalf("%s by %s: %v", c.CommandName(), actor, err)
			}
			out.events = append(out.events, e)
		}
		out.dropped = append(out.dropped, d.Dropped...)
	}
	return out, nil
}

// commit remembers the command, and hands the encoded commit to the second room.
func (w *world) commit(evs []events.Event, done events.Done) {
	w.t.Helper()
	w.room.Remember(done, w.now)
	if len(evs) == 0 {
		w.replay.Remember(done, w.now)
		return
	}
	c := &events.Commit{First: done.First, At: w.now, Prev: w.room.Sum(), Events: evs, Done: []events.Done{done}}
	b, err := events.Encode(c)
	if err != nil {
		w.t.Fatalf("encode: %v", err)
	}
	read, err := events.Decode(b)
	if err != nil {
		w.t.Fatalf("decode: %v", err)
	}
	read.Seq = w.seq
	w.room.Seal(read)
	if w.seq%5 == 0 && len(w.small()) > 0 {
		w.applyInParts(read)
	} else if err := w.replay.Apply(read); err != nil {
		w.t.Fatalf("apply: %v", err)
	}
}

// applyInParts goes through a snapshot after every event: changes of several commits may be cut there.
func (w *world) applyInParts(c *events.Commit) {
	w.t.Helper()
	for i := range c.Events {
		if err := w.replay.Evolve(&c.Events[i], c.First+uint64(i), c.At); err != nil {
			w.t.Fatalf("replay: %v", err)
		}
		read, err := DecodeSnapshot(w.replay.EncodeSnapshot())
		if err != nil {
			w.t.Fatalf("snapshot within a commit: %v", err)
		}
		w.replay = read
	}
	w.replay.Remember(c.Done[0], c.At)
	w.replay.Seal(c)
}

// check compares the room with its replay and its snapshot, and looks at its books.
func (w *world) check() {
	w.t.Helper()
	live := w.room.EncodeSnapshot()
	if replayed := w.replay.EncodeSnapshot(); !bytes.Equal(live, replayed) {
		w.t.Fatalf("replayed room differs:\n%s", firstDifference(live, replayed))
	}
	read, err := DecodeSnapshot(live)
	if err != nil {
		w.t.Fatalf("snapshot: %v\n%s", err, live)
	}
	if again := read.EncodeSnapshot(); !bytes.Equal(live, again) {
		w.t.Fatalf("snapshot of the snapshot differs:\n%s", firstDifference(live, again))
	}
	if cloned := w.room.Clone().EncodeSnapshot(); !bytes.Equal(live, cloned) {
		w.t.Fatalf("clone differs:\n%s", firstDifference(live, cloned))
	}
	checkBooks(w.t, w.room)
	checkBooks(w.t, read)
	w.replay = read // go on from the snapshot: nothing may be missing in it
}

func checkBooks(t testing.TB, r *Room) {
	t.Helper()
	sum := 0
	for i, e := range r.Elements() {
		sum += len(e.JSON())
		if i > 0 && comparePaint(r.canvas.order[i-1], e) >= 0 {
			t.Fatal("paint order is wrong")
		}
		if r.Element(e.ID()) != e || len(e.z) > MaxZ {
			t.Fatalf("element %s is not in the books", e.ID())
		}
		if again, err := ParseElement(e.JSON()); err != nil || !bytes.Equal(again.JSON(), e.JSON()) || again.z != e.z {
			t.Fatalf("element is not canonical: %s: %v", e.JSON(), err)
		}
	}
	if sum != r.ElementBytes() || len(r.canvas.byID) != r.ElementCount() {
		t.Fatalf("sizes: %d and %d bytes, %d and %d elements", sum, r.ElementBytes(), len(r.canvas.byID), r.ElementCount())
	}
	undo := 0
	for _, s := range r.stacks {
		for _, st := range slices.Concat(s.undo, s.redo) {
			n := 0
			for i := range st.entries {
				n += entryBytes(&st.entries[i])
			}
			if n != st.bytes {
				t.Fatalf("a step of %d bytes is booked with %d", n, st.bytes)
			}
			undo += n
		}
	}
	if undo != r.undoBytes || undo > MaxUndoBytes {
		t.Fatalf("undo: %d bytes, booked %d", undo, r.undoBytes)
	}
}

func sameEvents(a, b []events.Event) bool {
	x, err1 := json.Marshal(payloads(a))
	y, err2 := json.Marshal(payloads(b))
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

func payloads(es []events.Event) (out []any) {
	for _, e := range es {
		out = append(out, e.Type, e.V, e.Cause, e.Step, e.Cont, e.Payload)
	}
	return out
}

func firstDifference(a, b []byte) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	from := max(0, i-80)
	return fmt.Sprintf("%s\n%s", a[from:min(len(a), i+160)], b[from:min(len(b), i+160)])
}

// must does a request that has to succeed.
func (w *world) must(actor string, cs ...Command) outcome {
	w.t.Helper()
	out, err := w.do(actor, cs...)
	if err != nil {
		w.t.Fatalf("%s by %s: %v", cs[0].CommandName(), actor, err)
	}
	return out
}

// refused does a request that has to be refused with the code.
func (w *world) refused(code Code, actor string, cs ...Command) {
	w.t.Helper()
	before := w.small()
	_, err := w.do(actor, cs...)
	if got := codeOf(err); got != code {
		w.t.Fatalf("%s by %s: %v, want %s", cs[0].CommandName(), actor, err, code)
	}
	if after := w.small(); !bytes.Equal(before, after) {
		w.t.Fatalf("refused, but changed:\n%s", firstDifference(before, after))
	}
}

func codeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// canvasIs compares the canvas, z left out, in paint order.
func (w *world) canvasIs(want ...string) {
	w.t.Helper()
	var got []string
	for _, e := range w.room.Elements() {
		got = append(got, string(withoutZ(e)))
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("canvas is\n%q, want\n%q", got, want)
	}
}

func withoutZ(e *Element) []byte { return e.apply([]part{{key: "z"}}).JSON() }

// studio is a room with its owner olga, the editors ann and bob, carl the commenter and vic the viewer.
func studio(t testing.TB) *world {
	w := newWorld(t)
	w.must("olga", CreateRoom{Name: "Studio", Visibility: Public})
	w.must("olga", SetRole{"ann", RoleEditor}, SetRole{"bob", RoleEditor}, SetRole{"carl", RoleCommenter}, SetRole{"vic", RoleViewer})
	return w
}

func element(t testing.TB, format string, args ...any) *Element {
	t.Helper()
	e, err := ParseElement(json.RawMessage(fmt.Sprintf(format, args...)))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func shape(t testing.TB, id string) AddElement {
	return AddElement{Element: element(t, `{"id":%q,"type":"shape"}`, id)}
}

// set is a patch of one member.
func set(id, key, value string) PatchElement {
	return PatchElement{ID: id, Set: events.Members{{Key: key, Value: json.RawMessage(value)}}}
}

func unset(id, key string) PatchElement { return PatchElement{ID: id, Unset: []string{key}} }

func digest(r *Room) string {
	h := sha256.Sum256(r.EncodeSnapshot())
	return hex.EncodeToString(h[:])
}
