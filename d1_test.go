package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/projections"
)

// withD1 makes this process, and the servers and tools it runs, use the Worker's D1 by its gateway.
func withD1(t *testing.T, w *edgetest.Worker, url string) {
	t.Helper()
	for name, value := range map[string]string{"CLOUDFLARE_ACCOUNT_ID": w.Account, "KANVAS_GATEWAY_URL": url, "KANVAS_GATEWAY_SECRET": w.Secret, "D1_DATABASE_ID": w.Database} {
		t.Setenv(name, value)
	}
}

// d1Check is D1's line of /readyz, once it satisfies ok.
func d1Check(t *testing.T, addr string, ok func(healthy bool, detail string) bool) {
	t.Helper()
	var answer struct {
		Status string
		Checks []struct {
			Name, Detail string
			OK           bool
		}
	}
	for deadline := time.Now().Add(time.Minute); ; {
		if _, err := httpJSON("GET", "http://"+addr+"/readyz", "", nil, &answer); err != nil {
			t.Fatal(err)
		}
		for _, c := range answer.Checks {
			if c.Name == "d1" && ok(c.OK, c.Detail) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("readyz: %+v", answer)
		}
		time.Sleep(50 * time.Millisecond) // between looks
	}
}

// fill makes a room of ann's with some content.
func fill(t *testing.T, addr, dir, room string) {
	t.Helper()
	token := strings.TrimSpace(mustTool(t, "token", "ann", "--name", "Ann Lee", "--data", dir))
	if _, err := httpJSON("POST", "http://"+addr+"/v1/rooms", token, map[string]any{"id": room, "name": "On D1", "visibility": "public"}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	commands := []any{map[string]any{"command": "chat.post", "data": map[string]any{"text": "a secret word: xyzzy"}}}
	for _, id := range []string{"a", "b", "c"} {
		commands = append(commands, map[string]any{"command": "element.add", "data": map[string]any{"element": map[string]any{"id": id, "type": "note", "text": "x"}}})
	}
	if _, err := httpJSON("POST", "http://"+addr+"/v1/rooms/"+room+"/commands", token, map[string]any{"commands": commands}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
}

// text is what a GET answers.
func text(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, res.Status, err)
	}
	return string(b)
}

func caughtUp(healthy bool, detail string) bool { return healthy && detail == "" }

