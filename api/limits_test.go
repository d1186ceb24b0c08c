package api

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit/upstashtest"
)

// countIn makes a server count in a Redis REST store.
func countIn(t *testing.T, store *upstashtest.Store) func(*Config) {
	return func(c *Config) {
		u, err := ratelimit.NewUpstash(ratelimit.UpstashConfig{
			URL: store.URL, Token: upstashtest.Token, Prefix: "rate_limit", Identifier: ratelimit.DefaultIdentifier, Now: c.Clock,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(u.Close)
		c.RateLimits = true
		if c.Limiter, err = ratelimit.New(ratelimit.Config{Store: u, Name: "upstash", Timeout: patience, Rest: time.Hour, Now: c.Clock, Logger: c.Logger}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTwoServersCountTogether: one store, two servers, 100 callers at once from one address.
func TestTwoServersCountTogether(t *testing.T) {
	store := upstashtest.Start(t)
	worlds := []*world{newWorld(t, countIn(t, store)), newWorld(t, countIn(t, store))}
	now := time.Now()
	if left := time.Until(now.Truncate(time.Minute).Add(time.Minute)); left < 20*time.Second { // not over the end of a window
		for _, w := range worlds {
			w.clock.advance(left)
		}
	}
	var made, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			switch a := worlds[i%2].call("POST", "/v1/guests", "", cmd{"name": "x"}); a.status {
			case 201:
				made.Add(1)
			case 429:
				refused.Add(1)
				if retry, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || retry < 1 || retry > 61 {
					t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
				}
			default:
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if made.Load() != 30 || refused.Load() != 70 {
		t.Errorf("%d made and %d refused, not 30 and 70", made.Load(), refused.Load())
	}
	keys, err := store.Redis.Keys(soon(t), "*").Result()
	if err != nil || len(keys) != 1 || !strings.HasPrefix(keys[0], "rate_limit:127.0.0.1:guests:") {
		t.Errorf("keys %q %v", keys, err)
	}
}

// TestStoreOfLimitsAway: what costs nothing goes on, with the limits of this server alone; what spends is refused, and says why.
func TestStoreOfLimitsAway(t *testing.T) {
	store := upstashtest.Start(t)
	store.Fault(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "boom", http.StatusInternalServerError) })
	w := newWorld(t, countIn(t, store))
	for range 30 {
		w.guest("x")
	}
	w.call("POST", "/v1/guests", "", cmd{"name": "x"}).refused(429, "rate_limited")
	if n := strings.Count(w.logs.String(), "limit_store_away"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestUploadsAreLimited: asking for uploads is counted by person, and what is over the limit reserves nothing.
func TestUploadsAreLimited(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.RateLimits = true })
	ann, bob := w.guest("Ann"), w.guest("Bob")
	body := cmd{"name": "x.png", "content_type": "image/png", "size": 100}
	w.call("POST", "/v1/assets", ann.token, body).ok(201)
	limit := sharedLimits[rateUploads]
	if _, err := w.cfg.Limiter.Take(soon(t), limit, commands.Caller{ID: ann.id}, limit.Windows[0].Max-1); err != nil {
		t.Fatal(err)
	}
	before, err := w.quota().Of(soon(t), ann.id)
	if err != nil {
		t.Fatal(err)
	}
	w.call("POST", "/v1/assets", ann.token, body).refused(429, "rate_limited")
	if after, err := w.quota().Of(soon(t), ann.id); err != nil || after != before || before.Reserved != 100 {
		t.Errorf("%+v, before %+v: %v", after, before, err)
	}
	w.call("POST", "/v1/assets", bob.token, body).ok(201)
	w.clock.advance(2 * limit.Windows[0].Per)
	w.call("POST", "/v1/assets", ann.token, body).ok(201)
}

// TestRoomsCountPerPerson: signed in, what counts is who asks, from whatever address.
func TestRoomsCountPerPerson(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.RateLimits = true })
	ann, bob := w.guest("ann"), w.guest("bob")
	limit := sharedLimits[rateRooms]
	if _, err := w.cfg.Limiter.Take(soon(t), limit, commands.Caller{ID: ann.id}, limit.Windows[0].Max); err != nil {
		t.Fatal(err)
	}
	room := cmd{"name": "x", "visibility": "public"}
	w.call("POST", "/v1/rooms", ann.token, room).refused(429, "rate_limited")
	w.call("POST", "/v1/rooms", bob.token, room).ok(201)
}

// TestRatesOff: nothing is counted but what spends.
func TestRatesOff(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.RateLimits = false })
	for range 40 {
		if a := w.call("POST", "/v1/guests", "", cmd{"name": "x"}).ok(201); a.header.Get(headerLimit) != "" {
			t.Fatal("counted")
		}
	}
}
