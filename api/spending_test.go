package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

// withBudgets lets calls of /api/fal be paid from accounts.
func withBudgets(t *testing.T, limits commands.BudgetLimits) func(*Config) {
	old := testBudgets
	testBudgets = limits
	t.Cleanup(func() { testBudgets = old })
	return func(c *Config) { c.FalSpending = c.Budgets.(*commands.Budgets).Calls() }
}

func (w *world) spending(path, token string) (s spendingJSON) {
	w.t.Helper()
	if err := json.Unmarshal(w.call("GET", path, token, nil).ok(200).body, &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// TestSpendingOfCalls: what /api/fal makes the server pay for is in the sums at once, and in how the caller stands.
func TestSpendingOfCalls(t *testing.T) {
	w, _ := falWorld(t, many, withBudgets(t, commands.BudgetLimits{User: 200_000, Room: commands.NoBudget, Server: commands.NoBudget}))
	ann := w.signed(t, "ann")
	w.fal("POST", falRun, ann, falPrompt).ok(200)
	w.fal("POST", falRun, ann, `{"prompt":"cats","num_images":3}`).ok(200)
	w.fal("POST", falRun, ann, `{}`).ok(422)
	w.fal("POST", falRun, w.signed(t, "bob"), falPrompt).ok(200)
	s := w.spending("/v1/me/spending", ann)
	if s.Spent != 140_000 || s.Count != 3 || len(s.Models) != 1 || s.Models[0].Source != "call" || s.Budget.Spent != 140_000 || s.Budget.Reserved != 0 || *s.Budget.Limit != 200_000 {
		t.Errorf("%+v %+v", s, s.Budget)
	}
	w.fal("POST", falRun, ann, `{"prompt":"cats","num_images":2}`).ok(429)
	w.fal("POST", falRun, ann, falPrompt).ok(200)
	if s := w.spending("/v1/me/spending?month=2020-01", ann); s.Count != 0 || s.Budget != nil || s.Models == nil {
		t.Errorf("%+v", s)
	}
	var me struct {
		Budget  budgetJSON
		Storage storageJSON
	}
	if err := json.Unmarshal(w.call("GET", "/v1/me", ann, nil).ok(200).body, &me); err != nil || me.Budget.Spent != 175_000 || me.Storage.Limit != testQuota {
		t.Errorf("%+v %v", me, err)
	}
	if at := time.Now().UTC(); me.Budget.RenewsAt != time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, time.UTC) {
		t.Errorf("renews at %s", me.Budget.RenewsAt)
	}
	w.call("GET", "/v1/me/spending", "", nil).ok(401)
	for _, bad := range []string{"", "2026", "2026-00", "2026-1", "x"} {
		w.call("GET", "/v1/me/spending?month="+bad, ann, nil).ok(400)
	}
}

// TestJobsOfCallsCostWhatWasBilled: a job that is put in the queue counts as it was estimated until somebody hears what became of it.
func TestJobsOfCallsCostWhatWasBilled(t *testing.T) {
	w, s := falWorld(t, many, withBudgets(t, commands.BudgetLimits{User: commands.NoBudget, Room: commands.NoBudget, Server: commands.NoBudget}))
	ann := w.signed(t, "ann")
	spent := func(want int64) {
		t.Helper()
		if s := w.spending("/v1/me/spending", ann); s.Spent != want || s.Budget.Spent != want || s.Budget.Reserved != 0 {
			t.Errorf("%+v %+v, want %d", s, s.Budget, want)
		}
	}
	job := func() string {
		t.Helper()
		return falQueue + "/requests/" + w.fal("POST", falQueue, ann, `{"prompt":"cats","num_images":4}`).ok(200).str("request_id")
	}
	over := func(at string) {
		t.Helper()
		for w.fal("GET", at+"/status", ann, nil).str("status") != "COMPLETED" {
			w.fal("GET", at, ann, nil) // too early, which says nothing about what it costs
		}
	}
	well := job()
	spent(140_000)
	over(well)
	spent(140_000)
	for range 2 {
		w.fal("GET", well, ann, nil).ok(200)
		spent(35_000)
	}
	s.Plan(func(string, json.RawMessage) faltest.Plan {
		return faltest.Plan{Status: 422, Output: json.RawMessage(`{"detail":"no"}`)}
	})
	bad := job()
	over(bad)
	spent(175_000)
	w.fal("GET", bad+"/response", ann, nil)
	spent(35_000)
}

// TestGuestsShareABudget: new identities cost nothing, so they bring no new budget.
func TestGuestsShareABudget(t *testing.T) {
	w, _ := falWorld(t, many, withBudgets(t, commands.BudgetLimits{User: 80_000, Room: commands.NoBudget, Server: commands.NoBudget}))
	w.fal("POST", falRun, w.guest("Ann").token, falPrompt).ok(200)
	w.fal("POST", falRun, "", falPrompt).ok(200)
	if a := w.fal("POST", falRun, w.guest("Bob").token, falPrompt); a.status != 429 || !strings.Contains(string(a.body), "your address's budget") {
		t.Errorf("%d %s", a.status, a.body)
	}
	w.fal("POST", falRun, w.signed(t, "cat"), falPrompt).ok(200)
}

// TestACrowdCanNotOverspend: a hundred calls at once of one person and of many, end to end: never one more reaches fal.ai than is paid for.
func TestACrowdCanNotOverspend(t *testing.T) {
	const fits = 17
	w, s := falWorld(t, many, withBudgets(t, commands.BudgetLimits{User: fits * 35_000, Room: commands.NoBudget, Server: 2 * fits * 35_000}), func(c *Config) {
		c.FalLimits, c.FalBudget = []commands.Window{{Max: 1_000_000, Per: time.Minute}}, 1_000_000
	})
	var passed, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		token := w.signed(t, fmt.Sprint("crowd-", i%5))
		wg.Go(func() {
			switch a := w.fal("POST", falRun, token, falPrompt); a.status {
			case 200:
				passed.Add(1)
			case 429, 503:
				refused.Add(1)
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if n := int64(len(s.Requests())); n != passed.Load() || n > 2*fits {
		t.Errorf("%d calls were made, %d answered well, %d are paid for", n, passed.Load(), 2*fits)
	}
	if passed.Load() != 2*fits {
		t.Errorf("%d passed, %d refused; %d are paid for", passed.Load(), refused.Load(), 2*fits)
	}
	st, err := w.budgets.OfServer(soon(t))
	if err != nil || st.Spent != 2*fits*35_000 || st.Reserved != 0 {
		t.Errorf("%+v %v", st, err)
	}
}
