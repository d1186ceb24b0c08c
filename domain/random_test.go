package domain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

// chooser makes commands of bytes: random ones, or the fuzzer's. Where the bytes end it chooses 0.
type chooser struct {
	data []byte
	past [][]*Element // canvases to restore
}

func (c *chooser) done() bool { return len(c.data) == 0 }

func (c *chooser) n(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

func pick[T any](c *chooser, list ...T) T { return list[c.n(len(list))] }

func (c *chooser) actor() string {
	return pick(c, "ann", "bob", "ann", "bob", "olga", "carl", "vic", "sam", "anon:1", "anon:2", SystemID, "")
}

func (c *chooser) id() string { return fmt.Sprint("e", pick(c, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, c.n(14))) }

func (c *chooser) idList() []string {
	list := make([]string, pick(c, 1, 2, 3, 16))
	for i := range list {
		list[i] = c.id()
	}
	return list
}

func (c *chooser) key() string {
	return pick(c, "x", "y", "text", "k", `q"uo\te`, "ä", "\u2028", "z", "id", "src", "__proto__", "")
}

func (c *chooser) value(key string) json.RawMessage {
	switch key {
	case "x", "y":
		return json.RawMessage(pick(c, "1", "2", "2.0", "-3e2", `"no"`))
	case "text", "src":
		return json.RawMessage(pick(c, `"a"`, `"<b>&\u2028"`, `""`, "1", `"\ud83d\ude00"`))
	}
	return json.RawMessage(pick(c, "null", `{"b":[1, 2],"a":"<"}`, "1", "1.0", "[]", `"`+"\u2028"+`"`, "true"))
}

func (c *chooser) set() (m events.Members) {
	for range c.n(4) {
		key := c.key()
		m = append(m, events.Member{Key: key, Value: c.value(key)})
	}
	return m
}

func (c *chooser) element() *Element {
	m := events.Members{{Key: "id", Value: json.RawMessage(strconv.Quote(c.id()))},
		{Key: "type", Value: json.RawMessage(pick(c, `"shape"`, `"text"`))}}
	for i := range c.n(4) {
		key := []string{"x", "text", "k", "ä"}[i]
		m = append(m, events.Member{Key: key, Value: c.value(key)})
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	e, err := ParseElement(b)
	if err != nil {
		return nil
	}
	return e
}

func (c *chooser) command(r *Room) Command {
	switch c.n(28) {
	case 24, 25, 26, 27:
		return c.generation()
	case 0, 1, 2:
		return AddElement{Element: c.element(), Before: pick(c, "", "", c.id())}
	case 3, 4, 5, 6, 7:
		return PatchElement{ID: c.id(), Set: c.set(), Unset: pick(c, nil, nil, []string{c.key()}, []string{c.key(), c.key()})}
	case 8, 9:
		return RemoveElements{IDs: c.idList()}
	case 10, 11:
		to := pick(c, ReorderElements{To: "front"}, ReorderElements{To: "back"}, ReorderElements{Before: c.id()}, ReorderElements{After: c.id()}, ReorderElements{})
		to.IDs = c.idList()
		return to
	case 12, 13, 14:
		return Undo{}
	case 15, 16:
		return Redo{}
	case 17:
		if len(c.past) == 0 || c.n(2) == 0 {
			c.past = append(c.past, r.Elements())
		}
		return Restore{Elements: pick(c, c.past...)}
	case 18:
		return PostChat{Sealed: events.Sealed(pick(c, "s", "t", "")), SealedName: "n", Color: "#fff", UserID: "u"}
	case 19:
		return AddComment{ID: c.id(), ElementID: pick(c, "", c.id()), X: pick(c, nil, new(float64)), Sealed: events.Sealed(pick(c, "s", "tt"))}
	case 20:
		return ResolveComment{ID: c.id()}
	case 21:
		return pick[Command](c, Join{}, Checkpoint{}, SetRole{pick(c, "ann", "sam", "vic", "olga"), pick(c, RoleEditor, RoleViewer, RoleOwner, Role("x"))})
	case 22:
		name := pick(c, "Room", "Other", "bad\x00")
		return pick[Command](c, UpdateRoom{Name: &name, Visibility: pick(c, nil, ptr(Private), ptr(Public), ptr(Visibility("x")))},
			RemoveParticipant{pick(c, "ann", "sam", "vic", "olga")}, CreateRoom{Name: name})
	}
	if c.n(40) == 39 {
		return DeleteRoom{}
	}
	if c.n(3) == 1 {
		return c.people()
	}
	return pick[Command](c, Join{}, UpdateRoom{DefaultRole: pick(c, ptr(RoleViewer), ptr(RoleEditor))})
}

// generation chooses a command about generations. Those of the system come from its process handlers, see play.
func (c *chooser) generation() Command {
	id := pick(c, "g1", "g2", "g3", "g4")
	switch c.n(7) {
	case 6:
		return ShowGeneration{ID: id, ElementID: c.id(), Status: pick(c, GenerationSucceeded, GenerationFailed, GenerationCanceled, GenerationUnknown), File: GeneratedFile{"a", c.n(9), 7}}
	case 0, 1:
		ask := RequestGeneration{ID: id, Model: "m", Result: pick(c, "image", "image", "video"), Request: "s", Estimate: int64(c.n(9))}
		if c.n(3) == 0 {
			ask.ElementID = c.id()
			return ask
		}
		e, err := ParseElement(fmt.Appendf(nil, `{"id":%q,"type":%q,"x":1,"y":2,"width":%d,"height":%d}`, c.id(), ask.Result, c.n(500), c.n(500)))
		if err != nil {
			return nil
		}
		ask.Element = e
		return ask
	case 2:
		return CancelGeneration{id}
	case 3:
		return FinishGeneration{ID: id, Files: []GeneratedFile{{"a1", 640, 480}, {"a2", c.n(9), 7}, {Asset: "a3"}}[:1+c.n(3)], Cost: 3}
	}
	return AdvanceGeneration{pick[any](c, &events.GenerationSubmittingData{ID: id, Attempt: 1 + c.n(3)}, &events.GenerationUnsentData{ID: id, Attempt: 1 + c.n(2)}, &events.GenerationSubmittedData{ID: id, RequestID: "r"},
		&events.GenerationStartedData{ID: id}, &events.GenerationUnknownData{ID: id, Cost: 2}, &events.GenerationFailedData{ID: id, Code: "timeout", Detail: "d"})}
}

// people chooses a command about who may come in.
func (c *chooser) people() Command {
	id, user := pick(c, "i1", "i2", "i3"), pick(c, "ann", "sam", "vic", "olga", "zoe")
	hash := strings.Repeat(id, hashBytes/2)
	switch c.n(6) {
	case 5:
		return RotateKey{}
	case 0:
		return CreateInvite{ID: id, Hash: hash, Role: pick(c, RoleEditor, RoleViewer, RoleOwner), Uses: c.n(3), ExpiresAt: pick(c, int64(0), 1_700_000_000_400, 1<<50, 1)}
	case 1:
		return RevokeInvite{id}
	case 2:
		return TransferRoom{user}
	case 3:
		return ClaimParticipant{user}
	}
	return RedeemInvite{hash}
}

func ptr[T any](v T) *T { return &v }

// play does requests until the bytes are used up.
func (w *world) play(c *chooser) {
	w.t.Helper()
	for i := 0; !c.done(); i++ {
		actor := c.actor()
		var cs []Command
		for range pick(c, 1, 1, 1, 1, 2, 3, 5) {
			cs = append(cs, c.command(w.room))
		}
		switch cs[0].(type) {
		case AdvanceGeneration, FinishGeneration, ShowGeneration:
			actor, cs = SystemID, cs[:1]
		}
		if c.n(16) == 0 {
			w.rolledBack(actor, cs)
		}
		before := w.small()
		if _, err := w.do(actor, cs...); err != nil {
			if after := w.small(); !bytes.Equal(before, after) {
				w.t.Fatalf("refused, but changed:\n%s", firstDifference(before, after))
			}
		}
		if i%8 == 7 {
			w.check()
		}
	}
	w.check()
}

// rolledBack evolves a request, remembers it, and takes all of it back.
func (w *world) rolledBack(actor string, cs []Command) {
	w.t.Helper()
	before := w.room.EncodeSnapshot()
	m := w.room.Mark()
	for range 2 {
		inner := w.room.Mark()
		if _, err := w.evolve(actor, cs); err != nil {
			w.room.Rollback(inner)
			continue
		}
		w.room.Remember(events.Done{User: actor, Client: "c", Seq: w.seq + 2, Last: 1}, w.now+sweepEvery)
		w.room.Remember(events.Done{User: actor, Client: "c", Seq: w.seq + 1, Last: 1}, w.now+3*onceAge)
		w.room.Remember(events.Done{User: actor, Key: "k", Hash: "h", Last: 1}, w.now)
		w.room.Seal(&events.Commit{Sum: "s", Seq: 99, At: w.now})
	}
	w.room.Rollback(m)
	w.room.Release()
	if after := w.room.EncodeSnapshot(); !bytes.Equal(before, after) {
		w.t.Fatalf("rolled back, but changed:\n%s", firstDifference(before, after))
	}
	checkBooks(w.t, w.room)
}

func TestRandomRequests(t *testing.T) {
	seeds := 40
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		data := make([]byte, 4_000)
		rand.New(rand.NewSource(int64(seed))).Read(data)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			studio(t).play(&chooser{data: data})
		})
	}
}

