package projections

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// exchange is a room in which nodes talk; the lowest of those that are there is the first.
type exchange struct {
	mu   sync.Mutex
	said map[int][]byte
}

type talker struct {
	*exchange
	n int
}

func (p talker) Exchange(mine []byte) (others [][]byte, first bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said[p.n] = mine
	first = true
	for n, b := range p.said {
		if n != p.n {
			others = append(others, b)
			first = first && p.n < n
		}
	}
	return others, first, nil
}

func (p talker) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.said, p.n)
}

// tableRooms are rooms by their visibility.
type tableRooms struct {
	Queries
	visibility map[string]string
}

func (q tableRooms) RoomByID(_ context.Context, room string) (RoomRow, error) {
	v, ok := q.visibility[room]
	if !ok {
		return RoomRow{}, fmt.Errorf("%w: %s", ErrNotFound, room)
	}
	return RoomRow{ID: room, Name: "Room " + room, Visibility: v}, nil
}

// Two nodes write one list with everybody in it, one of them at a time, and no room that is not public any more.
func TestTheListOfActiveRoomsIsOfAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &recorder{puts: map[string][]put{}}
		room := &exchange{said: map[int][]byte{}}
		q := tableRooms{visibility: map[string]string{"shared": "public", "here": "public", "there": "public", "hidden": "private"}}
		lists := []*active{
			{rooms: []ActiveRoom{{ID: "here", CreatedAt: 9, UserCount: 1}, {ID: "shared", Name: "old", CreatedAt: 5, LastActivity: 6, UserCount: 2}}},
			{rooms: []ActiveRoom{{ID: "unknown", CreatedAt: 8, UserCount: 1}, {ID: "hidden", CreatedAt: 7, UserCount: 1}, {ID: "shared", CreatedAt: 5, LastActivity: 8, UserCount: 3, CreatorName: "Ann"}, {ID: "there", CreatedAt: 5}}},
		}
		var stops []func()
		for n := range lists {
			c := NewCaches(CacheConfig{KV: kv, Queries: q, Active: lists[n], Peers: talker{room, n}})
			stops = append(stops, startCaches(t, c))
		}
		time.Sleep(time.Minute)
		const both = `[{"id":"here","name":"Room here","isPublic":false,"createdAt":9,"lastActivity":0,"userCount":1},` +
			`{"id":"shared","name":"Room shared","isPublic":false,"createdAt":5,"lastActivity":8,"userCount":5,"creatorName":"Ann"},` +
			`{"id":"there","name":"Room there","isPublic":false,"createdAt":5,"lastActivity":0,"userCount":0}]`
		got := kv.of(registryKey)
		if len(got) == 0 || len(got) > 3 || got[len(got)-1].value != both {
			t.Fatalf("%+v", got)
		}
		stops[0]() // the other one takes over, with what is still there
		talker{room, 0}.leave()
		time.Sleep(time.Minute)
		stops[1]()
		got = kv.of(registryKey)
		if last := got[len(got)-1].value; last == both || len(got) > 5 {
			t.Errorf("%+v", got)
		}
	})
}
