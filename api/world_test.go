package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/objects"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit"
	"github.com/infinite-kanvas/kanvas/infra/sqlite"
	"github.com/infinite-kanvas/kanvas/projections"
)

// patience bounds every wait of these tests; only failures reach it.
const patience = 30 * time.Second

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// world is a whole server: the real rooms over the embedded log, projections on SQLite, objects in a directory, the hub.
type world struct {
	t       testing.TB
	dir     string
	api     *API
	server  *httptest.Server
	cfg     Config
	rooms   *commands.Dispatcher
	kv      *jetstream.KV
	assets  *commands.Assets
	uploads *commands.Uploads
	parts   uploadParts
	budgets *commands.Budgets
	log     *jetstream.Store
	sealer  *commands.Sealer
	runner  *projections.Runner
	store   *sqlite.Store
	logs    *logBuffer
	stop    context.CancelFunc // of the projections
	clock   *movingClock
}

// movingClock is the system's clock and what a test adds to it.
type movingClock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *movingClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *movingClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// logBuffer holds what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var testSecret = []byte("a secret of 32 bytes, at least!!")

// testPage stands for the built page: what is tested is how files are served, not what is in them.
var testPage = fstest.MapFS{
	"index.html": {Data: []byte("<!doctype html><title>Kanvas</title>")}, "favicon.svg": {Data: []byte("<svg/>")},
	"assets/index-abc123.js": {Data: []byte("export {}")}, "source.sha256": {Data: []byte("x")},
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	reg := prometheus.NewRegistry()
	w := &world{t: t, dir: dir, logs: &logBuffer{}, clock: &movingClock{}}
	logger := slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log, err := jetstream.Open(soon(t), jetstream.Config{Dir: dir + "/log", Logger: logger, MinFree: 1})
	must(err)
	t.Cleanup(func() { must(log.Close(context.Background())) })
	master, err := jetstream.LoadMasterKey(dir + "/master.key")
	must(err)
	keys, err := log.OpenKeys(soon(t), master)
	must(err)
	w.kv, err = log.OpenKV(soon(t))
	must(err)
	shelf, err := objects.OpenDir(dir+"/objects", nil)
	must(err)
	w.store, err = sqlite.Open(soon(t), sqlite.Options{Dir: dir})
	must(err)
	t.Cleanup(func() { must(w.store.Close()) })
	w.rooms = commands.NewDispatcher(commands.Config{Log: log, Objects: shelf, Logger: logger, Metrics: reg})
	t.Cleanup(func() { must(w.rooms.Close(context.Background())) })
	sealer, streams := commands.NewSealer(keys), commands.NewStreams(log, nil)
	people := commands.NewPeople(streams, sealer, logger)
	w.assets = commands.NewAssets(streams, shelf)
	intake, err := objects.NewIntake(shelf)
	must(err)
	ledger, err := log.OpenLedger(soon(t))
	must(err)
	now := func() int64 { return w.clock.now().UnixMilli() }
	w.parts = uploadParts{log: log, objects: shelf, intake: intake, ledger: ledger, clock: now}
	w.uploads = w.parts.open(testQuota)
	purse, err := log.OpenBudgets(soon(t))
	must(err)
	w.budgets = commands.NewBudgets(commands.BudgetConfig{Ledger: purse, Limits: testBudgets, Prices: commands.DefaultPrices(), Streams: commands.NewStreams(log, now), Clock: now,
		CallOf: func(ctx context.Context, job string) (events.SpendingRecordedData, bool, error) {
			d, err := w.store.CallOfJob(ctx, job)
			if errors.Is(err, projections.ErrNotFound) {
				return d, false, nil
			}
			return d, err == nil, err
		}})
	runner := projections.NewRunner(projections.Config{Source: log, Streams: log, Store: w.store, Canvases: w.rooms, Unsealer: people, Blobs: shelf, Logger: logger})
	caches := projections.NewCaches(projections.CacheConfig{KV: w.kv, Queries: w.store, Logger: logger})
	w.log, w.sealer, w.runner = log, sealer, runner
	w.project(runner, caches)
	tokens, err := auth.NewTokens(testSecret, w.clock.now)
	must(err)
	capabilities, err := auth.NewCapabilities(testSecret)
	must(err)
	signer, err := auth.NewUploadSigner(testSecret)
	must(err)
	sites, err := auth.NewSites([]string{"https://app.example.com"}, nil, "", true)
	must(err)
	w.cfg = Config{
		Rooms: w.rooms, Users: people, Preparer: commands.NewPreparer(commands.PrepareConfig{Rooms: w.rooms, Sealer: sealer, People: people, Assets: w.assets}),
		Queries: w.store, Progress: runner, Objects: shelf, Pictures: w.assets, Uploads: w.uploads, Receiver: intake, UploadSigner: signer, Canvases: caches, Auth: auth.NewAuthenticator(tokens), Capabilities: capabilities, Sites: sites,
		Quota: w.quota(), Budgets: w.budgets, Durability: log.Durability(), Logger: logger, Gatherer: reg, Registerer: reg, Web: fs.FS(testPage), Clock: w.clock.now,
	}
	limits, err := ratelimit.OpenJetStream(soon(t), log.JetStream(), log.Replicas(), w.clock.now)
	must(err)
	w.cfg.Limiter, err = ratelimit.New(ratelimit.Config{Store: limits, Name: "jetstream", Timeout: patience, Now: w.clock.now, Registerer: reg, Logger: logger})
	must(err)
	w.cfg.Claims = commands.NewClaims(people, w.rooms, func(ctx context.Context, user string, yield func(string) bool) error {
		if err := runner.WaitHead(ctx); err != nil {
			return err
		}
		rows, _, err := w.store.RoomsOf(ctx, user, "", 1000)
		for i := range rows {
			if err != nil || !yield(rows[i].ID) {
				break
			}
		}
		return err
	})
	w.cfg.Hub = newTestHub(t, w.cfg)
	for _, f := range change {
		f(&w.cfg)
	}
	w.api, err = New(w.cfg)
	must(err)
	w.server = httptest.NewUnstartedServer(nil)
	w.server.Config = Server(w.api)
	w.server.Start()
	t.Cleanup(func() {
		w.api.Drain()
		w.server.Close()
	})
	return w
}

