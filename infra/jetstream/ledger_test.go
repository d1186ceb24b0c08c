package jetstream_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

// crowd lets two nodes spend one budget at full speed, each settling what the other reserved, at once.
func crowd(t *testing.T, s *jetstream.Store) {
	const cent, fits, each = 10_000, 60, 50
	var nodes []*commands.Budgets
	for range 2 {
		ledger, err := s.OpenBudgets(logtest.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, commands.NewBudgets(commands.BudgetConfig{
			Ledger: ledger, Limits: commands.BudgetLimits{User: commands.NoBudget, Room: fits * cent, Server: commands.NoBudget}, Streams: commands.NewStreams(s, nil),
		}))
	}
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 2 * each {
		wg.Go(func() {
			ctx := logtest.Context(t)
			spend := commands.Spend{ID: fmt.Sprint(i), Person: fmt.Sprint("person-", i%3), Room: "r", Amount: cent}
			err := nodes[i%2].Reserve(ctx, spend)
			var refusal *domain.Error
			if errors.As(err, &refusal) && refusal.Code == domain.CodeRateLimited {
				return
			}
			if err == nil {
				passed.Add(1)
				err = nodes[1-i%2].Settle(ctx, spend, cent)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := passed.Load(); n != fits {
		t.Errorf("%d passed, %d are paid for", n, fits)
	}
	for i, b := range nodes {
		r, err := b.OfRoom(logtest.Context(t), "r")
		all, also := b.OfServer(logtest.Context(t))
		if err = errors.Join(err, also); err != nil || r.Spent != fits*cent || r.Reserved != 0 || all.Spent != fits*cent || all.Reserved != 0 {
			t.Errorf("node %d: the room %+v, the server %+v: %v", i, r, all, err)
		}
	}
}

func TestBudgetsOnTwoNodes(t *testing.T) {
	crowd(t, open(t, jetstream.Config{Dir: t.TempDir()}))
}

// TestBudgetsOnACluster: also where three servers hold the accounts, and any of them may be behind.
func TestBudgetsOnACluster(t *testing.T) {
	s, _ := startCluster(t)
	crowd(t, s)
	st, err := s.JetStream().Stream(logtest.Context(t), "KV_KANVAS_BUDGETS")
	if err != nil || st.CachedInfo().Config.AllowDirect {
		t.Errorf("a follower may answer: %v", err)
	}
}
