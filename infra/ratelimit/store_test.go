package ratelimit

import (
	"context"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit/ratelimittest"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit/upstashtest"
)

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func openLog(t testing.TB, dir string) *jetstream.Store {
	t.Helper()
	log, err := jetstream.Open(soon(t), jetstream.Config{Dir: dir, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close(context.Background()) })
	return log
}

func openJetStream(t testing.TB, log *jetstream.Store, now func() time.Time) *JetStream {
	t.Helper()
	s, err := OpenJetStream(soon(t), log.JetStream(), log.Replicas(), now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openUpstash(t testing.TB, store *upstashtest.Store, c UpstashConfig) *Upstash {
	t.Helper()
	c.URL, c.Token, c.Action = store.URL, upstashtest.Token, "fal"
	if c.Prefix == "" {
		c.Prefix, c.Identifier = "rate_limit", DefaultIdentifier
	}
	u, err := NewUpstash(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

func TestMemory(t *testing.T) {
	ratelimittest.Run(t, func(_ *testing.T, now func() time.Time) []commands.Limiter { return []commands.Limiter{NewMemory(now)} })
}

func TestJetStream(t *testing.T) {
	log := openLog(t, t.TempDir())
	ratelimittest.Run(t, func(t *testing.T, now func() time.Time) []commands.Limiter {
		return []commands.Limiter{openJetStream(t, log, now), openJetStream(t, log, now), openJetStream(t, log, now)}
	})
}

func TestUpstash(t *testing.T) {
	store := upstashtest.Start(t)
	ratelimittest.Run(t, func(t *testing.T, now func() time.Time) []commands.Limiter {
		return []commands.Limiter{openUpstash(t, store, UpstashConfig{Now: now}), openUpstash(t, store, UpstashConfig{Now: now})}
	})
}

// TestLimiterIsALimiter: the guard changes nothing while the store is well.
func TestLimiterIsALimiter(t *testing.T) {
	log := openLog(t, t.TempDir())
	ratelimittest.Run(t, func(t *testing.T, now func() time.Time) []commands.Limiter {
		l, err := New(Config{Store: openJetStream(t, log, now), Name: "jetstream", Timeout: time.Minute, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return []commands.Limiter{l}
	})
}

// TestSpendingSurvivesARestart: what costs money is counted on disk, the rest begins anew.
func TestSpendingSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	who := commands.Caller{ID: "ann"}
	for round, want := range []bool{true, false} {
		log := openLog(t, dir)
		s := openJetStream(t, log, nil)
		got, err := s.Take(soon(t), commands.Limit{Action: "fal", Windows: []commands.Window{{Max: 1, Per: 1000 * time.Hour}}, Spends: true}, who, 1)
		if err != nil || got.OK != want {
			t.Fatalf("round %d: %+v %v", round, got, err)
		}
		if err := log.Close(soon(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStreamLost: the counts in memory may vanish with the server that held them; counting goes on.
func TestStreamLost(t *testing.T) {
	log := openLog(t, t.TempDir())
	s := openJetStream(t, log, nil)
	limit, who := commands.Limit{Action: "guests", Windows: []commands.Window{{Max: 5, Per: time.Hour}}}, commands.Caller{ID: "ann"}
	for range 2 {
		if got, err := s.Take(soon(t), limit, who, 1); err != nil || !got.OK || got.Remaining != 4 {
			t.Fatalf("%+v %v", got, err)
		}
		if err := log.JetStream().DeleteStream(soon(t), ratesStream); err != nil {
			t.Fatal(err)
		}
	}
}
