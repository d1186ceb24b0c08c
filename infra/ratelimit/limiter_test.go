package ratelimit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit/upstashtest"
)

var (
	guests = commands.Limit{Action: "guests", Windows: []commands.Window{{Max: 3, Per: month}}}
	fal    = commands.Limit{Action: "fal", Windows: []commands.Window{{Max: 3, Per: month}}, Spends: true}
)

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(event string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), `"msg":"`+event+`"`)
}

func guarded(t *testing.T, store commands.Limiter, rest time.Duration) (*Limiter, *lines) {
	t.Helper()
	logs := &lines{}
	l, err := New(Config{Store: store, Name: "upstash", Rest: rest, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.NewJSONHandler(logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return l, logs
}

// TestStoreAway: whatever is wrong with the store, what spends is refused with an error, the rest is counted here; it is said once, counted, and the
// store is left alone.
func TestStoreAway(t *testing.T) {
	store := upstashtest.Start(t)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for name, fault := range map[string]http.HandlerFunc{
		"500": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "boom", 500) },
		"429": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(429)
			fmt.Fprint(w, `{"error":"ERR max daily request limit exceeded"}`)
		},
		"no JSON":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"no numbers": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"result":"OK"}`) },
		"too few":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"result":[1]}`) },
		"wrong token": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(401)
			fmt.Fprint(w, `{"error":"WRONGPASS"}`)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/", http.StatusTemporaryRedirect)
		},
		"cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"hangs": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, logs := guarded(t, openUpstash(t, store, UpstashConfig{}), time.Hour)
			who := commands.Caller{ID: "user-" + strings.ReplaceAll(name, " ", "-")}
			if got, err := l.Take(soon(t), fal, who, 1); err != nil || !got.OK {
				t.Fatalf("before: %+v %v", got, err)
			}
			store.Fault(fault)
			defer store.Fault(nil)
			for range 2 {
				got, err := l.Take(soon(t), fal, who, 1)
				if err == nil || got.OK {
					t.Fatalf("what spends passed: %+v", got)
				}
				if strings.Contains(err.Error(), upstashtest.Token) {
					t.Fatal("the token is in the error")
				}
			}
			for i := range 4 {
				if got, err := l.Take(soon(t), guests, who, 1); err != nil || got.OK != (i < 3) {
					t.Fatalf("guest %d: %+v %v", i, got, err)
				}
			}
			calls := store.Calls.Load()
			if _, err := l.Take(soon(t), fal, who, 1); err == nil {
				t.Fatal("passed")
			}
			if store.Calls.Load() != calls {
				t.Error("the store is asked again and again")
			}
			if l.Down() == nil {
				t.Error("said to be up")
			}
			if away := logs.count("limit_store_away"); away != 1 {
				t.Errorf("said %d times that it is away", away)
			}
			for labels, want := range map[[2]string]float64{{"guests", outcomeOpen}: 3, {"guests", outcomeRefused}: 1, {"fal", outcomePassed}: 1, {"fal", outcomeClosed}: 3} {
				if got := testutil.ToFloat64(l.total.WithLabelValues(labels[0], labels[1])); got != want {
					t.Errorf("%v: %v, not %v", labels, got, want)
				}
			}
		})
	}
}

// TestStoreBack: a store that answers again is used again, and counts on from where it was.
func TestStoreBack(t *testing.T) {
	store := upstashtest.Start(t)
	l, logs := guarded(t, openUpstash(t, store, UpstashConfig{}), time.Millisecond)
	who := commands.Caller{ID: "ann"}
	take := func() (commands.Taken, error) { return l.Take(soon(t), fal, who, 1) }
	if _, err := take(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		store.Fault(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "boom", 500) })
		for range 10 {
			if _, err := take(); err == nil {
				t.Fatal("passed")
			}
		}
		store.Fault(nil)
		ctx := soon(t)
		for got, err := take(); !got.OK && got.Window.Max == 0; got, err = take() { // until the breaker tries again
			if ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	if got, err := take(); err != nil || got.OK {
		t.Errorf("3 of 3 were counted, and %+v %v", got, err)
	}
	if l.Down() != nil {
		t.Error(l.Down())
	}
	if away, back := logs.count("limit_store_away"), logs.count("limit_store_back"); away != 3 || back != 3 {
		t.Errorf("said %d times that it is away and %d that it is back", away, back)
	}
}

