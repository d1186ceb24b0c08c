package edge_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
)

// keep stores a copy of the room list as the Worker does, made age ago.
func keep(t *testing.T, w *edgetest.Worker, list string, age time.Duration) {
	t.Helper()
	form := fmt.Sprintf("--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"at\":%d}\r\n--b\r\nContent-Disposition: form-data; name=\"value\"\r\n\r\n%s\r\n--b--\r\n", time.Now().Add(-age).UnixMilli(), list)
	status, _, answer := call(t, w, request{method: "PUT", path: kvPath(w, "values/edge:rooms?expiration_ttl=3600"), body: form, header: http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}})
	if status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
}

// kept reads the copy.
func kept(t *testing.T, w *edgetest.Worker) string {
	t.Helper()
	status, _, answer := call(t, w, request{method: "GET", path: kvPath(w, "values/edge:rooms")})
	if status == 404 {
		return ""
	}
	return answer
}

// until waits for a fact.
func until(t *testing.T, what string, look func() bool) {
	t.Helper()
	ctx := soon(t)
	for !look() {
		if ctx.Err() != nil {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestTheRoomListIsServedFromKV(t *testing.T) {
	var list atomic.Value
	list.Store(`{"rooms":[{"id":"one"}]}`)
	o := newOrigin(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, list.Load().(string))
	})
	w := before(t, o)
	ask := func(path string) (body, age, from string) {
		t.Helper()
		status, h, body := get(t, w, path)
		if status != 200 || h.Get("Content-Type") != "application/json" || h.Get("X-Request-Id") == "" {
			t.Fatalf("%s: %d %v %s", path, status, h, body)
		}
		return body, h.Get("Age"), h.Get("Cache-Status")
	}
	// Without a copy the server is asked, and the copy made.
	if body, age, from := ask("/v1/rooms?visibility=public"); body != `{"rooms":[{"id":"one"}]}` || age != "" || from != "kanvas; fwd=miss" {
		t.Errorf("%s, age %s, %s", body, age, from)
	}
	until(t, "the copy is made", func() bool { return kept(t, w) != "" })
	// A fresh one is served as it is, under every address that means the same.
	keep(t, w, `{"rooms":[{"id":"copy"}]}`, 2*time.Second)
	calls := o.calls.Load()
	for _, path := range []string{"/v1/rooms?visibility=public", "/v1/rooms", "/v1/rooms?limit=50&visibility=public"} {
		if body, age, from := ask(path); body != `{"rooms":[{"id":"copy"}]}` || age == "" || from != "kanvas; hit" {
			t.Errorf("%s: %s, age %s, %s", path, body, age, from)
		}
	}
	if n := o.calls.Load() - calls; n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
	// An old one is served too, and renewed.
	list.Store(`{"rooms":[{"id":"two"}]}`)
	keep(t, w, `{"rooms":[{"id":"old"}]}`, time.Minute)
	if body, age, from := ask("/v1/rooms"); body != `{"rooms":[{"id":"old"}]}` || age == "" || from != "kanvas; hit; detail=stale" {
		t.Errorf("%s, age %s, %s", body, age, from)
	}
	until(t, "the copy is renewed", func() bool { return strings.Contains(kept(t, w), "two") })
	if body, _, _ := ask("/v1/rooms"); body != `{"rooms":[{"id":"two"}]}` {
		t.Errorf("%s", body)
	}
	if n := o.calls.Load() - calls; n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestWhatIsNotEverybodysListIsTheServers(t *testing.T) {
	o := newOrigin(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"rooms":[]}`) })
	w := before(t, o)
	keep(t, w, `{"rooms":[{"id":"copy"}]}`, 0)
	for _, c := range [][]string{
		{"/v1/rooms", "Authorization", "Bearer x"}, {"/v1/rooms", "Cookie", "__session=x"}, {"/v1/rooms", "Origin", "https://app.example.com"},
		{"/v1/rooms?cursor=x"}, {"/v1/rooms?limit=10"}, {"/v1/rooms?min_revision=7"}, {"/v1/rooms?visibility=private"}, {"/v1/rooms?room=r"}, {"/v1/rooms?" + url.Values{"x": {"y"}}.Encode()},
	} {
		if status, _, body := get(t, w, c[0], c[1:]...); status != 200 || body != `{"rooms":[]}` {
			t.Errorf("%v: %d %s", c, status, body)
		}
	}
	if got := kept(t, w); !strings.Contains(got, "copy") {
		t.Errorf("the copy is another's answer: %s", got)
	}
}

func TestARefusedListIsNotKept(t *testing.T) {
	o := newOrigin(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(503)
		json.NewEncoder(w).Encode(map[string]string{"code": "read_only"})
	})
	w := before(t, o)
	if status, _, body := get(t, w, "/v1/rooms"); status != 503 || !strings.Contains(body, "read_only") {
		t.Errorf("%d %s", status, body)
	}
	// With a copy, a server in trouble isn't seen by strangers.
	keep(t, w, `{"rooms":[{"id":"old"}]}`, 30*time.Minute)
	for range 2 {
		if status, _, body := get(t, w, "/v1/rooms"); status != 200 || body != `{"rooms":[{"id":"old"}]}` {
			t.Errorf("%d %s", status, body)
		}
	}
	until(t, "the server was asked", func() bool { return o.calls.Load() >= 2 })
	if got := kept(t, w); !strings.Contains(got, "old") {
		t.Errorf("a refusal was kept: %s", got)
	}
}

// A room that turned private is not shown to the first stranger who comes after a quiet hour; what is no list is neither kept nor served.
func TestAnOldListIsForWhenTheServerIsAway(t *testing.T) {
	var answer atomic.Value
	answer.Store(`{"rooms":[{"id":"now"}]}`)
	o := newOrigin(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !strings.HasPrefix(answer.Load().(string), "{") {
			w.Header().Set("Content-Type", "text/html")
		}
		io.WriteString(w, answer.Load().(string))
	})
	w := before(t, o, edgetest.WithVar("ORIGIN_TIMEOUT", "20")) // a Worker of its own: it remembers failures for a moment
	keep(t, w, `{"rooms":[{"id":"private-by-now"}]}`, 10*time.Minute)
	if status, h, body := get(t, w, "/v1/rooms"); status != 200 || body != `{"rooms":[{"id":"now"}]}` || h.Get("Age") != "" {
		t.Errorf("%d %v %s", status, h, body)
	}
	until(t, "the copy is renewed", func() bool { return strings.Contains(kept(t, w), "now") })
	answer.Store("<html>a page of somebody between</html>")
	keep(t, w, `{"rooms":[{"id":"last"}]}`, 10*time.Minute)
	for range 2 {
		if status, h, body := get(t, w, "/v1/rooms"); status != 200 || body != `{"rooms":[{"id":"last"}]}` || h.Get("Age") == "" {
			t.Errorf("%d %v %s", status, h, body)
		}
	}
	if got := kept(t, w); !strings.Contains(got, "last") {
		t.Errorf("kept %s", got)
	}
}