// project runs the projections until the test ends or stopProjections.
func (w *world) project(r *projections.Runner, caches *projections.Caches) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{r.Run, caches.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				w.t.Errorf("projections: %v", err)
			}
		})
	}
	w.stop = func() { cancel(); running.Wait() }
	w.t.Cleanup(w.stop)
}

// cached waits until the cache holds a value.
func (w *world) cached(key, want string) {
	w.t.Helper()
	ctx := soon(w.t)
	for {
		got, ok, err := w.kv.Get(ctx, key)
		if err != nil {
			w.t.Fatalf("%s: %v, and before it %q %v", key, err, got, ok)
		}
		if ok && string(got) == want {
			return
		}
	}
}

// answer is what came back.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// call makes a request. body may be nil, a string (sent as it is) or anything that is marshalled; headers are pairs.
func (w *world) call(method, path, token string, body any, headers ...string) *answer {
	w.t.Helper()
	res := w.open(method, path, token, body, headers...)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return &answer{w.t, res.StatusCode, res.Header, b}
}

// open is call for answers that do not end.
func (w *world) open(method, path, token string, body any, headers ...string) *http.Response {
	w.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(soon(w.t), method, w.server.URL+path, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	if reader != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		switch headers[i] {
		case "Host":
			req.Host = headers[i+1]
		default:
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: w.server.Client().Transport}
	res, err := client.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res
}

// ok wants a status and returns the answer.
func (a *answer) ok(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, not %d: %s", a.status, status, a.body)
	}
	return a
}

// refused wants problem details with a status and code.
func (a *answer) refused(status int, code string) *answer {
	a.t.Helper()
	p := a.json()
	if a.status != status || p["code"] != code || a.header.Get("Content-Type") != "application/problem+json" {
		a.t.Fatalf("status %d, code %v (%s), not %d %s: %s", a.status, p["code"], a.header.Get("Content-Type"), status, code, a.body)
	}
	if p["status"] != float64(status) || p["title"] == "" || p["type"] == "" {
		a.t.Fatalf("problem details are not whole: %s", a.body)
	}
	return a
}

func (a *answer) json() map[string]any {
	a.t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.body, &m); err != nil {
		a.t.Fatalf("no JSON object (status %d): %q", a.status, a.body)
	}
	return m
}

func (a *answer) str(name string) string {
	a.t.Helper()
	s, ok := a.json()[name].(string)
	if !ok {
		a.t.Fatalf("%s is no string: %s", name, a.body)
	}
	return s
}

func (a *answer) num(name string) uint64 {
	a.t.Helper()
	f, ok := a.json()[name].(float64)
	if !ok {
		a.t.Fatalf("%s is no number: %s", name, a.body)
	}
	return uint64(f)
}

func (a *answer) list(name string) []any {
	a.t.Helper()
	l, ok := a.json()[name].([]any)
	if !ok {
		a.t.Fatalf("%s is no list: %s", name, a.body)
	}
	return l
}

// person is somebody with a token.
type person struct{ id, token string }

func (w *world) guest(name string) person {
	w.t.Helper()
	a := w.call("POST", "/v1/guests", "", map[string]any{"name": name}).ok(201)
	return person{a.json()["user"].(map[string]any)["id"].(string), a.str("token")}
}

// room makes a room of p's and returns its address below /v1/rooms.
func (w *world) room(p person, id, visibility string) string {
	w.t.Helper()
	w.call("POST", "/v1/rooms", p.token, map[string]any{"id": id, "name": "Room " + id, "visibility": visibility}).ok(201)
	return "/v1/rooms/" + id
}

type cmd = map[string]any

func commandsBody(list ...cmd) cmd { return cmd{"commands": list} }

func addText(id, text string) cmd {
	return cmd{"command": "element.add", "data": cmd{"element": cmd{"id": id, "type": "text", "text": text}}}
}
