package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/fal"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
	"github.com/infinite-kanvas/kanvas/infra/nodetest"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit/upstashtest"
)

const (
	falRun    = "https://fal.run/fal-ai/flux-kontext-lora"
	falQueue  = "https://queue.fal.run/fal-ai/flux-kontext-lora"
	falPrompt = `{"prompt":"a cat"}`
)

// withFal has a server call the stand-in with key.
func withFal(t *testing.T, s *faltest.Server, key string) func(*Config) {
	return func(c *Config) {
		p, err := fal.New(fal.Config{Key: key, Models: fal.Models{"fal-ai/flux-kontext-lora"}, Logger: c.Logger, Dial: s.Dial, TLS: s.TLS})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		c.Fal = p
	}
}

// falWorld is a server whose people may make many calls; what it logs must never hold the key.
func falWorld(t *testing.T, change ...func(*Config)) (*world, *faltest.Server) {
	t.Helper()
	s := faltest.Start(t)
	w := newWorld(t, append([]func(*Config){withFal(t, s, faltest.Key)}, change...)...)
	t.Cleanup(func() {
		for _, key := range []string{faltest.Key, faltest.OwnKey} {
			_, secret, _ := strings.Cut(key, ":")
			if strings.Contains(w.logs.String(), secret) {
				t.Error("a key is in the log")
			}
		}
	})
	return w, s
}

// many are limits that no test reaches.
func many(c *Config) {
	c.FalLimits = []commands.Window{{Max: 1000, Per: time.Minute}}
}

func (w *world) fal(method, target, token string, body any, headers ...string) *answer {
	w.t.Helper()
	return w.call(method, "/api/fal", token, body, append([]string{"X-Fal-Target-Url", target}, headers...)...)
}

// falClient is the real @fal-ai/client in a process of its own.
type falClient struct {
	t    *testing.T
	node *nodetest.Script
}

func startFalClient(t *testing.T, w *world) *falClient {
	t.Helper()
	env := append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FAL_") }), "KANVAS_URL="+w.server.URL)
	return &falClient{t, nodetest.Start(t, "falclient", "client.mjs", "@fal-ai/client", env)}
}

// falSaid is a line of the client's.
type falSaid struct {
	Event map[string]any `json:"event"`
	OK    map[string]any `json:"ok"`
	Error *struct {
		Status  int            `json:"status"`
		Message string         `json:"message"`
		Body    map[string]any `json:"body"`
	} `json:"error"`
}

func (f *falClient) ask(question cmd) {
	f.t.Helper()
	if err := json.NewEncoder(f.node.In).Encode(question); err != nil {
		f.t.Fatal(err)
	}
}

func (f *falClient) said() (s falSaid) {
	f.t.Helper()
	if !f.node.Out.Scan() {
		f.t.Fatalf("the client has ended: %v", f.node.Out.Err())
	}
	if err := json.Unmarshal(f.node.Out.Bytes(), &s); err != nil {
		f.t.Fatalf("%s: %v", f.node.Out.Bytes(), err)
	}
	return s
}

func (f *falClient) ok(question cmd) map[string]any {
	f.t.Helper()
	f.ask(question)
	s := f.said()
	if s.Error != nil || s.OK == nil {
		f.t.Fatalf("%v: %+v", question, s.Error)
	}
	return s.OK
}

