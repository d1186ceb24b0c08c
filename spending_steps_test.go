package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
	"github.com/infinite-kanvas/kanvas/projections"
)

// callPrice is what a call of these tests costs, millionths of a US dollar.
const callPrice = 10_000

// caller calls a model through a server as one person.
type caller struct{ base, token, id string }

func newCaller(t *testing.T, base string) *caller {
	t.Helper()
	var g struct {
		Token string
		User  struct{ ID string }
	}
	if _, err := httpJSON("POST", base+"/v1/guests", "", map[string]any{"name": "Ann"}, &g); err != nil {
		t.Fatal(err)
	}
	return &caller{base, g.Token, g.User.ID}
}

func (c *caller) call(prompt string) (status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", c.base+"/api/fal", strings.NewReader(`{"prompt":"`+prompt+`"}`))
	if err != nil {
		return 0, err
	}
	for name, value := range map[string]string{"Authorization": "Bearer " + c.token, "Content-Type": "application/json", "X-Fal-Target-Url": "https://fal.run/fal-ai/evf-sam"} {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// onFal are the settings of a program whose fal.ai is the stand-in.
func onFal(t *testing.T, s *faltest.Server, more ...string) []string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, s.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	return append([]string{"FAL_KEY=" + faltest.Key, "KANVAS_TEST_FAL=" + s.Addr(), "KANVAS_TEST_FAL_CA=" + ca, "KANVAS_FAL_LIMITS=100000/1m", "KANVAS_FAL_BUDGET=100000",
		"KANVAS_FAL_PRICES=fal-ai/evf-sam=0.01"}, more...)
}

// arrived is how many calls with the prompt the stand-in had.
func arrived(s *faltest.Server, prompt string) (n int) {
	for _, r := range s.Requests() {
		if strings.Contains(r.Body, `"`+prompt+`"`) {
			n++
		}
	}
	return n
}

// TestCallsKilledAtEveryStep: a program that is killed at any write of a call of /api/fal makes it at most once, and afterwards the accounts and the lists say
// the same: what reached fal.ai is paid for, and nothing stays reserved.
func TestCallsKilledAtEveryStep(t *testing.T) {
	falai := faltest.Start(t)
	d := newDeaths(t, onFal(t, falai, "KANVAS_BUDGET_USER=none", "KANVAS_BUDGET_SERVER=none")...)
	atLeast := map[string]int64{} // what of each person's is known to have cost
	d.everyStep([]string{"before", "after"}, func(srv *server, at string) func(*server) {
		c := newCaller(t, "http://"+srv.addr)
		d.arm()
		status, err := c.call("first " + at)
		if err != nil && !srv.waitDead() || err == nil && status != http.StatusOK {
			t.Errorf("%s: %d %v", at, status, err)
		}
		return func(*server) {
			if status, err := c.call("second " + at); err != nil || status != http.StatusOK {
				t.Errorf("%s: after the crash: %d %v", at, status, err)
			}
			if n := arrived(falai, "first "+at); n > 1 {
				t.Errorf("%s: the call was made %d times", at, n)
			}
			atLeast[c.id] = int64(arrived(falai, "first "+at)+1) * callPrice
		}
	})
	t.Logf("%d kills of %d people's calls", d.kills, len(atLeast))
	if d.kills < 10 {
		t.Errorf("%d kills are fewer than a call has writes", d.kills)
	}
	d.paid(atLeast)
}

// paid sweeps the accounts two hours later, and holds them against the lists.
func (d *deaths) paid(atLeast map[string]int64) {
	t := d.t
	t.Helper()
	n, stop := nodeOn(t, d.dir, d.env...)
	defer stop()
	n.startProjections()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	ledger, err := n.log.OpenBudgets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	later := func() int64 { return time.Now().Add(2 * time.Hour).UnixMilli() }
	swept, err := commands.NewBudgets(commands.BudgetConfig{Ledger: ledger, Streams: commands.NewStreams(n.log, later), Clock: later}).Sweep(ctx)
	if err != nil || swept == 0 {
		t.Fatalf("%d were swept: %v", swept, err)
	}
	t.Logf("%d calls were settled by the sweep", swept)
	if err := n.runner.WaitHead(ctx); err != nil {
		t.Fatal(err)
	}
	var all, unheard int64
	for person, least := range atLeast {
		s, err := n.budgets.Of(ctx, person)
		if err != nil || s.Reserved != 0 || s.Spent < least || s.Spent > 2*callPrice {
			t.Errorf("%s: %+v, %d are known to have been spent (%v)", person, s, least, err)
		}
		rows, err := n.tables.Spending(ctx, projections.SpendingFilter{User: person, To: later()})
		if err != nil || len(rows) != 1 || rows[0].Cost != s.Spent {
			t.Errorf("%s: the lists have %+v, the account %+v (%v)", person, rows, s, err)
		}
		all += s.Spent
		if s.Spent > least {
			unheard++
		}
	}
	t.Logf("%d calls count that never arrived: nobody could know", unheard)
	if s, err := n.budgets.OfServer(ctx); err != nil || s.Reserved != 0 || s.Spent != all {
		t.Errorf("the server: %+v, people spent %d (%v)", s, all, err)
	}
}

// TestServersShareBudgets: two programs on one log, and calls at once through both: as many reach fal.ai as the budget pays for. It holds too
// where one of the programs is killed meanwhile.
func TestServersShareBudgets(t *testing.T) {
	const fits = 30
	falai := faltest.Start(t)
	env := onFal(t, falai, "KANVAS_BUDGET_USER=none", "KANVAS_BUDGET_SERVER=0.3", "KANVAS_RATE_LIMITS=off",
		"KANVAS_NATS_URL="+outsideLog(t).ClientURL(), "KANVAS_MASTER_KEY_FILE="+filepath.Join(t.TempDir(), "master.key"))
	bin, err := deadly()
	if err != nil {
		t.Fatal(err)
	}
	var servers []*server
	var callers []*caller
	for i := range 2 {
		servers = append(servers, startProgram(t, bin, t.TempDir(), "127.0.0.1:0", env...))
		for range 3 {
			callers = append(callers, newCaller(t, "http://"+servers[i].addr))
		}
	}
	crowd := func(n int) (passed int64) {
		t.Helper()
		var ok, other atomic.Int64
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				switch status, err := callers[i%len(callers)].call("x"); {
				case err == nil && status == http.StatusOK:
					ok.Add(1)
				case err != nil || status != http.StatusTooManyRequests:
					other.Add(1)
					t.Logf("%d %v", status, err)
				}
			})
		}
		all.Wait()
		if other.Load() > 0 {
			t.Errorf("%d calls got neither answer", other.Load())
		}
		return ok.Load()
	}
	if n := crowd(20); n != 20 {
		t.Errorf("%d of 20 passed, 30 are paid for", n)
	}
	servers[0].killAnd(func() {})
	callers = callers[3:]
	if n := crowd(80); n != fits-20 {
		t.Errorf("%d passed, 10 more are paid for", n)
	}
	if n := len(falai.Requests()); n != fits {
		t.Errorf("%d calls were made, %d are paid for", n, fits)
	}
}
