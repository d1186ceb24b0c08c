package domain

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

func done(client string, seq, last uint64) events.Done {
	return events.Done{User: "ann", Client: client, Seq: seq, First: last, Last: last}
}

func TestSeqsAreRememberedUpToTheBound(t *testing.T) {
	r := NewRoom("r")
	for seq := range uint64(OncePerClient) {
		r.Remember(done("c", seq+1, seq+10), 5)
	}
	r.Remember(done("other", 1, 7), 5)
	if d, ok, err := r.Remembered("ann", "c", 1); !ok || err != nil || d.Last != 10 || d.First != 10 || d.User != "ann" || d.Client != "c" || d.Seq != 1 {
		t.Fatalf("the oldest of 1,024: %+v, %t, %v", d, ok, err)
	}
	r.Remember(done("c", OncePerClient+5, 9), 5)
	if _, ok, err := r.Remembered("ann", "c", 1); ok || codeOf(err) != CodeStaleSeq {
		t.Fatalf("one past the bound: %t, %v", ok, err)
	}
	for _, fresh := range []struct {
		user, client string
		seq          uint64
	}{{"ann", "c", OncePerClient + 1}, {"ann", "c", OncePerClient + 6}, {"bob", "c", 2}, {"ann", "new", 0}} {
		if _, ok, err := r.Remembered(fresh.user, fresh.client, fresh.seq); ok || err != nil {
			t.Errorf("%+v: %t, %v", fresh, ok, err)
		}
	}
	// A command refused before and sent again later than its successors.
	r.Remember(events.Done{User: "ann", Client: "c", Seq: OncePerClient + 1, First: 3, Last: 2, Dropped: []string{"e"}}, 5)
	d, ok, _ := r.Remembered("ann", "c", OncePerClient+1)
	if !ok || d.First != 3 || d.Last != 2 || !slices.Equal(d.Dropped, []string{"e"}) {
		t.Errorf("out of order: %+v, %t", d, ok)
	}
	r.Remember(events.Done{User: "ann", Client: "c", Seq: OncePerClient + 1, First: 30, Last: 20}, 5)
	if d, _, _ := r.Remembered("ann", "c", OncePerClient+1); d.Last != 2 {
		t.Errorf("the first answer was replaced: %+v", d)
	}
	sameAfterSnapshot(t, r)
}

func TestIdleClientsKeepTheirFloor(t *testing.T) {
	r := NewRoom("r")
	r.Remember(done("idle", 4, 1), 0)
	r.Remember(done("idle", 9, 1), 0)
	r.Remember(done("busy", 1, 1), onceAge)
	if _, ok, _ := r.Remembered("ann", "idle", 9); !ok {
		t.Fatal("forgotten after 24 h")
	}
	r.Remember(done("busy", 2, 1), onceAge+sweepEvery)
	if _, ok, err := r.Remembered("ann", "idle", 9); ok || codeOf(err) != CodeStaleSeq {
		t.Errorf("after 25 h: %t, %v", ok, err)
	}
	if _, ok, err := r.Remembered("ann", "idle", 10); ok || err != nil {
		t.Errorf("a new command of an idle client: %t, %v", ok, err)
	}
	if _, ok, _ := r.Remembered("ann", "busy", 1); !ok {
		t.Error("a busy client was forgotten")
	}
	r.Remember(done("idle", 10, 5), onceAge+sweepEvery)
	if d, ok, _ := r.Remembered("ann", "idle", 10); !ok || d.Last != 5 {
		t.Error("an idle client that came back is not remembered")
	}
	sameAfterSnapshot(t, r)
}

func TestKeysAreRememberedForADay(t *testing.T) {
	r := NewRoom("r")
	key := func(key, hash string, last uint64) events.Done {
		return events.Done{User: "ann", Key: key, Hash: hash, First: last, Last: last}
	}
	r.Remember(key("k", "h1", 1), 1_000)
	for _, c := range []struct {
		user, hash string
		now        int64
		ok         bool
		code       Code
	}{
		{"ann", "h1", 1_000, true, ""}, {"ann", "h1", 1_000 + onceAge, true, ""}, {"ann", "h1", 1_001 + onceAge, false, ""},
		{"ann", "h2", 1_000 + onceAge, false, CodeIdempotencyMismatch}, {"ann", "h2", 1_001 + onceAge, false, ""}, {"bob", "h2", 1_000, false, ""},
	} {
		d, ok, err := r.RememberedKey(c.user, "k", c.hash, c.now)
		if ok != c.ok || codeOf(err) != c.code || ok && (d.Last != 1 || d.Key != "k" || d.Hash != "h1") {
			t.Errorf("%+v: %+v, %t, %v", c, d, ok, err)
		}
	}
	r.Remember(key("k", "h3", 2), 1_001+onceAge)
	if d, ok, _ := r.RememberedKey("ann", "k", "h3", 1_001+onceAge); !ok || d.Last != 2 {
		t.Error("a key used again after a day is not remembered")
	}
	sameAfterSnapshot(t, r)
	for i := range 50 {
		r.Remember(key(fmt.Sprint(i), "h", 3), 1_001+onceAge+int64(i))
	}
	r.Remember(key("late", "h", 3), 2_000+2*onceAge)
	if len(r.once.keys) != 1 || len(r.once.queue) != 1 {
		t.Errorf("%d keys of a day ago are kept", len(r.once.keys))
	}
	sameAfterSnapshot(t, r)
}

func sameAfterSnapshot(t *testing.T, r *Room) {
	t.Helper()
	was := r.EncodeSnapshot()
	read, err := DecodeSnapshot(was)
	if err != nil || !bytes.Equal(read.EncodeSnapshot(), was) {
		t.Fatalf("snapshot: %v\n%s", err, was)
	}
	for _, room := range []*Room{r, read, r.Clone()} { // all go on alike
		room.Remember(done("c", 1<<40, 8), 9*onceAge)
	}
	if a, b := r.EncodeSnapshot(), read.EncodeSnapshot(); !bytes.Equal(a, b) {
		t.Fatalf("goes on differently after a snapshot:\n%s", firstDifference(a, b))
	}
}