// TestFalClient: what the front end does, by its own client.
func TestFalClient(t *testing.T) {
	w, s := falWorld(t, many)
	f := startFalClient(t, w)
	input := cmd{"prompt": "a cat"}
	const model = "fal-ai/flux-kontext-lora"

	if got := f.ok(cmd{"call": "run", "model": model + "/text-to-image", "input": input}); got["prompt"] != "a cat" {
		t.Errorf("run: %v", got)
	}
	for _, mode := range []string{"polling", "streaming"} {
		got := f.ok(cmd{"call": "subscribe", "model": model, "input": input, "mode": mode})
		if got["data"].(map[string]any)["prompt"] != "a cat" || fmt.Sprint(got["seen"]) != "[IN_QUEUE IN_PROGRESS COMPLETED]" {
			t.Errorf("subscribe by %s: %v", mode, got)
		}
	}
	if got := f.ok(cmd{"call": "queue", "model": model, "input": input}); got["status"] != "IN_QUEUE" || got["after"] != "COMPLETED" {
		t.Errorf("queue: %v", got)
	}
	if last := s.Requests(); last[len(last)-4].Header.Get("X-Fal-Queue-Priority") != "low" || last[len(last)-4].Header.Get("X-Fal-Runner-Hint") != "gpu-1" {
		t.Errorf("headers of the submission: %v", last[len(last)-4].Header)
	}
	if got := f.ok(cmd{"call": "upload", "text": "words in a file"}); s.File(got["url"].(string)) != "words in a file" {
		t.Errorf("upload: %v", got)
	}
	// Each event is sent on when it comes: fal.ai sends the next when the client has seen the one before.
	f.ask(cmd{"call": "stream", "model": model, "input": input})
	for i := range 3 {
		s.Next()
		if got := f.said(); got.Event["progress"] != float64(i) {
			t.Fatalf("event %d: %+v", i, got)
		}
	}
	if got := f.said(); len(got.OK["events"].([]any)) != 3 {
		t.Errorf("stream: %+v", got)
	}
	// fal.ai's own refusals come through as they are.
	f.ask(cmd{"call": "run", "model": model, "input": cmd{}})
	if got := f.said(); got.Error == nil || got.Error.Status != 422 || !strings.Contains(fmt.Sprint(got.Error.Body), "field required") {
		t.Errorf("bad input: %+v", got.Error)
	}
	f.ask(cmd{"call": "run", "model": "fal-ai/other", "input": input})
	if got := f.said(); got.Error == nil || got.Error.Status != 403 {
		t.Errorf("another model: %+v", got.Error)
	}
	if got := f.ok(cmd{"call": "run", "model": "fal-ai/other", "input": input, "key": faltest.OwnKey}); got["prompt"] != "a cat" {
		t.Errorf("another model with the own key: %v", got)
	}
	for _, r := range s.Requests() {
		if key := r.Header.Get("Authorization"); (key == "Key "+faltest.OwnKey) != strings.Contains(r.URL, "fal-ai/other") {
			t.Errorf("%s was called with another key than it should", r.URL)
		}
	}
}

// TestFalClientIsLimited: the client gets what front ends look for.
func TestFalClientIsLimited(t *testing.T) {
	w, _ := falWorld(t, func(c *Config) { c.FalLimits = []commands.Window{{Max: 1, Per: 24 * time.Hour}} })
	f := startFalClient(t, w)
	question := cmd{"call": "run", "model": "fal-ai/flux-kontext-lora", "input": cmd{"prompt": "x"}}
	f.ok(question)
	f.ask(question)
	if got := f.said(); got.Error == nil || got.Error.Status != 429 {
		t.Errorf("%+v", got.Error)
	}
	question["key"] = faltest.OwnKey
	f.ok(question)
	question["key"] = "not a key"
	f.ask(question)
	if got := f.said(); got.Error == nil || got.Error.Status != 401 {
		t.Errorf("%+v", got.Error)
	}
}

// limited checks the answer of a call over a limit.
func (a *answer) falLimited(limit, period string) {
	a.t.Helper()
	h := a.ok(429).header
	retry, err := strconv.Atoi(h.Get("Retry-After"))
	if h.Get("X-RateLimit-Limit") != limit || h.Get("X-RateLimit-Period") != period || h.Get("X-RateLimit-Remaining") != "0" || err != nil || retry < 1 ||
		!strings.HasPrefix(h.Get("Content-Type"), "text/plain") || !strings.Contains(string(a.body), "Rate limit exceeded") {
		a.t.Errorf("%v: %s", h, a.body)
	}
}

