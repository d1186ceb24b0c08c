// Package ratelimittest is the conformance suite of commands.Limiter.
package ratelimittest

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/commands"
)

// Clock is a clock that a test sets. Safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at a whole day, so that windows of all lengths begin there.
func NewClock() *Clock { return &Clock{now: time.Now().Truncate(24 * time.Hour)} }

// Now is what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves it on.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type suite struct{ nodes []commands.Limiter }

// Run runs the suite. open makes limiters with the clock that share one store: each stands for a node. One limiter is enough for a store that is not shared.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) []commands.Limiter) {
	for name, test := range map[string]func(suite, *testing.T, *Clock){
		"rule": suite.rule, "windows": suite.windows, "all or nothing": suite.allOrNothing, "callers": suite.callers, "peek": suite.peek,
		"many at once": suite.manyAtOnce, "retry": suite.retry, "ended": suite.ended,
	} {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			test(suite{open(t, clock.Now)}, t, clock)
		})
	}
}

// node is one of the nodes.
func (s suite) node() commands.Limiter { return s.nodes[rand.IntN(len(s.nodes))] }

func (s suite) take(t *testing.T, l commands.Limit, who string, n int) commands.Taken {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	got, err := s.node().Take(ctx, l, commands.Caller{ID: who, IP: "192.0.2.1"}, n)
	if err != nil {
		t.Fatalf("take %d of %s for %s: %v", n, l.Action, who, err)
	}
	return got
}

// both kinds of limits: they may be kept apart.
func both(windows ...commands.Window) []commands.Limit {
	return []commands.Limit{{Action: "rest", Windows: windows}, {Action: "spends", Windows: windows, Spends: true}}
}

// rule compares with the rule written down once more, over windows passed at random.
func (s suite) rule(t *testing.T, clock *Clock) {
	const per = int64(60_000)
	for _, l := range both(commands.Window{Max: 7, Per: time.Minute}) {
		who, seen := "user-"+uuid.NewString(), map[int64]int64{}
		passed, refused := 0, 0
		for range 150 {
			clock.Add(time.Duration(rand.IntN(9_000)) * time.Millisecond)
			now := clock.Now().UnixMilli()
			used := int64(math.Floor((1-float64(now%per)/float64(per))*float64(seen[now/per-1]))) + seen[now/per]
			got := s.take(t, l, who, 1)
			if got.OK != (used < 7) {
				t.Fatalf("%s: %v with %d of 7 used", l.Action, got.OK, used)
			}
			if got.OK {
				seen[now/per]++
				used++
				passed++
			} else {
				refused++
			}
			if got.Remaining != int(7-min(used, 7)) || got.Window.Max != 7 || got.Reset.UnixMilli() != (now/per+1)*per {
				t.Fatalf("%s: %+v with %d of 7 used", l.Action, got, used)
			}
		}
		if passed < 50 || refused < 5 {
			t.Errorf("%s: %d passed and %d were refused, so little was tried", l.Action, passed, refused)
		}
	}
}

// windows: of several the tightest decides and is named.
func (s suite) windows(t *testing.T, clock *Clock) {
	for _, l := range both(commands.Window{Max: 2, Per: time.Minute}, commands.Window{Max: 3, Per: time.Hour}, commands.Window{Max: 50, Per: 24 * time.Hour}) {
		who := "user-" + uuid.NewString()
		for i := range 2 {
			if got := s.take(t, l, who, 1); !got.OK || got.Window.Per != time.Minute || got.Remaining != 1-i {
				t.Fatalf("%+v", got)
			}
		}
		if got := s.take(t, l, who, 1); got.OK || got.Window.Per != time.Minute || got.Retry <= 0 || got.Retry > 2*time.Minute {
			t.Fatalf("third: %+v", got)
		}
		clock.Add(3 * time.Minute)
		if got := s.take(t, l, who, 1); !got.OK || got.Window.Per != time.Hour || got.Remaining != 0 {
			t.Fatalf("after a pause: %+v", got)
		}
		if got := s.take(t, l, who, 1); got.OK || got.Window.Per != time.Hour || got.Retry < 50*time.Minute {
			t.Fatalf("over the hour's: %+v", got)
		}
		clock.Add(24 * time.Hour)
	}
}

