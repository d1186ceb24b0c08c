package api

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
)

const oneImage = 35_000 // millionths of a dollar, of textToImage

// TestACrowdOfGenerationsCanNotOverspend: a hundred requests at once, by three people in one room, through every layer to fal.ai's stand-in: exactly
// as many jobs are sent as the room's budget pays for, everybody else is told why not, and the sums are the truth.
func TestACrowdOfGenerationsCanNotOverspend(t *testing.T) {
	const fits = 12
	withBudgets(t, commands.BudgetLimits{User: 8 * oneImage, Room: fits * oneImage, Server: commands.NoBudget})
	g := newGenerationWorld(t)
	owner := person{"owner", g.local("owner")}
	room := g.room(owner, "r", "public")
	people := []person{owner, {"bob", g.local("bob")}, {"cat", g.local("cat")}}
	var mu sync.Mutex
	var ids []string
	var refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			p := people[i%3]
			switch a := g.call("POST", room+"/generations", p.token, cmd{"model": textToImage, "prompt": fmt.Sprint("cat ", i)}); a.status {
			case 202:
				mu.Lock()
				ids = append(ids, a.str("id"))
				mu.Unlock()
			case 429:
				a.refused(429, "rate_limited")
				refused.Add(1)
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if len(ids) != fits || refused.Load() != 100-fits {
		t.Fatalf("%d were taken and %d refused, %d are paid for", len(ids), refused.Load(), fits)
	}
	for _, id := range ids {
		g.became(owner, room, id, "succeeded")
	}
	if n := len(g.fal.Jobs()); n != fits {
		t.Errorf("%d jobs were sent, %d are paid for", n, fits)
	}
	g.settled(fits * oneImage)
	s := g.spending(room+"/spending", owner.token)
	if s.Spent != fits*oneImage || s.Count != fits || s.Kept != fits || s.Budget.Spent != fits*oneImage || len(s.People) < 2 || s.Models[0].Source != "generation" {
		t.Errorf("%+v %+v", s, s.Budget)
	}
	var sum int64
	for i, p := range people {
		mine := g.spending("/v1/me/spending", p.token)
		if sum += mine.Spent; mine.Spent > 8*oneImage || mine.Budget.Spent != mine.Spent || mine.Budget.Reserved != 0 {
			t.Errorf("person %d: %+v %+v", i, mine, mine.Budget)
		}
	}
	if sum != s.Spent {
		t.Errorf("people spent %d, the room %d", sum, s.Spent)
	}
	g.call("GET", room+"/spending", people[1].token, nil).refused(403, "forbidden")
	g.call("POST", room+"/generations", owner.token, cmd{"model": textToImage, "prompt": "one more"}).refused(429, "rate_limited")
}

// settled waits until everybody's reservations are over, and checks what was spent.
func (g *generationWorld) settled(want int64) {
	g.t.Helper()
	ctx := soon(g.t)
	for {
		s, err := g.budgets.OfServer(ctx)
		if err != nil {
			g.t.Fatal(err)
		}
		if s.Reserved == 0 {
			if s.Spent != want {
				g.t.Errorf("%d were spent, not %d", s.Spent, want)
			}
			return
		}
	}
}

// dead is an account whose process ends before it settles anything.
type dead struct{ *commands.Budgets }

func (dead) Settle(context.Context, commands.Spend, int64) error { return context.Canceled }

// TestGenerationsThatNobodySettled: what a crash cut before the settlement, or between the reservation and the request, is settled by the sweep by what
// became of it.
func TestGenerationsThatNobodySettled(t *testing.T) {
	g := newGenerationWorld(t, func(c *commands.GenerationConfig) { c.Spending = dead{c.Spending.(*commands.Budgets)} })
	ann := g.guest("Ann")
	room := g.room(ann, "r", "private")
	done := g.order(ann, room, cmd{"model": textToImage, "prompt": "a cat", "input": cmd{"num_images": 2}})
	is := g.became(ann, room, done, "succeeded")
	if err := g.budgets.Reserve(soon(t), commands.Spend{ID: "never", Person: ann.id, Room: "r", Model: textToImage, Amount: oneImage}); err != nil {
		t.Fatal(err)
	}
	ledger, err := g.log.OpenBudgets(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	sweeper := commands.NewBudgets(commands.BudgetConfig{Ledger: ledger, Outcome: g.gens.Outcome, Clock: func() int64 { return g.clock.now().UnixMilli() }})
	if n, err := sweeper.Sweep(soon(t)); n != 0 || err != nil {
		t.Fatalf("%d were settled before their time: %v", n, err)
	}
	g.clock.advance(16 * time.Minute)
	if n, err := sweeper.Sweep(soon(t)); n != 2 || err != nil {
		t.Fatalf("%d were settled: %v", n, err)
	}
	g.settled(int64(is["cost"].(float64)))
	if is["cost"].(float64) <= 0 {
		t.Errorf("it cost %v", is["cost"])
	}
}