// TestFalLimits: 5 a minute, whoever one says to be and by whatever method; 15 an hour and 50 a day.
func TestFalLimits(t *testing.T) {
	w, s := falWorld(t, func(c *Config) { c.RateLimits = false }) // limits that spend stay on
	w.clock.advance(time.Until(time.Now().Truncate(24 * time.Hour).Add(24*time.Hour + time.Second)))
	guest := w.guest("ann")
	methods := []string{"POST", "GET", "PUT", "PATCH", "DELETE"}
	for i, method := range methods {
		var body any
		if method != "GET" {
			body = falPrompt
		}
		a := w.fal(method, falRun, []string{"", guest.token}[i%2], body, "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i), "CF-Connecting-IP", "198.51.100.7")
		if left := a.header.Get(headerRemaining); a.status == 429 || left != strconv.Itoa(4-i) || a.header.Get(headerLimit) != "5" {
			t.Errorf("%s: %d, %q left: %s", method, a.status, left, a.body)
		}
	}
	before := len(s.Requests())
	for _, token := range []string{"", guest.token, w.guest("another").token} {
		w.fal("POST", falRun, token, falPrompt, "X-Forwarded-For", "203.0.113.9").falLimited("5", "perMinute")
	}
	w.fal("POST", falQueue, "", falPrompt).falLimited("5", "perMinute")
	if len(s.Requests()) != before {
		t.Error("fal.ai was called")
	}
	// A person who signed in counts apart, wherever it is.
	signed := w.signed(t, "user_clerk")
	for range 5 {
		w.fal("POST", falRun, signed, falPrompt).ok(200)
	}
	w.fal("POST", falRun, signed, falPrompt).falLimited("5", "perMinute")
	// What is free is not counted, and the own key never.
	w.fal("GET", falQueue+"/requests/x/status", "", nil).ok(404)
	w.fal("GET", "https://v3.fal.media/files/x", "", nil).ok(404)
	w.fal("POST", falRun, "", falPrompt, "Authorization", "Key "+faltest.OwnKey).ok(200)
	// The hour and the day.
	made := 5
	for _, stop := range []struct {
		limit, period string
		total         int
	}{{"15", "perHour", 15}, {"50", "perDay", 50}} {
		for made < stop.total {
			w.clock.advance(2 * time.Minute)
			if stop.total == 50 {
				w.clock.advance(15 * time.Minute)
			}
			if w.fal("POST", falRun, "", falPrompt).status == 200 {
				made++
			}
		}
		w.clock.advance(3 * time.Minute)
		if stop.total == 50 {
			w.clock.advance(2 * time.Hour)
		}
		w.fal("POST", falRun, "", falPrompt).falLimited(stop.limit, stop.period)
	}
}

// signed is the token of somebody who is no guest.
func (w *world) signed(t *testing.T, user string) string {
	t.Helper()
	token, _, err := w.cfg.Auth.Tokens().Sign(user, "local", time.Hour*1000)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestFalCountsAddresses: behind a proxy that is configured, the address it names; an IPv6 customer is one.
func TestFalCountsAddresses(t *testing.T) {
	w, _ := falWorld(t, func(c *Config) {
		c.Proxies = auth.Proxies{netip.MustParsePrefix("127.0.0.0/8")}
		c.FalLimits = []commands.Window{{Max: 1, Per: 24 * time.Hour}}
	})
	for _, c := range []struct {
		forwarded string
		passes    bool
	}{
		{"198.51.100.1", true}, {"198.51.100.1", false}, {"203.0.113.5, 198.51.100.1", false}, {"198.51.100.2", true},
		{"2001:db8:1:2::1", true}, {"2001:db8:1:2:ffff::9", false}, {"2001:db8:1:3::1", true},
	} {
		if a := w.fal("POST", falRun, "", falPrompt, "X-Forwarded-For", c.forwarded); (a.status == 200) != c.passes {
			t.Errorf("%s: %d", c.forwarded, a.status)
		}
	}
}

// TestFalLimitIsExact: 100 calls at once of one person over two servers on one store: five are made.
func TestFalLimitIsExact(t *testing.T) {
	store := upstashtest.Start(t)
	s := faltest.Start(t)
	var worlds []*world
	for range 2 {
		worlds = append(worlds, newWorld(t, withFal(t, s, faltest.Key), countIn(t, store), func(c *Config) { c.FalLimits = []commands.Window{{Max: 5, Per: 24 * time.Hour}} }))
	}
	token := worlds[0].signed(t, "ann")
	var made, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			switch a := worlds[i%2].fal("POST", falRun, token, falPrompt); a.status {
			case 200:
				made.Add(1)
			case 429:
				refused.Add(1)
			default:
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if made.Load() != 5 || made.Load()+refused.Load() != 100 || len(s.Requests()) != 5 {
		t.Errorf("%d made, %d refused, %d arrived", made.Load(), refused.Load(), len(s.Requests()))
	}
}

// TestFalBudget: of everybody together; who is refused by it loses nothing of its own.
func TestFalBudget(t *testing.T) {
	w, s := falWorld(t, many, func(c *Config) { c.FalBudget = 3 })
	for i := range 3 {
		w.fal("POST", falRun, w.signed(t, fmt.Sprintf("user%d", i)), falPrompt).ok(200)
	}
	for i := range 3 {
		a := w.fal("POST", falRun, w.signed(t, fmt.Sprintf("user%d", i)), falPrompt)
		if a.falLimited("3", "perDay"); !strings.Contains(string(a.body), "everybody") {
			t.Errorf("%s", a.body)
		}
	}
	w.fal("POST", falRun, "", falPrompt, "Authorization", "Key "+faltest.OwnKey).ok(200)
	if n := len(s.Requests()); n != 4 {
		t.Errorf("%d calls arrived", n)
	}
	got, err := w.cfg.Limiter.Take(soon(t), w.api.falLimits.person, commands.Caller{ID: "user0"}, 0)
	if err != nil || got.Remaining != 999 {
		t.Errorf("%+v %v", got, err)
	}
}

// TestFalFiles: uploads and files have limits of their own, as they cost room and bandwidth.
func TestFalFiles(t *testing.T) {
	w, s := falWorld(t, func(c *Config) { c.RateLimits = true })
	w.clock.advance(time.Until(time.Now().Truncate(24 * time.Hour).Add(24*time.Hour + time.Second)))
	for i := range 15 {
		w.fal("POST", "https://rest.fal.ai/storage/upload/initiate", "", cmd{"file_name": "a.png", "content_type": "image/png"}).ok(200)
		w.fal("PUT", fmt.Sprintf("https://v3.fal.media/files/%d", i), "", "bytes").ok(405)
	}
	w.fal("PUT", "https://v3.fal.media/files/x", "", "bytes").falLimited("30", "perMinute")
	got := 0
	for range 100 {
		if w.fal("GET", "https://v3.fal.media/files/x", "", nil).status == 404 {
			got++
		}
	}
	if got < 60 || got == 100 {
		t.Errorf("%d files of 100", got)
	}
	w.fal("POST", falRun, "", falPrompt).ok(200) // apart from calls
	for _, r := range s.Requests() {
		if strings.Contains(r.URL, "fal.media") && r.Header.Get("Authorization") != "" {
			t.Errorf("the key went along to %s", r.URL)
		}
	}
}

// TestFalStoreAway: what can't be counted is not paid for.
func TestFalStoreAway(t *testing.T) {
	store := upstashtest.Start(t)
	w, s := falWorld(t, countIn(t, store))
	store.Fault(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "boom", http.StatusInternalServerError) })
	for _, target := range []string{falRun, "https://rest.fal.ai/storage/upload/initiate"} {
		if a := w.fal("POST", target, "", falPrompt).refused(503, "upstream_failed"); a.header.Get("Retry-After") == "" {
			t.Errorf("%v", a.header)
		}
	}
	if len(s.Requests()) != 0 {
		t.Error("fal.ai was called")
	}
	w.fal("POST", falRun, "", falPrompt, "Authorization", "Key "+faltest.OwnKey).ok(200)
	w.fal("GET", falQueue+"/requests/x/status", "", nil).ok(404)
}

// TestFalWithoutKey: is said, and the own key works.
func TestFalWithoutKey(t *testing.T) {
	s := faltest.Start(t)
	w := newWorld(t, withFal(t, s, ""))
	if a := w.fal("POST", falRun, "", falPrompt).refused(401, "unauthenticated"); !strings.Contains(a.str("detail"), "FAL_KEY") {
		t.Errorf("%s", a.body)
	}
	w.fal("POST", falRun, "", falPrompt, "Authorization", "Key "+faltest.OwnKey).ok(200)
	newWorld(t).fal("POST", falRun, "", falPrompt).refused(401, "unauthenticated")
}

// TestFalKeys: only what looks like a key of fal.ai's skips the limits, and it is used, not the server's.
func TestFalKeys(t *testing.T) {
	w, s := falWorld(t, many)
	for _, bad := range []string{"Key", "Key ", "Key x", "Key a b", "Key " + strings.Repeat("x", 40), "Key abcdefgh:short", "key ../../:0123456789abcdef", "Key abcdefgh:0123456789abcdef\tx", "Key " + faltest.OwnKey + ":x",
		"Key abcdefgh:" + strings.Repeat("x", 129)} {
		w.fal("POST", falRun, "", falPrompt, "Authorization", bad).refused(401, "unauthenticated")
	}
	for _, bad := range []string{"Bearer x", "Basic eDp5", "x", faltest.OwnKey} {
		w.fal("POST", falRun, "", falPrompt, "Authorization", bad).refused(401, "unauthenticated")
	}
	if len(s.Requests()) != 0 {
		t.Error("fal.ai was called")
	}
	if a := w.fal("POST", falRun, "", falPrompt, "Authorization", "key "+faltest.OwnKey).ok(200); a.header.Get(headerLimit) != "" {
		t.Error("the own key is counted")
	}
	// A key that fal.ai does not know is its bearer's affair; the server's is not.
	w.fal("POST", falRun, "", falPrompt, "Authorization", "Key unknown-key:0123456789abcdef").ok(401)
	bad := newWorld(t, withFal(t, s, "revoked-key:0123456789abcdef"))
	bad.fal("POST", falRun, "", falPrompt).refused(502, "upstream_failed")
	if !strings.Contains(bad.logs.String(), "fal_key_refused") {
		t.Error("nobody is told that the server's key is no good")
	}
	w.call("GET", "/v1/me", "", nil, "Authorization", "Key "+faltest.OwnKey).refused(401, "unauthenticated") // nowhere else
}

// TestFalBadInput: is refused with a reason, before anything is counted or called.
func TestFalBadInput(t *testing.T) {
	w, s := falWorld(t, many)
	w.call("POST", "/api/fal", "", falPrompt).refused(400, "bad_request")
	for target, code := range map[string]string{
		"http://fal.run/fal-ai/flux-kontext-lora": "forbidden", "https://fal.run@evil.com/": "forbidden", "https://127.0.0.1/": "forbidden", "https://fal.run:8443/x/y": "forbidden",
		"https://fal.run/fal-ai/%2e%2e/x": "bad_request", "https://fal.run/fal-ai/other": "forbidden", falQueue + "?fal_webhook=https://evil.com": "forbidden", "https://rest.fal.ai/tokens/": "forbidden",
	} {
		if a := w.fal("POST", target, "", falPrompt); a.json()["code"] != code {
			t.Errorf("%s: %s", target, a.body)
		}
	}
	w.fal("POST", falRun, "", falPrompt, "Content-Encoding", "gzip").refused(415, "bad_request")
	w.fal("GET", falRun, "", falPrompt).refused(400, "bad_request")
	w.fal("POST", "https://rest.fal.ai/storage/upload/initiate", "", strings.Repeat("x", maxBody+1)).refused(413, "too_large")
	w.fal("POST", falRun, "", strings.Repeat("x", maxFalBody+1)).refused(413, "too_large")
	w.fal("POST", falRun, "", falPrompt, "Origin", "https://evil.com").refused(403, "forbidden")
	w.fal("POST", falRun, "", falPrompt, "Origin", "null").refused(403, "forbidden")
	w.call("POST", "/api/fal/", "", falPrompt).refused(404, "not_found")
	w.call("POST", "/api/fal/x", "", falPrompt).refused(404, "not_found")
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d calls arrived", n)
	}
	got, err := w.cfg.Limiter.Take(soon(t), w.api.falLimits.person, commands.Caller{ID: "127.0.0.1"}, 0)
	if err != nil || got.Remaining != 1000 {
		t.Errorf("counted: %+v %v", got, err)
	}
	// The page's own origin, and what it must be able to send and read.
	a := w.call("OPTIONS", "/api/fal", "", nil, "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST").ok(204)
	if !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "X-Fal-Target-Url") || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "X-RateLimit-Period") {
		t.Errorf("%v", a.header)
	}
	w.fal("POST", falRun, "", falPrompt, "Origin", "https://app.example.com").ok(200)
}