func TestTheSameRequestsGiveTheSameRoom(t *testing.T) {
	data := make([]byte, 6_000)
	rand.New(rand.NewSource(7)).Read(data)
	var first string
	for range 3 {
		w := studio(t)
		w.play(&chooser{data: data})
		if d := digest(w.room); first != "" && d != first {
			t.Fatal("the same requests gave two rooms")
		} else {
			first = d
		}
	}
}

func FuzzDecide(f *testing.F) {
	for seed := range 8 {
		data := make([]byte, 600)
		rand.New(rand.NewSource(int64(seed))).Read(data)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4_000 {
			t.Skip()
		}
		w := studio(t)
		w.every = 10
		w.play(&chooser{data: data})
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	for seed := range 3 {
		data := make([]byte, 1_000)
		rand.New(rand.NewSource(int64(seed))).Read(data)
		w := studio(f)
		w.play(&chooser{data: data})
		f.Add(w.room.EncodeSnapshot())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeSnapshot(data)
		if err != nil {
			return
		}
		once := r.EncodeSnapshot()
		again, err := DecodeSnapshot(once)
		if err != nil || !bytes.Equal(once, again.EncodeSnapshot()) {
			t.Fatalf("decoded %q, which does not decode: %v", data, err)
		}
		for _, a := range []string{"ann", "bob", "olga"} {
			for _, c := range []Command{Undo{}, Redo{}, RemoveElements{IDs: []string{"e0", "e1"}}, ReorderElements{IDs: []string{"e0", "e2"}, To: "front"}} {
				d, err := Decide(r, Actor{a}, c, 0)
				for i := range d.Events {
					if r.Evolve(&d.Events[i], r.Revision()+1, r.At()) != nil && err == nil {
						return // a snapshot that was made up; its events are refused, nothing panics
					}
				}
			}
		}
	})
}
