package edge_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
)

// origin is a server behind a Worker that counts what reaches it. Kanvas itself stands there in the tests of the root package.
type origin struct {
	h     http.HandlerFunc
	calls atomic.Int64
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.calls.Add(1)
	o.h(w, r)
}

func newOrigin(h http.HandlerFunc) *origin { return &origin{h: h} }

// before gives a Worker in front of the origin, shared where it needs no settings of its own.
func before(t *testing.T, o *origin, opts ...edgetest.Option) *edgetest.Worker {
	t.Helper()
	if len(opts) == 0 {
		w := edgetest.Shared(t)
		w.Serve(t, o)
		return w
	}
	s := httptest.NewServer(o)
	t.Cleanup(s.Close)
	return edgetest.Start(t, append(opts, edgetest.WithVar("ORIGIN", s.URL), edgetest.WithoutMigrations())...)
}

// seen is what echo saw.
type seen struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Add("Set-Cookie", "a=1")
	w.Header().Add("Set-Cookie", "b=2")
	w.Header().Set("ETag", `"7"`)
	w.WriteHeader(http.StatusAccepted)
	json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Host, string(body), r.Header})
}

func TestTheRestIsPassedToTheServer(t *testing.T) {
	o := newOrigin(echo)
	w := before(t, o)
	none := ""
	for _, r := range []request{
		{method: "GET", path: "/"}, {method: "GET", path: "/r/room-1?a=b%20c&d=%2F"}, {method: "HEAD", path: "/healthz"}, {method: "GET", path: "/openapi.json"},
		{method: "POST", path: "/v1/guests", body: `{"name":"Änn"}`}, {method: "PATCH", path: "/v1/rooms/r", body: "{}"}, {method: "PUT", path: "/v1/rooms/r/participants/u", body: "{}"},
		{method: "DELETE", path: "/v1/rooms/r"}, {method: "OPTIONS", path: "/v1/rooms/r"}, {method: "POST", path: "/parties/main/r", body: "x"}, {method: "POST", path: "/party/r", body: "x"},
		{method: "POST", path: "/api/fal", body: strings.Repeat("x", 3<<20)}, {method: "GET", path: "/assets/index-abc.js"}, {method: "GET", path: "/favicon.svg"},
		{method: "GET", path: "/v1/rooms/..%2f..%2fmetrics"}, {method: "GET", path: "/v1/assets/x"}, {method: "GET", path: "/v1/rooms?cursor=x"},
	} {
		r.secret, r.header = &none, http.Header{"Authorization": {"Bearer user"}, "If-Match": {`"7"`}, "Idempotency-Key": {"k"}, "Cookie": {"__session=s"}, "Origin": {"https://app.example.com"}}
		status, h, body := call(t, w, r)
		if status != 202 || len(h.Values("Set-Cookie")) != 2 || h.Get("ETag") != `"7"` || h.Get("X-Request-Id") == "" {
			t.Errorf("%s %s: %d %v", r.method, r.path, status, h)
		}
		if r.method == "HEAD" {
			continue
		}
		var s seen
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatalf("%s %s: %v in %.200s", r.method, r.path, err, body)
		}
		if s.Method != r.method || s.URI != r.path || s.Body != r.body || s.Host != strings.TrimPrefix(w.Origin(), "http://") {
			t.Errorf("%s %s: arrived as %s %s, %d bytes, at %s", r.method, r.path, s.Method, s.URI, len(s.Body), s.Host)
		}
		for name, want := range r.header {
			if got := s.Header.Get(name); got != want[0] {
				t.Errorf("%s %s: %s arrived as %q", r.method, r.path, name, got)
			}
		}
	}
}

