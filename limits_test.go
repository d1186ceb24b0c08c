package main

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/ratelimit/upstashtest"
)

// TestServersShareLimits: two whole servers with one Redis REST store between them let one address make 30 guests a minute, together.
func TestServersShareLimits(t *testing.T) {
	store := upstashtest.Start(t)
	env := []string{"KV_REST_API_URL=" + store.URL, "KV_REST_API_TOKEN=" + upstashtest.Token}
	var servers []*server
	for range 2 {
		servers = append(servers, startServer(t, t.TempDir(), "127.0.0.1:0", env...))
	}
	var made, refused atomic.Int64
	began := time.Now()
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			status, err := httpJSON("POST", "http://"+servers[i%2].addr+"/v1/guests", "", map[string]any{"name": "x"}, nil)
			switch {
			case status == http.StatusCreated:
				made.Add(1)
			case status == http.StatusTooManyRequests:
				refused.Add(1)
			default:
				t.Errorf("status %d: %v", status, err)
			}
		})
	}
	all.Wait()
	// Where a minute began meanwhile, the share of the one before that is over may be made again.
	ended, most, windows := time.Now(), int64(30), 1
	if minute := ended.Truncate(time.Minute); began.Before(minute) {
		most, windows = 31+int64(30*ended.Sub(minute)/time.Minute), 2
	}
	if made.Load() < 30 || made.Load() > most || made.Load()+refused.Load() != 60 {
		t.Errorf("%d made, %d refused; %d may be made", made.Load(), refused.Load(), most)
	}
	keys, err := store.Redis.Keys(context.Background(), "*").Result()
	if err != nil || len(keys) < 1 || len(keys) > windows || !strings.HasPrefix(keys[0], "rate_limit:127.0.0.1:guests:") {
		t.Errorf("keys %q %v", keys, err)
	}
	for _, s := range servers {
		s.stop()
		if strings.Contains(s.out.String(), upstashtest.Token) {
			t.Error("the store's token is in the log")
		}
	}
}
