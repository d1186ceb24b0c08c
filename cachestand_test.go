package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
)

var cacheWrites = regexp.MustCompile(`(?m)^kanvas_cache_writes_total (\S+)$`)

// written is how many cache entries each server has written.
func written(t *testing.T, servers []*server) []float64 {
	t.Helper()
	var counts []float64
	for _, s := range servers {
		m := cacheWrites.FindStringSubmatch(text(t, "http://"+s.addr+"/metrics"))
		if m == nil {
			t.Fatal("no count of cache entries")
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, n)
	}
	return counts
}

// TestOneNodeOfThreeWritesTheCache: three servers on one external log and one KV namespace. All hear of all edits, and one alone writes the entries; when
// it is killed another takes over, with what was edited meanwhile. What the bridge of an old client says is written wherever it comes in.
func TestOneNodeOfThreeWritesTheCache(t *testing.T) {
	w := edgetest.Shared(t)
	servers := startNodes(t, 3, "127.0.0.1:0", append(onKV(w), "KANVAS_RATE_LIMITS=off")...)
	ann := guest(t, servers[0])
	ann.room("room", "public")
	edits := 0
	// edit makes an edit on one of the servers and waits until KV knows of it.
	edit := func() {
		t.Helper()
		edits++
		var done struct{ Revision uint64 }
		body := map[string]any{"commands": []any{map[string]any{"command": "element.add", "data": map[string]any{"element": map[string]any{"id": fmt.Sprint("e", edits), "type": "note"}}}}}
		ann.s = servers[edits%len(servers)]
		if status := ann.call("POST", "/v1/rooms/room/commands", body, &done); status != http.StatusOK {
			t.Fatal(status)
		}
		until(t, "the edit is in KV", func() bool {
			var stats struct{ Revision uint64 }
			return json.Unmarshal([]byte(w.Value(t, "rooms:room:stats")), &stats) == nil && stats.Revision >= done.Revision
		})
	}
	// one waits until a single server writes, and returns it.
	one := func() (writer int) {
		t.Helper()
		until(t, "one server alone writes", func() bool {
			before := written(t, servers)
			edit()
			writers := 0
			for i, n := range written(t, servers) {
				if n > before[i] {
					writer = i
					writers++
				}
			}
			return writers == 1
		})
		return writer
	}
	writer := one()
	for range 3 {
		if again := one(); again != writer {
			t.Errorf("server %d wrote, and now %d", writer, again)
		}
	}
	ann.s = servers[(writer+1)%3]
	if status := ann.call("POST", "/parties/main/room", map[string]string{"type": "canvas_update", "hash": "by-the-bridge"}, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	until(t, "the bridge's hash is in KV", func() bool { return w.Value(t, "canvas:room:latest") == "by-the-bridge" })

	s := servers[writer]
	s.killAnd(func() {})
	servers = append(append([]*server{}, servers[:writer]...), servers[writer+1:]...)
	edit() // nobody writes when it is made
	one()
	for _, s := range servers {
		s.stop()
	}
}