// TestFalBodyWithoutLength: is bounded as it is sent, and costs no more memory than is under way.
func TestFalBodyWithoutLength(t *testing.T) {
	w, _ := falWorld(t, many)
	send := func(n int64) int {
		req, err := http.NewRequestWithContext(soon(t), "POST", w.server.URL+"/api/fal", io.LimitReader(endless{}, n))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Fal-Target-Url", falRun)
		req.Header.Set("Content-Type", "application/json")
		res, err := w.server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if status := send(1 << 20); status != 422 { // fal.ai's word on a million spaces
		t.Errorf("1 MiB: %d", status)
	}
	if status := send(maxFalBody + 1); status != 413 {
		t.Errorf("too much: %d", status)
	}
}

// endless is blanks.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestFalSmuggling: requests that could be read in two ways are read in one or refused; no header of the caller's reaches fal.ai by another's name.
func TestFalSmuggling(t *testing.T) {
	w, s := falWorld(t, many)
	host := strings.TrimPrefix(w.server.URL, "http://")
	for name, lines := range map[string][]string{
		"two lengths":        {"Content-Length: 4", "Content-Length: 400"},
		"length and chunked": {"Content-Length: 4", "Transfer-Encoding: chunked"},
		"odd encoding":       {"Transfer-Encoding: xchunked"},
		"folded":             {"X-Fal-A: x", " Authorization: Key evil", "Content-Length: 0"},
		"blank in name":      {"X-Fal-Target-Url : https://evil.com", "Content-Length: 0"},
		"two targets":        {"X-Fal-Target-Url: https://fal.run/fal-ai/other", "Content-Length: 0"},
		"hop by hop":         {"Connection: X-Fal-Target-Url, Authorization", "Content-Length: 0"},
	} {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		head := append([]string{"POST /api/fal HTTP/1.1", "Host: " + host, "X-Fal-Target-Url: " + falRun, "Content-Type: application/json"}, lines...)
		fmt.Fprint(conn, strings.Join(head, "\r\n")+"\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if res.StatusCode < 400 {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
		conn.Close()
	}
	for _, r := range s.Requests() {
		if !strings.HasPrefix(r.URL, falRun) || r.Header.Get("Authorization") != "Key "+faltest.Key || len(r.Header.Values("Authorization")) != 1 {
			t.Errorf("%+v", r)
		}
	}
}

// TestFalCut: half an answer is never taken for all of it.
func TestFalCut(t *testing.T) {
	w, s := falWorld(t, many)
	s.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, `{"prompt":`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	res := w.open("POST", "/api/fal", "", falPrompt, "X-Fal-Target-Url", falRun)
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("ended well: %q", b)
	}
}

// books keeps account for a test.
type books struct {
	mu     sync.Mutex
	lines  []string
	refuse error
}

func (b *books) Reserve(_ context.Context, who commands.Payer, call commands.FalCall) (func(context.Context, commands.FalAnswer), error) {
	person := who.Person
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return nil, b.refuse
	}
	b.lines = append(b.lines, person+" reserves "+call.Model+" for "+string(call.Input))
	return func(ctx context.Context, answer commands.FalAnswer) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lines = append(b.lines, fmt.Sprint(person, " settles ", answer, " ", ctx.Err()))
	}, nil
}

