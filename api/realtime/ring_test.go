package realtime

import (
	"fmt"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

func commitOf(first uint64, n, size int) *events.Commit {
	c := &events.Commit{First: first}
	for range n {
		c.Events = append(c.Events, events.Event{Payload: &events.ElementAddedData{Element: make([]byte, size)}})
	}
	return c
}

func TestTheRingKeepsTheNewestWithinItsBound(t *testing.T) {
	r := ring{limit: 5_000, next: 11}
	if !r.covers(10) || r.covers(9) {
		t.Fatal("an empty ring at revision 10")
	}
	rev := uint64(11)
	for range 50 {
		c := commitOf(rev, 3, 100)
		r.add(c)
		rev = c.Last() + 1
		if r.bytes > r.limit || r.bytes != sizeOf(r.commits) {
			t.Fatalf("%d bytes kept, %d counted", sizeOf(r.commits), r.bytes)
		}
		oldest := r.commits[0].commit.First
		if r.covers(oldest-2) || !r.covers(oldest-1) || !r.covers(rev-1) {
			t.Fatalf("from %d to %d: wrong about what it covers", oldest, rev-1)
		}
		if got := r.after(oldest); got[0].commit.First != oldest { // in the middle of the first
			t.Fatalf("after %d begins at %d", oldest, got[0].commit.First)
		}
		if got := r.after(rev - 1); got != nil {
			t.Fatal("something after the head")
		}
	}
	if n := len(r.commits); n < 2 || n > 5 {
		t.Fatalf("%d commits kept", n)
	}
	big := commitOf(rev, 1, 10_000)
	r.add(big)
	if len(r.commits) != 0 || r.covers(big.First-1) || !r.covers(big.Last()) {
		t.Fatal("a commit larger than the ring")
	}
}

func TestMergedPreviewsTakeTheNewerValue(t *testing.T) {
	set := func(kv ...string) (m events.Members) {
		for i := 0; i < len(kv); i += 2 {
			m = append(m, events.Member{Key: kv[i], Value: []byte(kv[i+1])})
		}
		return m
	}
	for _, c := range []struct{ a, b, want events.Members }{
		{set("a", "1", "c", "1"), set("b", "2", "c", "2", "d", "2"), set("a", "1", "b", "2", "c", "2", "d", "2")},
		{nil, set("x", "2"), set("x", "2")},
		{set("x", "1"), nil, set("x", "1")},
	} {
		if got := merge(c.a, c.b); fmt.Sprintf("%s", got) != fmt.Sprintf("%s", c.want) {
			t.Errorf("%s and %s: %s", c.a, c.b, got)
		}
	}
}

// TestFramesOfBeforeAForgettingAreMadeAnew: what was encoded with somebody's words is not sent once they are forgotten.
func TestFramesOfBeforeAForgettingAreMadeAnew(t *testing.T) {
	var e encoded
	made := 0
	encode := func() []byte { made++; return []byte{byte(made)} }
	for _, x := range []struct {
		epoch uint64
		want  byte
	}{{0, 1}, {0, 1}, {3, 2}, {3, 2}} {
		if got := e.frameAt(x.epoch, encode); got[0] != x.want {
			t.Errorf("at epoch %d the frame of encoding %d", x.epoch, got[0])
		}
	}
}
