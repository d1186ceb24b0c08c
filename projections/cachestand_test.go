package projections

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
)

// Two nodes hear of every change, and one writes it. When that one is gone, the other writes what it had not come to, and all that comes after; what
// only one of them knows, that one writes.
func TestOneNodeWritesWhatAllHearOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := &exchange{said: map[int][]byte{}}
		kv := []*recorder{{puts: map[string][]put{}}, {puts: map[string][]put{}}}
		var nodes []*Caches
		var stops []func()
		for n := range kv {
			c := NewCaches(CacheConfig{KV: kv[n], Queries: rows{}, Active: &active{}, Peers: talker{room, n}})
			nodes, stops = append(nodes, c), append(stops, startCaches(t, c))
		}
		time.Sleep(time.Minute) // each has heard of the other
		all := func(room string, n int, types ...events.Type) {
			for _, c := range nodes {
				c.applied([]*change{edit(room, n, types...)})
			}
		}
		wrote := func(n int, room string) int { return len(kv[n].of(CanvasKey(room))) }
		want := func(what, room string, first, second int) {
			t.Helper()
			if a, b := wrote(0, room), wrote(1, room); a != first || b != second {
				t.Errorf("%s: the first node wrote %d times, the second %d; not %d and %d", what, a, b, first, second)
			}
		}
		for n := range 100 {
			all(fmt.Sprint("r", n), 1, events.RoomCreated)
		}
		time.Sleep(10 * time.Second)
		for n := range 100 {
			want("made", fmt.Sprint("r", n), 1, 0)
		}
		// The bridge of an old client, on the node that stands by: nobody else knows of it.
		if !nodes[1].PutCanvas("bridged", "hash") {
			t.Error("the bridge was refused")
		}
		time.Sleep(10 * time.Second)
		want("by the bridge", "bridged", 0, 1)
		time.Sleep(keptFor)
		// The one that writes can't any more, and then is gone.
		kv[0].mu.Lock()
		kv[0].fail = true
		kv[0].mu.Unlock()
		all("unwritten", 1, events.RoomCreated)
		all("deleted", 1, events.RoomCreated)
		all("deleted", 2, events.RoomDeleted)
		time.Sleep(time.Minute)
		stops[0]()
		talker{room, 0}.leave()
		nodes = nodes[1:]
		time.Sleep(20 * time.Second)
		want("what the first had not come to", "unwritten", 0, 1)
		want("long written", "r0", 1, 0)
		if got := kv[1].of(CanvasKey("deleted")); len(got) != 1 || got[0].ttl != -1 {
			t.Errorf("a deleted room's entry: %+v", got)
		}
		all("after", 1, events.RoomCreated)
		time.Sleep(10 * time.Second)
		want("after the takeover", "after", 0, 1)
		stops[1]()
	})
}

// A node that stands by keeps no more than it may, and nothing for long.
func TestStandingByIsBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	kv := &recorder{puts: map[string][]put{}}
	c := NewCaches(CacheConfig{KV: kv, Queries: rows{}, Active: &active{}, Peers: silent{}, Keys: 100, Now: func() time.Time { return now }})
	for n := range 200 {
		c.applied([]*change{edit(fmt.Sprint("r", n), 1)})
	}
	if len(c.stand.marks) != 100 || len(c.due) != 0 {
		t.Fatalf("%d kept, %d due", len(c.stand.marks), len(c.due))
	}
	now = now.Add(keptFor + time.Second)
	c.applied([]*change{edit("new", 1)})
	if len(c.stand.marks) != 2 { // canvas and statistics
		t.Fatalf("%d kept", len(c.stand.marks))
	}
	c.lead(true)
	if ready, _ := c.take(); len(ready) != 2 || len(c.stand.marks) != 0 {
		t.Errorf("%d ready, %d kept", len(ready), len(c.stand.marks))
	}
	c.applied([]*change{edit("newer", 1)})
	c.lead(false)
	if ready, _ := c.take(); len(ready) != 2 {
		t.Errorf("%d ready: what was due is left", len(ready))
	}
}

// silent is a Peers that nobody hears.
type silent struct{}

func (silent) Exchange([]byte) ([][]byte, bool, error) { return nil, false, errors.New("away") }