// TestD1: the tables are also in D1; verify and rebuild work on them, beside a server and without one; a lost log stops the start.
func TestD1(t *testing.T) {
	w := edgetest.Shared(t)
	withD1(t, w, w.URL)
	dir := t.TempDir()
	s := startServer(t, dir, "127.0.0.1:0")
	fill(t, s.addr, dir, "far")
	for deadline := time.Now().Add(time.Minute); len(w.Query(t, "SELECT id FROM rooms WHERE id = 'far' AND revision >= 6 AND is_public = 1")) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the room does not come to D1")
		}
	}
	if rows := w.Query(t, "SELECT name, email FROM users WHERE id = 'ann'"); len(rows) != 1 || rows[0]["name"] != "Ann Lee" || rows[0]["email"] != "" {
		t.Errorf("Ann in D1: %v", rows)
	}
	d1Check(t, s.addr, caughtUp)
	metrics := text(t, "http://"+s.addr+"/metrics")
	for _, name := range []string{`kanvas_projection_lag_seconds{projector="d1"} 0`, `kanvas_projection_standby{projector="d1"} 0`, `kanvas_d1_statement_seconds_count{kind="insert rooms"}`,
		`kanvas_d1_call_seconds_count{operation="apply"}`, "kanvas_d1_batch_statements_count", "kanvas_d1_batch_bytes_sum", "kanvas_cloudflare_budget_left_ratio 1",
		`kanvas_cloudflare_calls_total{outcome="ok",service="d1"}`, "kanvas_cloudflare_retries_total", "kanvas_d1_rows_written_total"} {
		if !strings.Contains(metrics, name) {
			t.Errorf("no %s in /metrics", name)
		}
	}
	both := func(t *testing.T) {
		for _, args := range [][]string{{"verify", "--target", "d1"}, {"verify", "far", "--target", "d1"}} {
			if out := mustTool(t, append(args, "--data", dir)...); !strings.Contains(out, "sound") {
				t.Errorf("%v: %s", args, out)
			}
		}
		w.Query(t, "UPDATE rooms SET name = 'damaged' WHERE id = 'far'")
		if out, err := tool(t, "verify", "--target", "d1", "--data", dir); err == nil || !strings.Contains(out, "kanvas rebuild --target d1") {
			t.Errorf("damaged: %v %s", err, out)
		}
		if out := mustTool(t, "verify", "--data", dir); !strings.Contains(out, "sound") {
			t.Errorf("the local tables: %s", out)
		}
		if out := mustTool(t, "rebuild", "--room", "far", "--target", "d1", "--data", dir); !strings.Contains(out, "DIFFERENT") {
			t.Error(out)
		}
		if out := mustTool(t, "rebuild", "--target", "d1", "--data", dir); !strings.Contains(out, "the same rows as before") {
			t.Error(out)
		}
		if left, err := filepath.Glob(filepath.Join(dir, scratchPrefix+"*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	}
	t.Run("beside a server", both)
	s.stop()
	if strings.Contains(s.out.String(), w.Secret) {
		t.Error("the gateway's secret is in the log")
	}
	t.Run("without one", both)
	t.Run("another log", func(t *testing.T) {
		other := t.TempDir()
		out, err := tool(t, "serve", "--data", other, "--listen", "127.0.0.1:0")
		if err == nil || !strings.Contains(out, "missing") || !strings.Contains(out, w.Database) || !strings.Contains(out, "kanvas rebuild --target d1") {
			t.Fatalf("%v\n%s", err, out)
		}
		if out, err := tool(t, "verify", "--target", "d1", "--data", other); err == nil || !strings.Contains(out, "are missing") {
			t.Errorf("verify: %v %s", err, out)
		}
		mustTool(t, "rebuild", "--target", "d1", "--data", other)
		if rows := w.Query(t, "SELECT id FROM rooms"); len(rows) != 0 {
			t.Errorf("of the other log: %v", rows)
		}
		s := startServer(t, other, "127.0.0.1:0")
		fill(t, s.addr, other, "near")
		d1Check(t, s.addr, func(healthy bool, detail string) bool {
			return caughtUp(healthy, detail) && len(w.Query(t, "SELECT id FROM rooms WHERE id = 'near'")) == 1
		})
		s.stop()
	})
}

// TestD1StopsNobody: a D1 that is away, or not migrated, is told of, and rooms go on.
func TestD1StopsNobody(t *testing.T) {
	w := edgetest.Start(t, edgetest.WithoutMigrations())
	for name, tc := range map[string]struct{ url, says string }{
		"away":         {"http://127.0.0.1:1", "unreachable"},
		"not migrated": {w.URL, "kanvas provision"},
	} {
		t.Run(name, func(t *testing.T) {
			withD1(t, w, tc.url)
			dir := t.TempDir()
			s := startServer(t, dir, "127.0.0.1:0")
			fill(t, s.addr, dir, "room")
			d1Check(t, s.addr, func(healthy bool, detail string) bool {
				return !healthy && strings.Contains(detail, tc.says) && !strings.HasPrefix(detail, "0 commits")
			})
			if out := mustTool(t, "verify", "--data", dir); !strings.Contains(out, "sound") {
				t.Error(out)
			}
			if out, err := tool(t, "verify", "--target", "d1", "--data", dir); err == nil || !strings.Contains(out, tc.says) {
				t.Errorf("%v %s", err, out)
			}
			s.stop()
		})
	}
	t.Setenv("KANVAS_TEST_CLOUDFLARE", "")
	out, err := tool(t, "rebuild", "--target", "d1", "--data", t.TempDir())
	if err == nil || !strings.Contains(out, "D1_DATABASE_ID") {
		t.Errorf("without D1: %v %s", err, out)
	}
}

// TestTwoServersOneD1: two servers on one external log, one D1 and one KV. Both take edits, D1 gets each once, and either can verify it; the list of
// active rooms counts who is on either.
func TestTwoServersOneD1(t *testing.T) {
	w := edgetest.Shared(t)
	withD1(t, w, w.URL)
	t.Setenv("KANVAS_NATS_URL", outsideLog(t).ClientURL())
	t.Setenv("KV_NAMESPACE_ID", w.Namespace)
	t.Setenv("KANVAS_MASTER_KEY_FILE", filepath.Join(t.TempDir(), "master.key")) // one log, one key
	var servers []*server
	var dirs []string
	for range 2 {
		dirs = append(dirs, t.TempDir())
		servers = append(servers, startServer(t, dirs[len(dirs)-1], "127.0.0.1:0"))
	}
	lobby := frames(t, "ws://"+servers[1].addr+"/parties/registry/registry?_pk=1")
	for i := range 6 {
		fill(t, servers[i%2].addr, dirs[i%2], fmt.Sprint("room", i))
	}
	lobby.wait(`"room-added","room":{"id":"room0"`) // made on the other server, and nobody has entered it here
	for deadline := time.Now().Add(time.Minute); len(w.Query(t, "SELECT id FROM rooms WHERE revision >= 6")) < 6; {
		if time.Now().After(deadline) {
			t.Fatalf("rooms in D1: %v", w.Query(t, "SELECT id, revision FROM rooms"))
		}
	}
	for _, s := range servers {
		frames(t, "ws://"+s.addr+"/parties/main/room0?_pk=1")
	}
	until(t, "both people in room0 are on the list", func() bool {
		var list []projections.ActiveRoom
		if text := w.Value(t, "rooms:registry"); text == "" || json.Unmarshal([]byte(text), &list) != nil {
			return false
		}
		return slices.ContainsFunc(list, func(r projections.ActiveRoom) bool { return r.ID == "room0" && r.UserCount == 2 })
	})
	token := strings.TrimSpace(mustTool(t, "token", "ann", "--data", dirs[0]))
	if _, err := httpJSON("PATCH", "http://"+servers[0].addr+"/v1/rooms/room2", token, map[string]any{"visibility": "private"}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	lobby.wait(`"room-removed","roomId":"room2"`)
	until(t, "room2 leaves the list", func() bool { return !strings.Contains(w.Value(t, "rooms:registry"), `"room2"`) })
	for i, s := range servers {
		d1Check(t, s.addr, func(healthy bool, detail string) bool {
			return caughtUp(healthy, detail) || healthy && strings.Contains(detail, "stands by")
		})
		if out := mustTool(t, "verify", "--target", "d1", "--data", dirs[i]); !strings.Contains(out, "sound") {
			t.Errorf("server %d: %s", i, out)
		}
	}
	for _, s := range servers {
		s.stop()
	}
}

// hearer keeps what a socket is sent, and answers pings and the close.
type hearer struct {
	t   *testing.T
	out lockedBuffer
}

func frames(t *testing.T, url string) *hearer {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() }) // the server has closed it where all went well
	l := &hearer{t: t}
	go func() {
		for _, b, err := ws.Read(t.Context()); err == nil; _, b, err = ws.Read(t.Context()) {
			l.out.line(b)
		}
	}()
	return l
}

func (l *hearer) wait(text string) {
	l.t.Helper()
	until(l.t, text, func() bool { return strings.Contains(l.out.String(), text) })
}
