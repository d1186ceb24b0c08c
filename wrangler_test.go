package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
)

// TestWranglerAlone: Cloudflare's own tool makes the tables, and sees what Kanvas wrote to D1, KV and R2, with the guide's queries.
func TestWranglerAlone(t *testing.T) {
	state := t.TempDir()
	local := func(args ...string) string {
		return edgetest.Wrangler(t, append(args, "--local", "--persist-to", state)...)
	}
	rows := func(sql string) []map[string]any {
		t.Helper()
		var answer []struct{ Results []map[string]any }
		out := local("d1", "execute", "kanvas-db", "--json", "--command", sql)
		if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer) != 1 {
			t.Fatalf("%s: %v\n%s", sql, err, out)
		}
		return answer[0].Results
	}
	local("d1", "migrations", "apply", "kanvas-db")

	f := newFront(t, edgetest.WithDir(edgetest.WranglerState(state)), edgetest.WithoutMigrations())
	dir := t.TempDir()
	s := startServer(t, dir, f.behind, f.env...)
	picture, err := os.ReadFile(filepath.Join("api", "web", "test", "pictures", "moochin-simple-characters.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s.addr, dir, "seen")
	token := strings.TrimSpace(mustTool(t, "token", "ann", "--data", dir))
	element := map[string]any{"id": "p", "type": "image", "src": "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(picture)}
	add := []any{map[string]any{"command": "element.add", "data": map[string]any{"element": element}}}
	if _, err := httpJSON("POST", f.URL+"/v1/rooms/seen/commands", token, map[string]any{"commands": add}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	ws, _, err := websocket.Dial(t.Context(), f.URL+"/parties/main/seen?_pk=1", nil) // somebody is there: the room is active
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for { // and answers the server's close
			if _, _, err := ws.Read(t.Context()); err != nil {
				return
			}
		}
	})
	defer reading.Wait()
	defer ws.CloseNow()
	wait := func(what string, there func() bool) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); !there(); time.Sleep(50 * time.Millisecond) { // between looks
			if time.Now().After(deadline) {
				t.Fatalf("%s does not come\n%s", what, s.out)
			}
		}
	}
	wait("the asset in D1", func() bool { return len(f.Query(t, "SELECT asset_id FROM asset_rooms WHERE room_id = 'seen'")) == 1 })
	wait("the room on the list", func() bool { return strings.Contains(f.Value(t, "rooms:registry"), `"seen"`) })
	for _, key := range []string{"rooms:seen:participants", "rooms:seen:stats"} {
		wait(key, func() bool { return f.Value(t, key) != "" })
	}
	s.stop()
	f.Stop(t)

	if out := local("d1", "migrations", "list", "kanvas-db"); !strings.Contains(out, "No migrations to apply") {
		t.Errorf("migrations list: %s", out)
	}
	tables := map[any]bool{}
	for _, r := range rows("SELECT * FROM sqlite_master") {
		tables[r["name"]] = true
	}
	for _, name := range []string{"users", "rooms", "room_participants", "canvas_states", "assets"} {
		if !tables[name] {
			t.Errorf("no table %s", name)
		}
	}
	if got := rows("SELECT * FROM rooms WHERE is_public = true ORDER BY created_at DESC LIMIT 50"); len(got) != 1 || got[0]["id"] != "seen" || got[0]["name"] != "On D1" || got[0]["owner_id"] != "ann" {
		t.Errorf("rooms: %v", got)
	}
	assets := rows("SELECT r2_key, content_type, size_bytes FROM assets")
	if len(assets) != 1 || assets[0]["content_type"] != "image/jpeg" || assets[0]["size_bytes"] != float64(len(picture)) {
		t.Fatalf("assets: %v", assets)
	}
	if out := local("kv", "key", "get", "rooms:registry", "--binding", "KANVAS_CACHE"); !strings.Contains(out, `"seen"`) {
		t.Errorf("rooms:registry: %s", out)
	}
	if out := local("kv", "key", "list", "--binding", "KANVAS_CACHE", "--prefix", "rooms:"); !strings.Contains(out, "rooms:seen:participants") || !strings.Contains(out, "rooms:seen:stats") || !strings.Contains(out, "expiration") {
		t.Errorf("keys: %s", out)
	}
	file := filepath.Join(t.TempDir(), "picture")
	local("r2", "object", "get", "kanvas-images/"+assets[0]["r2_key"].(string), "--file", file)
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, picture) {
		t.Errorf("the object has %d bytes, not %d: %v", len(got), len(picture), err)
	}
}
