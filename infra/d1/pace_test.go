package d1

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/cloudflare/faulttest"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/projections"
	"github.com/infinite-kanvas/kanvas/projections/projectionstest"
)

// lagging notes after each batch how old its oldest commit is then.
type lagging struct {
	projections.Shadows
	source projections.Source

	mu  sync.Mutex
	max time.Duration
}

func (l *lagging) Apply(ctx context.Context, projection string, moves []projections.Move, statements []projections.Statement) error {
	if err := l.Shadows.Apply(ctx, projection, moves, statements); err != nil {
		return err
	}
	now := time.Now()
	for _, m := range moves {
		recs, err := l.source.Next(ctx, m.Partition, m.From.Seq, 1, 1)
		if err != nil {
			return nil // it is applied all the same
		}
		if _, _, at, _, _, _, err := events.DecodeHeader(recs[0].Payload); err == nil {
			l.mu.Lock()
			l.max = max(l.max, now.Sub(time.UnixMilli(at)))
			l.mu.Unlock()
		}
	}
	return nil
}

func (l *lagging) worst() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	worst := l.max
	l.max = 0
	return worst
}

// TestPace: 200 rooms at 100 events a second take at most 60 of the account's calls a minute. KANVAS_D1_EVENTS says how many events; with
// 10,000 of them, as it has to hold, the lag is at most 5 s, too.
func TestPace(t *testing.T) {
	const rooms, perSecond, whole = 200, 100, 10_000
	n := number(t, "KANVAS_D1_EVENTS", 600)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute+time.Duration(n/perSecond)*time.Second)
	defer cancel()
	e, w := edgetest.Shared(t), newWorld(t)
	proxy := faulttest.Start(t, e.URL)
	remote := &lagging{Shadows: w.store(e, proxy.URL+"/client/v4", cloudflare.Config{Budget: 900}), source: w.log}
	metered := remote.Shadows.(*Store)
	there := w.runner(remote, func(c *projections.Config) { c.Name, c.Pace, c.Limits = "d1", metered.Linger, Limits() })
	for i := range rooms {
		if err := w.create(ctx, fmt.Sprint("room", i), i); err != nil {
			t.Fatal(err)
		}
	}
	projectionstest.StartRunner(t, there)
	if err := there.WaitHead(ctx); err != nil {
		t.Fatal(err)
	}
	before, start := proxy.Calls(), time.Now()
	remote.worst()
	pace, r := rate.NewLimiter(perSecond, 1), rand.New(rand.NewPCG(1, 9))
	for i := range n {
		if err := pace.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		if err := w.edit(ctx, fmt.Sprint("room", i%rooms), i/rooms, r); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(start)
	calls := proxy.Calls() - before
	if err := there.WaitHead(ctx); err != nil {
		t.Fatal(err)
	}
	lag := remote.worst()
	perMinute := float64(calls) / took.Minutes()
	t.Logf("%d events in %s: %d calls, %.1f a minute; lag at most %s", n, took.Round(time.Second), calls, perMinute, lag.Round(time.Millisecond))
	if perMinute > 60 {
		t.Errorf("%.1f calls a minute", perMinute)
	}
	if n >= whole && lag > 5*time.Second {
		t.Errorf("a lag of %s", lag)
	}
	here := w.runner(w.local)
	projectionstest.CatchUp(t, here)
	if a, b := sum(t, remote, ""), sum(t, w.local, ""); a != b {
		t.Errorf("digest %s in D1, %s in SQLite", a, b)
	}
}

// TestSpentBudget: a projector that has spent the account's calls goes on with the few it gets, in larger batches, and loses nothing.
func TestSpentBudget(t *testing.T) {
	const budget, reserve = 90, 30 // the rest comes in at one call in five seconds
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	e := edgetest.Shared(t)
	proxy := faulttest.Start(t, e.URL)
	client, err := cloudflare.New(cloudflare.Config{Account: e.Account, Secret: e.Secret, URL: proxy.URL + "/client/v4", Budget: budget})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := New(Options{Client: client, Database: e.Database})
	if err != nil {
		t.Fatal(err)
	}
	s := &widest{Shadows: inner}
	start := time.Now()
	h := projectionstest.NewHistory(projectionstest.NewLog(4), 3)
	h.NewRoom()
	// A linger this short spends the reserve at once.
	r := projections.NewRunner(projections.Config{Name: "d1", Source: h.Log, Streams: h.Log, Store: s, Canvases: h.Log, Unsealer: &projectionstest.Names{}, Linger: 10 * time.Millisecond})
	projectionstest.StartRunner(t, r)
	until(ctx, t, "the reserve is spent", func() bool { h.Step(); return client.BudgetLeft() < 0.02 })
	for range 500 { // while no call can be made
		h.Step()
	}
	before := proxy.Calls()
	until(ctx, t, "all is applied", func() bool {
		n := uint64(0)
		for p := range 4 {
			_, last, _ := h.Log.Bounds(ctx, p)
			n += last - s.at(p)
		}
		return n == 0
	})
	if calls := proxy.Calls() - before; calls > 4 {
		t.Errorf("%d calls for what came meanwhile", calls)
	}
	if calls, most := proxy.Calls(), reserve+1+int(time.Since(start).Seconds())*(budget-reserve)/300; calls > most+1 {
		t.Errorf("%d calls, the budget gives %d", calls, most)
	}
	here := local(t)
	projectionstest.CatchUp(t, projectionstest.Runner(h.Log, h.Log, here, &projectionstest.Names{}))
	if a, b := sum(t, on(t, e, e.Gateway()), ""), sum(t, here, ""); a != b {
		t.Errorf("digest %s in D1, %s in SQLite", a, b)
	}
}

func TestLingerGrowsAsTheBudgetRunsLow(t *testing.T) {
	before := time.Duration(0)
	for _, left := range []float64{1, 0.5, 0.3, 0.1, 0} {
		d := linger(left)
		if d < before || left >= 0.5 && d != meteredLinger {
			t.Errorf("%.1f left: %s", left, d)
		}
		before = d
	}
	if before != mostLingers*meteredLinger {
		t.Errorf("nothing left: %s", before)
	}
	if s := open(t); s.Linger() != gatewayLinger {
		t.Errorf("through the gateway: %s", s.Linger())
	}
}

// BenchmarkCatchUp gives events/s of a projector that follows a long log into an empty D1 on workerd.
func BenchmarkCatchUp(b *testing.B) {
	for _, perCommit := range []int{1, 10} {
		b.Run(fmt.Sprintf("events=%d", perCommit), func(b *testing.B) {
			log := projectionstest.Edits(100_000, perCommit)
			total := 0
			for b.Loop() {
				b.StopTimer()
				e := edgetest.Start(b)
				client, err := cloudflare.New(cloudflare.Config{Account: e.Account, Secret: e.Secret, URL: e.Gateway()})
				if err != nil {
					b.Fatal(err)
				}
				s, err := New(Options{Client: client, Database: e.Database})
				if err != nil {
					b.Fatal(err)
				}
				ctx, cancel := context.WithCancel(b.Context())
				r := projections.NewRunner(projections.Config{Name: "d1", Source: log, Streams: log, Store: s, Canvases: log, Unsealer: &projectionstest.Names{}, Pace: s.Linger, Limits: Limits()})
				done := make(chan error, 1)
				b.StartTimer()
				go func() { done <- r.Run(ctx) }()
				if err := r.WaitHead(ctx); err != nil {
					b.Fatal(err)
				}
				total += 100_000
				b.StopTimer()
				cancel()
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