// TestCallersThatLeaveAreNoFault: somebody's own deadline says nothing about the store.
func TestCallersThatLeaveAreNoFault(t *testing.T) {
	l, logs := guarded(t, openUpstash(t, upstashtest.Start(t), UpstashConfig{}), 0)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20 {
		if _, err := l.Take(gone, fal, commands.Caller{ID: "ann"}, 1); err == nil {
			t.Fatal("served nobody")
		}
	}
	if got, err := l.Take(soon(t), fal, commands.Caller{ID: "ann"}, 1); err != nil || !got.OK {
		t.Fatalf("%+v %v", got, err)
	}
	if logs.count("limit_store_away") != 0 {
		t.Error("said to be away")
	}
}

// TestScriptIsSentOnce: after the first call the store is asked by the script's sum, also after it has forgotten it.
func TestScriptIsSentOnce(t *testing.T) {
	store := upstashtest.Start(t)
	u := openUpstash(t, store, UpstashConfig{})
	calls := func() int64 {
		before := store.Calls.Load()
		if _, err := u.Take(soon(t), fal, commands.Caller{ID: "ann"}, 1); err != nil {
			t.Fatal(err)
		}
		return store.Calls.Load() - before
	}
	if a, b := calls(), calls(); a != 2 || b != 1 {
		t.Errorf("%d and %d calls", a, b)
	}
	if err := store.Redis.ScriptFlush(soon(t)).Err(); err != nil {
		t.Fatal(err)
	}
	if n := calls(); n != 2 {
		t.Errorf("%d calls after a flush", n)
	}
}

// TestAStoreThatContradictsItself: what costs money is refused where the store counts nothing, or says that what is over the limit passes.
func TestAStoreThatContradictsItself(t *testing.T) {
	limit := commands.Limit{Action: "fal", Spends: true, Windows: []commands.Window{{Max: 3, Per: time.Hour}}}
	for answer, passes := range map[string]bool{
		`[1,1,0]`: true, `[1,3,0]`: true, `[0,0,0]`: false, `[1,4,0]`: false, `[2,1,0]`: false, `[]`: false, `[1]`: false, `[1,1,0,1,0]`: false, `null`: false, `["1","1","0"]`: false, `[1,1.5,0]`: false,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"result":%s}`, answer) }))
		u, err := NewUpstash(UpstashConfig{URL: s.URL, Token: "t", Prefix: "rate_limit", Identifier: DefaultIdentifier, Action: "fal"})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := u.Take(soon(t), limit, commands.Caller{ID: "ann"}, 1); (err == nil && got.OK) != passes || err == nil && !got.OK {
			t.Errorf("%s: %+v %v", answer, got, err)
		}
		u.Close()
		s.Close()
	}
}

// TestLimitsThatShareNoKeys: an identifier without the action is a front end's, for what it counts alone.
func TestLimitsThatShareNoKeys(t *testing.T) {
	store := upstashtest.Start(t)
	u := openUpstash(t, store, UpstashConfig{Prefix: "@upstash/ratelimit", Identifier: "{ip}"})
	who := commands.Caller{ID: "ann", IP: "192.0.2.7"}
	for range 3 {
		if got, err := u.Take(soon(t), guests, who, 1); err != nil || !got.OK {
			t.Fatalf("%+v %v", got, err)
		}
	}
	if got, err := u.Take(soon(t), fal, who, 1); err != nil || got.Remaining != 2 {
		t.Fatalf("guests were counted as calls: %+v %v", got, err)
	}
	budget := commands.Limit{Action: "fal_budget", Windows: fal.Windows, Spends: true}
	if got, err := u.Take(soon(t), budget, who, 1); err != nil || got.Remaining != 2 {
		t.Fatalf("calls were counted as the budget: %+v %v", got, err)
	}
	keys, err := store.Redis.Keys(soon(t), "*").Result()
	if err != nil || len(keys) != 3 || !strings.HasPrefix(keys[0], "@upstash/ratelimit:") {
		t.Errorf("%q %v", keys, err)
	}
}

func BenchmarkTake(b *testing.B) {
	log := openLog(b, b.TempDir())
	js := openJetStream(b, log, nil)
	up := openUpstash(b, upstashtest.Start(b), UpstashConfig{})
	for _, c := range []struct {
		name   string
		store  commands.Limiter
		spends bool
	}{{"memory", NewMemory(nil), false}, {"jetstream/rates", js, false}, {"jetstream/spending", js, true}, {"upstash", up, false}} {
		limit := commands.Limit{Action: "bench", Spends: c.spends, Windows: []commands.Window{{Max: 1 << 30, Per: time.Hour}}}
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				if _, err := c.store.Take(context.Background(), limit, commands.Caller{ID: "ann"}, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
