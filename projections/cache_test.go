package projections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/events"
)

// recorder is a KV that notes what was put and when.
type recorder struct {
	mu     sync.Mutex
	puts   map[string][]put
	calls  []time.Time
	fail   bool
	failed int
}

type put struct {
	at    time.Time
	value string
	ttl   time.Duration
}

func (r *recorder) PutMany(_ context.Context, entries []Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail {
		r.failed++
		return errors.New("unreachable")
	}
	r.calls = append(r.calls, time.Now())
	for _, e := range entries {
		r.puts[e.Key] = append(r.puts[e.Key], put{time.Now(), string(e.Value), e.TTL})
	}
	return nil
}

func (r *recorder) Delete(ctx context.Context, keys ...string) error {
	var entries []Entry
	for _, k := range keys {
		entries = append(entries, Entry{Key: k, TTL: -1})
	}
	return r.PutMany(ctx, entries)
}

func (r *recorder) of(key string) []put {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.puts[key])
}

// rows are Queries of one room and one asset.
type rows struct{ Queries }

func (rows) RoomByID(_ context.Context, room string) (RoomRow, error) {
	return RoomRow{ID: room, Revision: 7, CreatedAt: 1, UpdatedAt: 2}, nil
}
func (rows) CountParticipants(context.Context, string) (int, error) { return 1, nil }
func (rows) Participants(context.Context, string) ([]ParticipantRow, error) {
	return []ParticipantRow{{UserID: "ann", Role: "owner", JoinedAt: 3, Name: "Ann Secret"}}, nil
}
func (rows) AssetByID(_ context.Context, id string) (AssetRow, error) {
	return AssetRow{ID: id, ContentType: "image/png", Size: 9, Status: "ready"}, nil
}

type active struct {
	mu      sync.Mutex
	rooms   []ActiveRoom
	changed []string
}

func (a *active) PictureReady(string) {}

func (a *active) RoomChanged(room string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed = append(a.changed, room)
}

func (a *active) ActiveRooms() []ActiveRoom {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rooms
}
func (a *active) Online() []Presence { return []Presence{{UserID: "ann", RoomID: "r", LastSeen: 5}} }

func edit(room string, n int, types ...events.Type) *change {
	ch := &change{stream: events.Room(room), last: uint64(n), commit: events.Commit{Sum: fmt.Sprint("sum", n)}}
	for _, t := range types {
		ch.facts = append(ch.facts, fact{event: events.Event{Type: t}})
	}
	return ch
}

// counted is the value of a counter.
func counted(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// startCaches runs c until stop, inside of a synctest bubble.
func startCaches(t *testing.T, c *Caches) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestCachesWriteOncePerSecondNewestWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &recorder{puts: map[string][]put{}}
		c := NewCaches(CacheConfig{KV: kv, Queries: rows{}})
		stop := startCaches(t, c)
		c.applied([]*change{edit("r", 1, events.RoomCreated), {stream: events.Asset("a")}})
		for n := 2; n <= 100; n++ { // 50 a second
			time.Sleep(20 * time.Millisecond)
			c.applied([]*change{edit("r", n)})
		}
		time.Sleep(10 * time.Second)
		stop()
		canvas := kv.of("canvas:r:latest")
		if len(canvas) > 4 || canvas[len(canvas)-1].value != "sum100" || canvas[0].value != "sum1" {
			t.Errorf("canvas: %+v", canvas)
		}
		for i, p := range canvas {
			if p.ttl != 300*time.Second || i > 0 && p.at.Sub(canvas[i-1].at) < time.Second {
				t.Errorf("canvas put %d: %+v", i, p)
			}
		}
		if stats := kv.of("rooms:r:stats"); len(stats) != 2 || stats[0].value != `{"roomId":"r","revision":7,"participants":1,"createdAt":1,"lastActivity":2}` || stats[0].ttl != 0 {
			t.Errorf("stats: %+v", stats)
		}
		if p := kv.of("rooms:r:participants"); len(p) != 1 || p[0].value != `[{"userId":"ann","role":"owner","joinedAt":3}]` || p[0].ttl != 0 {
			t.Errorf("participants: %+v", p)
		}
		if a := kv.of("assets:a:meta"); len(a) != 1 || a[0].ttl != 0 || !json.Valid([]byte(a[0].value)) {
			t.Errorf("asset: %+v", a)
		}
	})
}

func TestCachesForgetDeletedRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &recorder{puts: map[string][]put{}}
		c := NewCaches(CacheConfig{KV: kv, Queries: rows{}})
		stop := startCaches(t, c)
		c.applied([]*change{edit("r", 1, events.RoomCreated)})
		time.Sleep(time.Minute)
		c.applied([]*change{edit("r", 2, events.ParticipantJoined, events.RoomDeleted)})
		time.Sleep(time.Minute)
		stop()
		for _, key := range []string{"canvas:r:latest", "rooms:r:stats", "rooms:r:participants"} {
			if p := kv.of(key); len(p) != 2 || p[1].ttl != -1 {
				t.Errorf("%s: %+v", key, p)
			}
		}
	})
}

func TestCachesListAndPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &recorder{puts: map[string][]put{}}
		a := &active{}
		c := NewCaches(CacheConfig{KV: kv, Queries: rows{}, Active: a})
		stop := startCaches(t, c)
		time.Sleep(20 * time.Second)
		a.mu.Lock()
		a.rooms = []ActiveRoom{{ID: "r", Name: "Room", IsPublic: true, CreatedAt: 1, LastActivity: 2, UserCount: 3}}
		a.mu.Unlock()
		time.Sleep(200 * time.Second)
		stop()
		list := kv.of("rooms:registry")
		if len(list) != 3 || list[0].value != "[]" || list[1].value != `[{"id":"r","name":"Room","isPublic":true,"createdAt":1,"lastActivity":2,"userCount":3}]` ||
			list[2].value != list[1].value || list[0].ttl != 300*time.Second {
			t.Errorf("list: %+v", list)
		}
		presence := kv.of("presence:ann")
		if len(presence) != 8 || presence[0].value != `{"userId":"ann","roomId":"r","lastSeen":5}` || presence[0].ttl != time.Minute {
			t.Errorf("%d presence: %+v", len(presence), presence)
		}
		for i := 1; i < len(presence); i++ {
			if d := presence[i].at.Sub(presence[i-1].at); d < 30*time.Second {
				t.Errorf("presence after %v", d)
			}
		}
	})
}

// Who keeps a list of rooms hears of what it shows, and of nothing else.
func TestCachesTellWhatAListShows(t *testing.T) {
	a := &active{}
	c := NewCaches(CacheConfig{KV: &recorder{puts: map[string][]put{}}, Queries: rows{}, Active: a})
	c.applied([]*change{edit("made", 1, events.RoomCreated, events.ParticipantJoined), edit("edited", 4), edit("joined", 5, events.ParticipantJoined),
		edit("renamed", 9, events.RoomUpdated), {stream: events.Asset("a")}, edit("gone", 7, events.RoomDeleted)})
	if got := fmt.Sprint(a.changed); got != "[made renamed gone]" {
		t.Error(got)
	}
}

func TestCachesBoundedWhileKVFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &recorder{puts: map[string][]put{}, fail: true}
		registry := prometheus.NewRegistry()
		c := NewCaches(CacheConfig{KV: kv, Queries: rows{}, Keys: 10, Registerer: registry})
		stop := startCaches(t, c)
		for n := range 100 {
			c.applied([]*change{edit(fmt.Sprint("r", n), 1)})
			time.Sleep(time.Second)
		}
		if got := counted(t, registry, "kanvas_cache_dropped_total"); got == 0 {
			t.Error("nothing was dropped")
		}
		if got := counted(t, registry, "kanvas_cache_write_failures_total"); got == 0 || int(got) != kv.failed || got > 150 {
			t.Errorf("%v failures counted of %d", got, kv.failed)
		}
		kv.mu.Lock()
		kv.fail = false
		kv.mu.Unlock()
		time.Sleep(time.Minute)
		stop()
		if len(kv.puts) < 10 {
			t.Errorf("only %d keys were written in the end", len(kv.puts))
		}
	})
}

// 10 edits a second in each of 200 rooms for a minute are 13 calls where calls are dear.
func TestCachesGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &recorder{puts: map[string][]put{}}
		c := NewCaches(CacheConfig{KV: kv, Queries: rows{}, Gather: 5 * time.Second})
		stop := startCaches(t, c)
		for n := range 600 {
			time.Sleep(100 * time.Millisecond)
			for r := range 200 {
				c.applied([]*change{edit(fmt.Sprint("r", r), n+1)})
			}
		}
		time.Sleep(10 * time.Second)
		stop()
		if len(kv.calls) > 15 || len(kv.calls) < 10 {
			t.Errorf("%d calls", len(kv.calls))
		}
		for i := 1; i < len(kv.calls); i++ {
			if d := kv.calls[i].Sub(kv.calls[i-1]); d < 5*time.Second {
				t.Errorf("two calls within %s", d)
			}
		}
		for r := range 200 {
			if p := kv.of(CanvasKey(fmt.Sprint("r", r))); p[len(p)-1].value != "sum600" {
				t.Fatalf("room %d ends at %s", r, p[len(p)-1].value)
			}
		}
	})
}

func TestCachesTakeAClientsHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &recorder{puts: map[string][]put{}}
		c := NewCaches(CacheConfig{KV: kv, Queries: rows{}, Keys: 1})
		stop := startCaches(t, c)
		for i := range 10 {
			if !c.PutCanvas("r", fmt.Sprint("hash", i)) {
				t.Error("refused")
			}
		}
		if c.PutCanvas("another", "hash") {
			t.Error("a second key was taken where one may wait")
		}
		time.Sleep(5 * time.Second)
		stop()
		if p := kv.of("canvas:r:latest"); len(p) > 2 || p[len(p)-1].value != "hash9" || p[0].ttl != 300*time.Second {
			t.Errorf("%+v", p)
		}
	})
}