func TestNothingElseIsReachable(t *testing.T) {
	o := newOrigin(echo)
	w := before(t, o)
	for _, path := range []string{
		"/metrics", "/readyz", "/metrics/", "/debug/pprof/", "/.env", "/v1", "/v2/rooms", "/client/v5/x", "/index.html", "/V1/rooms", "//v1/rooms", "/v1/../metrics", "/v1/%2e%2e/metrics", "/r",
		"/cdn-cgi/x", "/robots.txt",
	} {
		status, h, body := get(t, w, path)
		if status != 404 || !strings.Contains(body, "not_found") || h.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if n := o.calls.Load(); n != 0 {
		t.Errorf("%d of them reached the server", n)
	}
}

func TestTheServerLearnsWhoAsksFromTheWorkerAlone(t *testing.T) {
	o := newOrigin(echo)
	w := before(t, o)
	ask := func(headers ...string) http.Header {
		_, _, body := get(t, w, "/v1/me", headers...)
		var s seen
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
		return s.Header
	}
	h := ask("CF-Connecting-IP", "203.0.113.7", "X-Forwarded-For", "1.1.1.1", "Kanvas-Edge", "forged", "Kanvas-Accept-Object", "1", "X-Real-IP", "1.1.1.1", "Forwarded", "for=1.1.1.1", "True-Client-IP", "1.1.1.1", "X-Forwarded-Host", "evil.test")
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = h
	e := signer(t, w.Secret)
	if !e.Sent(r) || e.AddsObject(r) || e.Client(r, nil).String() != "203.0.113.7" {
		t.Errorf("the server doesn't know the Worker: %v", h)
	}
	for name, values := range h {
		if strings.Contains(strings.Join(values, " "), "1.1.1.1") || strings.Contains(strings.Join(values, " "), "evil") || strings.Contains(strings.Join(values, " "), w.Secret) {
			t.Errorf("%s: %q went through", name, values)
		}
	}
	if h := ask("X-Forwarded-For", "1.1.1.1"); h.Get("X-Forwarded-For") != "" && strings.Contains(h.Get("X-Forwarded-For"), "1.1.1.1") {
		t.Errorf("a client says who it is: %v", h)
	}
}

func TestRequestIds(t *testing.T) {
	o := newOrigin(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Arrived", r.Header.Get("X-Request-Id")) })
	w := before(t, o)
	for name, c := range map[string]struct{ given, ray, want string }{
		"the client's":  {"abc-1.2_3", "ray-FRA", "abc-1.2_3"},
		"Cloudflare's":  {"", "8f1c2d3e4f5a6b7c-FRA", "8f1c2d3e4f5a6b7c-FRA"},
		"a harmful one": {"a b\"c", "8f1c2d3e4f5a6b7c-FRA", "8f1c2d3e4f5a6b7c-FRA"},
		"one too long":  {strings.Repeat("x", 65), "8f1c2d3e4f5a6b7c-FRA", "8f1c2d3e4f5a6b7c-FRA"},
		"none":          {"", "", ""},
	} {
		headers := []string{}
		if c.given != "" {
			headers = append(headers, "X-Request-Id", c.given)
		}
		if c.ray != "" {
			headers = append(headers, "CF-Ray", c.ray)
		}
		_, h, _ := get(t, w, "/v1/me", headers...)
		got := h.Get("X-Request-Id")
		if got == "" || got != h.Get("Arrived") || (c.want != "" && got != c.want) {
			t.Errorf("%s: answered %q, arrived %q", name, got, h.Get("Arrived"))
		}
	}
}

func TestAnAnswerIsPassedAsItComes(t *testing.T) {
	more := make(chan struct{})
	o := newOrigin(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/redirect":
			http.Redirect(w, r, "https://elsewhere.example.com/x", http.StatusFound)
		case "/v1/problem":
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusTooManyRequests)
			io.WriteString(w, `{"code":"rate_limited"}`)
		case "/v1/stream":
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "id: 1\n\n")
			w.(http.Flusher).Flush()
			<-more
			io.WriteString(w, "id: 2\n\n")
		}
	})
	w := before(t, o)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(w.URL + "/v1/redirect")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 302 || res.Header.Get("Location") != "https://elsewhere.example.com/x" {
		t.Errorf("redirect: %d %s", res.StatusCode, res.Header.Get("Location"))
	}
	if status, h, body := get(t, w, "/v1/problem"); status != 429 || body != `{"code":"rate_limited"}` || h.Get("Content-Type") != "application/problem+json" {
		t.Errorf("problem: %d %s", status, body)
	}
	if res, err = client.Get(w.URL + "/v1/stream"); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 7)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "id: 1\n\n" {
		t.Errorf("first event: %q %v", first, err)
	}
	close(more) // the second is made only after the first has arrived
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "id: 2\n\n" {
		t.Errorf("second event: %q %v", rest, err)
	}
}

func TestAServerThatIsAway(t *testing.T) {
	with := func(origin string) *edgetest.Worker {
		return edgetest.Start(t, edgetest.WithVar("ORIGIN", origin), edgetest.WithoutMigrations())
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, c := range map[string]struct {
		w      *edgetest.Worker
		status int
	}{"not there": {with(gone.URL), 502}, "hangs up": {edgetest.Shared(t), 502}, "not set": {with(""), 503}, "no address": {with("file:///etc/passwd"), 503}} {
		t.Run(name, func(t *testing.T) {
			w := c.w
			for _, r := range []request{{method: "GET", path: "/"}, {method: "GET", path: "/v1/rooms"}, {method: "GET", path: "/v1/assets/x"}, {method: "POST", path: "/v1/guests", body: "{}"},
				{method: "GET", path: "/parties/main/r", header: http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}}} {
				none := ""
				r.secret = &none
				status, h, body := call(t, w, r)
				if status != c.status || !strings.Contains(body, `"code":"upstream_failed"`) || h.Get("Retry-After") == "" || h.Get("X-Request-Id") == "" || h.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s %s: %d %v %s", r.method, r.path, status, h, body)
				}
			}
		})
	}
}

func TestAServerThatIsSlow(t *testing.T) {
	end := make(chan struct{})
	o := newOrigin(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/slow-body" {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
		}
		select {
		case <-end:
			io.WriteString(w, "at last")
		case <-r.Context().Done():
		}
	})
	w := before(t, o, edgetest.WithVar("ORIGIN_TIMEOUT", "0.2"))
	for _, method := range []string{"GET", "POST"} {
		none := ""
		status, _, body := call(t, w, request{method: method, path: "/v1/slow", body: strings.Repeat("x", len(method)-3), secret: &none})
		if status != 504 || !strings.Contains(body, "upstream_failed") {
			t.Errorf("%s: %d %s", method, status, body)
		}
	}
	// Once it has begun it may take its time.
	answered := make(chan string, 1)
	go func() {
		_, _, body := get(t, w, "/v1/slow-body")
		answered <- body
	}()
	for range 3 {
		if status, _, _ := get(t, w, "/v1/slow"); status != 504 { // each takes longer than a slow beginning may
			t.Errorf("%d", status)
		}
	}
	close(end)
	if body := <-answered; body != "at last" {
		t.Errorf("%q", body)
	}
}

func TestACloudflarePageIsNoAnswer(t *testing.T) {
	o := newOrigin(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(521)
		fmt.Fprint(w, "<html>error code: 521</html>")
	})
	w := before(t, o)
	if status, _, body := get(t, w, "/v1/me"); status != 502 || !strings.Contains(body, "upstream_failed") {
		t.Errorf("%d %s", status, body)
	}
}
