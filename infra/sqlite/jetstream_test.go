package sqlite

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/projections"
	"github.com/infinite-kanvas/kanvas/projections/projectionstest"
)

// openLog opens an embedded JetStream log.
func openLog(tb testing.TB, partitions int, durability string) *jetstream.Store {
	tb.Helper()
	log, err := jetstream.Open(context.Background(), jetstream.Config{Dir: tb.TempDir(), Partitions: partitions, Durability: durability, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := log.Close(ctx); err != nil {
			tb.Errorf("close the log: %v", err)
		}
	})
	return log
}

// copyLog appends the records of from that are not in to yet, each stream in its order, many streams at once.
func copyLog(tb testing.TB, from *projectionstest.Log, to *jetstream.Store, have map[events.Stream][2]uint64) {
	tb.Helper()
	ctx := context.Background()
	streams := map[events.Stream][]events.Record{}
	for p := range from.Partitions() {
		_, last, _ := from.Bounds(ctx, p)
		for after := uint64(0); after < last; {
			recs, _ := from.Next(ctx, p, after, 10_000, 1<<30)
			for _, rec := range recs {
				streams[rec.Stream] = append(streams[rec.Stream], rec)
				after = rec.Seq
			}
		}
	}
	var g errgroup.Group
	g.SetLimit(64)
	var mu sync.Mutex
	for s, recs := range streams {
		mu.Lock()
		at := have[s] // how many of the stream are there, and the last one's sequence
		mu.Unlock()
		g.Go(func() error {
			for _, rec := range recs[at[0]:] {
				seq, err := to.Append(ctx, s, at[1], rec.Payload)
				if err != nil {
					return err
				}
				at = [2]uint64{at[0] + 1, seq}
			}
			mu.Lock()
			have[s] = at
			mu.Unlock()
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		tb.Fatal(err)
	}
}

// TestOnJetStream follows the real log with the real caches: what is appended arrives, is waited for, rebuilt and verified.
func TestOnJetStream(t *testing.T) {
	log := openLog(t, 4, "")
	kv, err := log.OpenKV(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	memory := projectionstest.NewLog(4)
	h := projectionstest.NewHistory(memory, 31)
	have := map[events.Stream][2]uint64{}
	s := open(t, t.TempDir())
	caches := projections.NewCaches(projections.CacheConfig{KV: kv, Queries: s})
	r := projections.NewRunner(projections.Config{Source: log, Streams: log, Store: s, Canvases: memory, Unsealer: &projectionstest.Names{}, Caches: caches})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g, run := errgroup.WithContext(ctx)
	run, stop := context.WithCancel(run)
	g.Go(func() error { return r.Run(run) })
	g.Go(func() error { return caches.Run(run) })
	for range 4 {
		for range 60 {
			h.Step()
		}
		copyLog(t, memory, log, have)
		if err := r.WaitHead(ctx); err != nil {
			t.Fatal(err)
		}
	}
	room := h.NewRoom()
	copyLog(t, memory, log, have)
	if err := r.WaitFor(ctx, events.Room(room), 1); err != nil {
		t.Error(err)
	}
	waitForKey(ctx, t, kv, projections.CanvasKey(room))
	if res, err := r.Rebuild(ctx, ""); err != nil || !res.Equal || res.Behind != 0 || len(res.Parked) != 0 {
		t.Errorf("rebuild: %+v %v", res, err)
	}
	for _, scope := range []string{"", room} {
		if v, err := r.Verify(ctx, scope); err != nil || !v.OK() {
			t.Errorf("verify %q: %+v %v", scope, v, err)
		}
	}
	if err := projections.CheckLog(ctx, log, s, projections.Tables, jetstream.StreamName); err != nil {
		t.Error(err)
	}
	stop()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// waitForKey waits until the cache holds the key.
func waitForKey(ctx context.Context, t *testing.T, kv *jetstream.KV, key string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if v, ok, err := kv.Get(ctx, key); err != nil {
			t.Fatal(err)
		} else if ok && len(v) == 64 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no %s in the cache", key)
		}
	}
}

// BenchmarkRebuildJetStream is BenchmarkRebuild on the real log.
func BenchmarkRebuildJetStream(b *testing.B) {
	log := openLog(b, 8, jetstream.DurabilityInterval)
	memory := projectionstest.Edits(120_000, 1)
	copyLog(b, memory, log, map[events.Stream][2]uint64{})
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := projections.NewRunner(projections.Config{Source: log, Streams: log, Store: s, Canvases: memory, Unsealer: &projectionstest.Names{}})
	if _, err := r.Rebuild(ctx, ""); err != nil {
		b.Fatal(err)
	}
	total, spent := uint64(0), time.Duration(0)
	for b.Loop() {
		res, err := r.Rebuild(ctx, "")
		if err != nil || !res.Equal {
			b.Fatal(res, err)
		}
		total += res.Events
		spent += res.Duration
	}
	b.ReportMetric(float64(total)/spent.Seconds(), "events/s")
}