// allOrNothing: what one window refuses, the others have not counted.
func (s suite) allOrNothing(t *testing.T, clock *Clock) {
	for _, l := range both(commands.Window{Max: 1, Per: time.Minute}, commands.Window{Max: 2, Per: time.Hour}) {
		who := "user-" + uuid.NewString()
		s.take(t, l, who, 1)
		for range 20 {
			if s.take(t, l, who, 1).OK {
				t.Fatal("two in a minute")
			}
		}
		clock.Add(2 * time.Minute)
		if got := s.take(t, l, who, 1); !got.OK {
			t.Fatalf("refusals were counted: %+v", got)
		}
		if got := s.take(t, l, "several-"+who, 2); got.OK {
			t.Fatalf("two at once: %+v", got)
		}
		if got := s.take(t, l, "several-"+who, 1); !got.OK {
			t.Fatalf("the refused two were counted: %+v", got)
		}
		clock.Add(24 * time.Hour)
	}
}

// callers and actions are counted apart, whatever their names.
func (s suite) callers(t *testing.T, _ *Clock) {
	id := uuid.NewString()
	for _, who := range []string{id, id + ":x", id + ".x", id + ".*", id + ">", "2001:db8::/64 " + id, "anon:" + id, "é☃ " + id} {
		for _, l := range both(commands.Window{Max: 1, Per: time.Minute}) {
			if !s.take(t, l, who, 1).OK {
				t.Errorf("%q was counted before (%s)", who, l.Action)
			}
			if s.take(t, l, who, 1).OK {
				t.Errorf("%q is not counted (%s)", who, l.Action)
			}
		}
	}
}

func (s suite) peek(t *testing.T, _ *Clock) {
	for _, l := range both(commands.Window{Max: 2, Per: time.Minute}) {
		who := "user-" + uuid.NewString()
		for left := 2; left > 0; left-- {
			for range 5 {
				if got := s.take(t, l, who, 0); !got.OK || got.Remaining != left {
					t.Fatalf("with %d left: %+v", left, got)
				}
			}
			s.take(t, l, who, 1)
		}
		if got := s.take(t, l, who, 0); got.OK || got.Remaining != 0 || got.Retry <= 0 {
			t.Fatalf("with none left: %+v", got)
		}
	}
}

// manyAtOnce: 100 callers over all nodes, never one more than the limit.
func (s suite) manyAtOnce(t *testing.T, _ *Clock) {
	for _, l := range both(commands.Window{Max: 37, Per: time.Minute}, commands.Window{Max: 41, Per: time.Hour}) {
		who := commands.Caller{ID: "user-" + uuid.NewString()}
		var passed atomic.Int64
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		g, ctx := errgroup.WithContext(ctx)
		for i := range 100 {
			g.Go(func() error {
				got, err := s.nodes[i%len(s.nodes)].Take(ctx, l, who, 1)
				if got.OK {
					passed.Add(1)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if passed.Load() != 37 {
			t.Errorf("%s: %d of 100 passed, not 37", l.Action, passed.Load())
		}
	}
}

// retry is the truth: a millisecond before nothing passes, then one does.
func (s suite) retry(t *testing.T, clock *Clock) {
	for _, l := range both(commands.Window{Max: 5, Per: time.Minute}) {
		who := "user-" + uuid.NewString()
		for range 12 {
			got := s.take(t, l, who, 1)
			for got.OK {
				clock.Add(time.Duration(rand.IntN(4_000)) * time.Millisecond)
				got = s.take(t, l, who, 1)
			}
			clock.Add(got.Retry - time.Millisecond)
			if s.take(t, l, who, 0).OK {
				t.Fatalf("passes before %s", got.Retry)
			}
			clock.Add(time.Millisecond)
			if !s.take(t, l, who, 1).OK {
				t.Fatalf("does not pass after %s", got.Retry)
			}
		}
	}
}

// ended: a caller that gave up is told so, or served, and leaves the limit in order.
func (s suite) ended(t *testing.T, _ *Clock) {
	for _, l := range both(commands.Window{Max: 1, Per: time.Minute}) {
		who := "user-" + uuid.NewString()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if got, err := s.node().Take(ctx, l, commands.Caller{ID: who}, 1); err == nil && !got.OK {
			t.Errorf("refused without a reason: %+v", got)
		}
		s.take(t, l, who, 1)
		if s.take(t, l, who, 1).OK {
			t.Error("two passed")
		}
	}
}
