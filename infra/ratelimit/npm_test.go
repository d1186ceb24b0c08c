package ratelimit

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/nodetest"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit/ratelimittest"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit/upstashtest"
)

// npm is the real @upstash/ratelimit in a process of its own.
type npm struct{ node *nodetest.Script }

type question struct {
	Prefix string `json:"prefix"`
	ID     string `json:"id"`
	Max    int    `json:"max"`
	Per    int64  `json:"per"`
	Now    int64  `json:"now,omitempty"`
	Times  int    `json:"times"`
}

type reply struct{ Passed, Remaining int }

func startNPM(t *testing.T, store *upstashtest.Store) *npm {
	t.Helper()
	return &npm{nodetest.Start(t, "upstash", "limiter.mjs", "@upstash/ratelimit", append(os.Environ(), "KV_REST_API_URL="+store.URL, "KV_REST_API_TOKEN="+upstashtest.Token))}
}

func (n *npm) ask(q question) (reply, error) {
	if err := json.NewEncoder(n.node.In).Encode(q); err != nil {
		return reply{}, err
	}
	var r reply
	if !n.node.Out.Scan() {
		return r, io.ErrUnexpectedEOF
	}
	return r, json.Unmarshal(n.node.Out.Bytes(), &r)
}

// month is a window whose end no test run meets.
const month = 30 * 24 * time.Hour

// TestSharedWithNPM: the package and this server count one person together, both at once: the limit and not one more passes.
func TestSharedWithNPM(t *testing.T) {
	store := upstashtest.Start(t)
	js := startNPM(t, store)
	for _, how := range []struct{ name, prefix, identifier, id string }{
		{"as the guide", "rate_limit", DefaultIdentifier, "ann:fal"},
		{"as the front end", "@upstash/ratelimit", "{ip}", "192.0.2.7"},
	} {
		t.Run(how.name, func(t *testing.T) {
			ours := []*Upstash{openUpstash(t, store, UpstashConfig{Prefix: how.prefix, Identifier: how.identifier}), openUpstash(t, store, UpstashConfig{Prefix: how.prefix, Identifier: how.identifier})}
			for round := range 10 {
				limit := commands.Limit{Action: "fal", Spends: true, Windows: []commands.Window{{Max: 40 + round, Per: month}}}
				who := commands.Caller{ID: "ann", IP: "192.0.2.7"}
				if err := store.Redis.FlushDB(soon(t)).Err(); err != nil {
					t.Fatal(err)
				}
				var passed, theirs atomic.Int64
				g, ctx := errgroup.WithContext(soon(t))
				g.Go(func() error {
					r, err := js.ask(question{Prefix: how.prefix, ID: how.id, Max: 40 + round, Per: month.Milliseconds(), Times: 50})
					theirs.Store(int64(r.Passed))
					return err
				})
				for i := range 50 {
					g.Go(func() error {
						got, err := ours[i%2].Take(ctx, limit, who, 1)
						if got.OK {
							passed.Add(1)
						}
						return err
					})
				}
				if err := g.Wait(); err != nil {
					t.Fatal(err)
				}
				if sum := passed.Load() + theirs.Load(); sum != int64(40+round) {
					t.Fatalf("round %d: %d here and %d there passed, %d may", round, passed.Load(), theirs.Load(), 40+round)
				}
				// Both know that it is full.
				if r, err := js.ask(question{Prefix: how.prefix, ID: how.id, Max: 40 + round, Per: month.Milliseconds(), Times: 1}); err != nil || r.Passed != 0 {
					t.Fatalf("the package passed one more: %+v %v", r, err)
				}
				if got, err := ours[0].Take(soon(t), limit, who, 1); err != nil || got.OK || got.Remaining != 0 {
					t.Fatalf("one more passed here: %+v %v", got, err)
				}
			}
			keys, err := store.Redis.Keys(soon(t), "*").Result()
			if err != nil || len(keys) != 1 {
				t.Fatalf("keys %q %v", keys, err)
			}
			if ttl, err := store.Redis.PTTL(soon(t), keys[0]).Result(); err != nil || ttl <= month || ttl > 2*month+time.Second {
				t.Errorf("TTL of %s: %s %v", keys[0], ttl, err)
			}
		})
	}
}

// TestSameRuleAsNPM: asked the same at the same times, over many windows, the package and all of our stores give the same answers, and
// taking turns on one key they agree too.
func TestSameRuleAsNPM(t *testing.T) {
	store := upstashtest.Start(t)
	js := startNPM(t, store)
	clock := ratelimittest.NewClock()
	log := openLog(t, t.TempDir())
	stores := map[string]commands.Limiter{
		"memory": NewMemory(clock.Now), "jetstream": openJetStream(t, log, clock.Now), "upstash": openUpstash(t, store, UpstashConfig{Prefix: "own", Identifier: "{userId}", Now: clock.Now}),
	}
	sharing := openUpstash(t, store, UpstashConfig{Prefix: "shared", Identifier: "{userId}", Now: clock.Now})
	passed, refused := 0, 0
	for range 8 {
		id, max := uuid.NewString(), 1+rand.IntN(20)
		limit := commands.Limit{Action: "fal", Spends: true, Windows: []commands.Window{{Max: max, Per: 10 * time.Second}}}
		for range 60 {
			clock.Add(time.Duration(rand.Int64N(int64(16*time.Second) / int64(max+1))).Truncate(time.Millisecond))
			q := question{ID: id, Max: max, Per: 10_000, Now: clock.Now().UnixMilli(), Times: 1}
			ask := func(prefix string) reply {
				q.Prefix = prefix
				r, err := js.ask(q)
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			take := func(l commands.Limiter) commands.Taken {
				got, err := l.Take(soon(t), limit, commands.Caller{ID: id}, 1)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			want := ask("package")
			for name, l := range stores {
				if got := take(l); got.OK != (want.Passed == 1) || got.OK && got.Remaining != want.Remaining {
					t.Fatalf("%s at %d of %d: %+v, the package: %+v", name, q.Now, max, got, want)
				}
			}
			var both bool // in turns
			if rand.IntN(2) == 0 {
				both = ask("shared").Passed == 1
			} else {
				both = take(sharing).OK
			}
			if both != (want.Passed == 1) {
				t.Fatalf("in turns at %d of %d: %v, the package alone: %+v", q.Now, max, both, want)
			}
			if want.Passed == 1 {
				passed++
			} else {
				refused++
			}
		}
	}
	if passed < 50 || refused < 50 {
		t.Errorf("%d passed and %d were refused, so little was tried", passed, refused)
	}
}