func (b *books) Followed(_ context.Context, job string, answer commands.FalAnswer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, fmt.Sprint("followed ", job, " ", answer))
}

// TestFalSpending: every call that the server pays for is reserved before and settled after, once.
func TestFalSpending(t *testing.T) {
	account := &books{}
	w, s := falWorld(t, many, func(c *Config) { c.FalSpending = account })
	ann := w.signed(t, "ann")
	w.fal("POST", falRun, ann, falPrompt).ok(200)
	w.fal("POST", falRun, ann, "{}").ok(422)
	w.fal("GET", falQueue+"/requests/x/status", ann, nil)
	w.fal("POST", falRun, ann, falPrompt, "Authorization", "Key "+faltest.OwnKey)
	s.Fault(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
	w.fal("POST", falRun, ann, falPrompt).refused(502, "upstream_failed")
	account.mu.Lock()
	defer account.mu.Unlock()
	const reserves = "ann reserves fal-ai/flux-kontext-lora for "
	want := []string{reserves + falPrompt, "ann settles {200 0 false } <nil>", reserves + "{}", "ann settles {422 0 false } <nil>", reserves + falPrompt, "ann settles {0 0 false } <nil>"}
	if !slices.Equal(account.lines, want) {
		t.Errorf("%q", account.lines)
	}
	account.refuse = domain.Errorf(domain.CodeForbidden, "nothing left")
	account.mu.Unlock()
	w.fal("POST", falRun, ann, falPrompt).refused(403, "forbidden")
	account.mu.Lock()
}

// TestFalSpendingSees: whoever keeps account sees what decides about the price, or that it can't be seen; and what fal.ai billed.
func TestFalSpendingSees(t *testing.T) {
	account := &books{}
	w, s := falWorld(t, many, func(c *Config) { c.FalSpending = account })
	ann := w.signed(t, "ann")
	long := `{"prompt":"` + strings.Repeat("x", maxFalInput) + `"}`
	w.fal("POST", falRun, ann, long).ok(200)
	w.fal("POST", falRun+"?num_images=4", ann, falPrompt).ok(200)
	s.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("X-Fal-Billable-Units", "2.5")
		return false
	})
	w.fal("POST", falRun, "", falPrompt).ok(200)
	if got := s.Requests()[0].Body; got != long {
		t.Errorf("%d of %d bytes arrived", len(got), len(long))
	}
	account.mu.Lock()
	const blind = "ann reserves fal-ai/flux-kontext-lora for "
	want := []string{blind, "ann settles {200 0 false } <nil>", blind, "ann settles {200 0 false } <nil>",
		" reserves fal-ai/flux-kontext-lora for " + falPrompt, " settles {200 2.5 false } <nil>"}
	if !slices.Equal(account.lines, want) {
		t.Errorf("%.200q", account.lines)
	}
	account.refuse = domain.Errorf(domain.CodeRateLimited, "your budget is used up")
	account.mu.Unlock()
	a := w.fal("POST", falRun, ann, falPrompt)
	if a.status != 429 || !strings.Contains(string(a.body), "your budget is used up") || a.header.Get("X-RateLimit-Period") != "perMonth" {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
}
