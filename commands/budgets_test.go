package commands_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
)

const cent = commands.Micros / 100

// purse is what budgets are tested with: a log, a clock that stands still, and nodes on them.
type purse struct {
	t      testing.TB
	log    *jetstream.Store
	now    atomic.Int64
	limits commands.BudgetLimits
	booked func(context.Context, commands.Account) (commands.Booked, error)
	fates  func(room, id string) (commands.Outcome, error)
}

func newPurse(t testing.TB, limits commands.BudgetLimits) *purse {
	p := &purse{t: t, log: openLog(t), limits: limits}
	p.now.Store(time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC).UnixMilli())
	return p
}

func (p *purse) ledger() commands.Ledger {
	p.t.Helper()
	l, err := p.log.OpenBudgets(testContext(p.t))
	if err != nil {
		p.t.Fatal(err)
	}
	return l
}

// node is one process's view of the accounts.
func (p *purse) node(ledger commands.Ledger) *commands.Budgets {
	p.t.Helper()
	if ledger == nil {
		ledger = p.ledger()
	}
	return commands.NewBudgets(commands.BudgetConfig{
		Ledger: ledger, Limits: p.limits, Prices: commands.DefaultPrices(), Streams: commands.NewStreams(p.log, p.now.Load), Clock: p.now.Load,
		Booked: p.booked,
		Outcome: func(_ context.Context, room, id string) (commands.Outcome, error) {
			if p.fates == nil {
				return commands.Outcome{}, errors.New("nobody was to ask")
			}
			return p.fates(room, id)
		},
	})
}

// stands checks an account: spent and reserved.
func (p *purse) stands(what string, of func(context.Context) (commands.Standing, error), spent, reserved int64) {
	p.t.Helper()
	s, err := of(testContext(p.t))
	if err != nil || s.Spent != spent || s.Reserved != reserved {
		p.t.Errorf("%s: %+v, want %d spent and %d reserved: %v", what, s, spent, reserved, err)
	}
}

func (p *purse) all(b *commands.Budgets, person, room string, spent, reserved int64) {
	p.t.Helper()
	p.stands("the person", func(ctx context.Context) (commands.Standing, error) { return b.Of(ctx, person) }, spent, reserved)
	p.stands("the room", func(ctx context.Context) (commands.Standing, error) { return b.OfRoom(ctx, room) }, spent, reserved)
	p.stands("the server", b.OfServer, spent, reserved)
}

func spend(id, person, room string, amount int64) commands.Spend {
	return commands.Spend{ID: id, Person: person, Room: room, Model: "fal-ai/flux-kontext-lora", Amount: amount}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refusedBy checks that a budget was used up, and whose.
func refusedBy(t testing.TB, err error, whose string) {
	t.Helper()
	var refusal *domain.Error
	if !errors.As(err, &refusal) || refusal.Code != domain.CodeRateLimited || !strings.HasPrefix(refusal.Detail, whose) {
		t.Errorf("%v, want a refusal of %s", err, whose)
	}
}

func TestBudgets(t *testing.T) {
	p := newPurse(t, commands.BudgetLimits{User: 10 * cent, Room: 12 * cent, Server: 15 * cent})
	b := p.node(nil)
	ctx := testContext(t)
	must(t, b.Reserve(ctx, spend("1", "ann", "r", 6*cent)))
	must(t, b.Reserve(ctx, spend("1", "ann", "r", 6*cent))) // again
	p.all(b, "ann", "r", 0, 6*cent)
	refusedBy(t, b.Reserve(ctx, spend("2", "ann", "r", 5*cent)), "your budget")
	must(t, b.Reserve(ctx, spend("3", "bob", "r", 6*cent)))
	refusedBy(t, b.Reserve(ctx, spend("4", "bob", "r", 1*cent)), "this room's budget")
	refusedBy(t, b.Reserve(ctx, spend("5", "bob", "s", 4*cent)), "this server's budget")
	p.stands("bob, of what was refused", func(ctx context.Context) (commands.Standing, error) { return b.Of(ctx, "bob") }, 0, 6*cent)
	p.stands("a room, of what was refused", func(ctx context.Context) (commands.Standing, error) { return b.OfRoom(ctx, "s") }, 0, 0)

	must(t, b.Settle(ctx, spend("1", "ann", "r", 0), 2*cent))
	must(t, b.Settle(ctx, spend("1", "ann", "r", 0), 2*cent))
	must(t, b.Settle(ctx, spend("3", "bob", "r", 0), 0))
	must(t, b.Settle(ctx, spend("unheard of", "bob", "r", 0), 9*cent))
	p.all(b, "ann", "r", 2*cent, 0)
	p.stands("bob", func(ctx context.Context) (commands.Standing, error) { return b.Of(ctx, "bob") }, 0, 0)

	must(t, b.Settle(ctx, spend("1", "ann", "r", 0), 3*cent)) // it was more after all
	p.all(b, "ann", "r", 3*cent, 0)
	must(t, b.Reserve(ctx, spend("1", "ann", "r", 6*cent))) // it is paid for
	must(t, b.Reserve(ctx, spend("3", "ann", "r", 6*cent))) // it had cost nothing
	p.all(b, "ann", "r", 3*cent, 6*cent)
}

// TestGuestsOfOneAddress: people whose identity is free share one budget by their address, which the accounts don't tell; what it comes to is booked there.
func TestGuestsOfOneAddress(t *testing.T) {
	p := newPurse(t, commands.BudgetLimits{User: 10 * cent, Room: commands.NoBudget, Server: commands.NoBudget})
	b := p.node(nil)
	ctx := testContext(t)
	from := func(s commands.Spend, address string) commands.Spend {
		s.Address = address
		return s
	}
	must(t, b.Reserve(ctx, from(spend("1", "guest_1", "r", 6*cent), "10.1.1.1")))
	refusedBy(t, b.Reserve(ctx, from(spend("2", "guest_2", "r", 6*cent), "10.1.1.1")), "your address's budget")
	p.stands("a guest that was refused", func(ctx context.Context) (commands.Standing, error) { return b.Of(ctx, "guest_2") }, 0, 0)
	must(t, b.Reserve(ctx, from(spend("3", "guest_2", "r", 6*cent), "10.1.1.2")))
	must(t, b.Settle(ctx, spend("1", "guest_1", "r", 0), 3*cent))
	must(t, b.Reserve(ctx, from(spend("4", "guest_3", "r", 7*cent), "10.1.1.1")))
	must(t, b.Settle(ctx, spend("1", "guest_1", "r", 0), 1*cent)) // the last word
	must(t, b.Reserve(ctx, from(spend("5", "", "", 2*cent), "10.1.1.1")))
	refusedBy(t, b.Reserve(ctx, from(spend("6", "", "", 1*cent), "10.1.1.1")), "your address's budget")
	must(t, p.ledger().People(ctx, func(account string) bool {
		if strings.Contains(account, "10.1") {
			t.Errorf("an account is called %s", account)
		}
		return true
	}))
}

// TestBudgetsByMonth: what is reserved in one month is paid from it, also where it is over in the next, which begins with a whole budget.
func TestBudgetsByMonth(t *testing.T) {
	p := newPurse(t, commands.BudgetLimits{User: 10 * cent, Room: commands.NoBudget, Server: commands.NoBudget})
	b := p.node(nil)
	ctx := testContext(t)
	must(t, b.Reserve(ctx, spend("1", "ann", "r", 10*cent)))
	err := b.Reserve(ctx, spend("2", "ann", "r", 1*cent))
	refusedBy(t, err, "your budget is used up: this may cost $0.01, $0.00 of $0.10 are left; there is a new one on 2026-02-01")
	p.now.Add(2 * time.Hour.Milliseconds())
	must(t, b.Reserve(ctx, spend("2", "ann", "r", 10*cent)))
	must(t, b.Settle(ctx, spend("1", "ann", "r", 0), 10*cent))
	p.all(b, "ann", "r", 0, 10*cent)
	p.now.Add(-2 * time.Hour.Milliseconds())
	p.all(b, "ann", "r", 10*cent, 0)
}

// TestBudgetsAreExact: 100 at once on each of two nodes, of one person and of many, never spend more than there is, and never less than fits.
func TestBudgetsAreExact(t *testing.T) {
	p := newPurse(t, commands.BudgetLimits{User: 50 * cent, Room: 80 * cent, Server: 90 * cent})
	nodes := []*commands.Budgets{p.node(nil), p.node(nil)}
	var passed [4]atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			who := i % 4
			s := spend(fmt.Sprint("s", i), fmt.Sprint("person-", who), "r", cent)
			err := nodes[i%2].Reserve(testContext(t), s)
			var refusal *domain.Error
			switch {
			case err == nil:
				passed[who].Add(1)
				if i%3 == 0 { // some are over meanwhile, at their price
					must(t, nodes[(i+1)%2].Settle(testContext(t), s, cent))
				}
			case !errors.As(err, &refusal):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var total int64
	for i := range passed {
		n := passed[i].Load()
		if n > 50 {
			t.Errorf("person %d passed %d times", i, n)
		}
		total += n
	}
	if total != 80 {
		t.Errorf("%d passed, the room has 80", total)
	}
	s, err := nodes[0].OfRoom(testContext(t), "r")
	if err != nil || s.Spent+s.Reserved != 80*cent {
		t.Errorf("%+v %v", s, err)
	}
}

// TestOnePersonOnTwoNodes is the crowd of one: all at one account.
func TestOnePersonOnTwoNodes(t *testing.T) {
	p := newPurse(t, commands.BudgetLimits{User: 37 * cent, Room: commands.NoBudget, Server: commands.NoBudget})
	nodes := []*commands.Budgets{p.node(nil), p.node(nil)}
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			err := nodes[i%2].Reserve(testContext(t), spend(fmt.Sprint(i), "ann", fmt.Sprint("room-", i%7), cent))
			if err == nil {
				passed.Add(1)
				return
			}
			refusedBy(t, err, "your budget")
		})
	}
	wg.Wait()
	if n := passed.Load(); n != 37 {
		t.Errorf("%d passed, not 37", n)
	}
}

// TestBudgetsSweep: what crashes left is settled by what became of it, and nothing else is touched.
func TestBudgetsSweep(t *testing.T) {
	p := newPurse(t, commands.BudgetLimits{User: commands.NoBudget, Room: commands.NoBudget, Server: commands.NoBudget})
	p.fates = func(room, id string) (commands.Outcome, error) {
		switch room + " " + id {
		case "r absent":
			return commands.Outcome{}, nil
		case "r open":
			return commands.Outcome{Known: true, Cost: 9 * cent}, nil
		case "r finished":
			return commands.Outcome{Known: true, Final: true, Cost: 4 * cent}, nil
		}
		return commands.Outcome{}, fmt.Errorf("asked about %s in %s", id, room)
	}
	b := p.node(nil)
	ctx := testContext(t)
	for _, id := range []string{"absent", "open", "finished"} {
		must(t, b.Reserve(ctx, spend(id, "ann", "r", 5*cent)))
	}
	if n, err := b.Sweep(ctx); n != 0 || err != nil {
		t.Fatalf("%d were settled before their time: %v", n, err)
	}
	p.now.Add(16 * time.Minute.Milliseconds())
	must(t, b.Reserve(ctx, spend("young", "ann", "r", cent)))
	other := p.node(nil)
	var wg sync.WaitGroup
	for _, n := range []*commands.Budgets{b, other} {
		wg.Go(func() {
			if _, err := n.Sweep(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	p.all(b, "ann", "r", 4*cent, 6*cent)
}

// cutLedger fails the n-th write, before or after it is done.
type cutLedger struct {
	commands.Ledger
	left  atomic.Int64
	after bool
}

var errCut = errors.New("cut")

func (l *cutLedger) Put(ctx context.Context, key string, doc []byte, version uint64) error {
	n := l.left.Add(-1)
	if n < 0 || n == 0 && !l.after { // the process is gone
		return errCut
	}
	if err := l.Ledger.Put(ctx, key, doc, version); err != nil || n > 0 {
		return err
	}
	return errCut
}

// TestBudgetsCut cuts a process at each of its writes, before and after; the sweep of another leaves no reservation, and books once.
func TestBudgetsCut(t *testing.T) {
	for cut := int64(1); cut <= 6; cut++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprint(cut, after), func(t *testing.T) {
				p := newPurse(t, commands.BudgetLimits{User: commands.NoBudget, Room: commands.NoBudget, Server: commands.NoBudget})
				var requested bool
				p.fates = func(string, string) (commands.Outcome, error) {
					return commands.Outcome{Known: requested, Final: requested, Cost: 4 * cent}, nil
				}
				ledger := &cutLedger{Ledger: p.ledger(), after: after}
				ledger.left.Store(cut)
				dying := p.node(ledger)
				ctx := testContext(t)
				s := spend("x", "ann", "r", 5*cent)
				err := dying.Reserve(ctx, s)
				if requested = err == nil; requested {
					err = dying.Settle(ctx, s, 4*cent)
				}
				if !errors.Is(err, errCut) {
					t.Fatalf("it was not cut: %v", err)
				}
				p.now.Add(16 * time.Minute.Milliseconds())
				b := p.node(nil)
				if _, err := b.Sweep(ctx); err != nil {
					t.Fatal(err)
				}
				var want int64
				if requested {
					want = 4 * cent
				}
				p.all(b, "ann", "r", want, 0)
			})
		}
	}
}

// TestLostBudgets: an account without a document is what the lists say.
func TestLostBudgets(t *testing.T) {
	p := newPurse(t, commands.BudgetLimits{User: 10 * cent, Room: commands.NoBudget, Server: commands.NoBudget})
	p.booked = func(_ context.Context, of commands.Account) (commands.Booked, error) {
		if of != commands.UserAccount("ann") {
			return commands.Booked{}, nil
		}
		return commands.Booked{Months: map[string]int64{"2026-01": 6 * cent}, Open: []commands.OpenSpend{{Spend: spend("open", "ann", "r", 3*cent), Month: "2026-01"}}}, nil
	}
	b := p.node(nil)
	ctx := testContext(t)
	refusedBy(t, b.Reserve(ctx, spend("1", "ann", "r", 2*cent)), "your budget")
	must(t, b.Reserve(ctx, spend("2", "ann", "r", cent)))
	must(t, b.Settle(ctx, spend("open", "ann", "r", 0), cent))
	p.stands("ann", func(ctx context.Context) (commands.Standing, error) { return b.Of(ctx, "ann") }, 7*cent, cent)
}

// TestFalCalls: a call of /api/fal is paid from the same budgets, and written down once.
func TestFalCalls(t *testing.T) {
	p := newPurse(t, commands.BudgetLimits{User: 14 * cent, Room: 0, Server: commands.NoBudget})
	b := p.node(nil)
	calls := b.Calls()
	ctx := testContext(t)
	call := commands.FalCall{Kind: commands.FalRun, Model: "fal-ai/flux-kontext-lora", Input: []byte(`{"num_images":2}`)}
	begin := func(person string) func(context.Context, commands.FalAnswer) {
		t.Helper()
		settle, err := calls.Reserve(ctx, commands.Payer{Person: person}, call)
		must(t, err)
		return settle
	}
	of := func(person string, spent, reserved int64) {
		t.Helper()
		p.stands(person, func(ctx context.Context) (commands.Standing, error) { return b.Of(ctx, person) }, spent, reserved)
	}
	first, second := begin("ann"), begin("ann")
	of("ann", 0, 14*cent)
	_, err := calls.Reserve(ctx, commands.Payer{Person: "ann"}, call)
	refusedBy(t, err, "your budget")
	p.now.Add(1500)
	first(ctx, commands.FalAnswer{Status: 200, Units: 1})
	second(ctx, commands.FalAnswer{Status: 422})
	of("ann", 35_000, 0)
	begin("ann")(ctx, commands.FalAnswer{Unsent: true})
	begin("ann")(ctx, commands.FalAnswer{Status: 200})
	of("ann", 105_000, 0)
	begin("")(ctx, commands.FalAnswer{}) // nobody, and nobody knows
	p.stands("the server", b.OfServer, 175_000, 0)

	got := p.recorded("ann")
	want := []events.SpendingRecordedData{
		{User: "ann", Cost: 35_000, Outcome: "done", DurationMS: 1500}, {User: "ann", Outcome: "refused", DurationMS: 1500}, {User: "ann", Cost: 70_000, Outcome: "done"},
	}
	for i := range want {
		want[i].Model, want[i].Estimate = call.Model, 70_000
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v", got)
	}
	if got := p.recorded(""); len(got) != 1 || got[0].Outcome != "unknown" || got[0].Cost != 70_000 || got[0].User != "" {
		t.Errorf("of nobody: %+v", got)
	}
}

// recorded are a person's entries of this month, without ids and times; the chain is checked.
func (p *purse) recorded(person string) (list []events.SpendingRecordedData) {
	p.t.Helper()
	var prev *events.Commit
	err := p.log.Read(testContext(p.t), commands.SpendingStream(person, p.now.Load()), 0, func(rec events.Record) bool {
		c, err := events.Decode(rec.Payload)
		if err == nil {
			err = events.VerifyLink(prev, c)
		}
		if err != nil {
			p.t.Error(err)
			return false
		}
		prev = c
		for _, e := range c.Events {
			d := *e.Payload.(*events.SpendingRecordedData)
			d.ID, d.At = "", 0
			list = append(list, d)
		}
		return true
	})
	must(p.t, err)
	return list
}

// TestFalCallsCut: a call whose process ended counts as made, and is written down by the sweep.
func TestFalCallsCut(t *testing.T) {
	p := newPurse(t, commands.BudgetLimits{User: commands.NoBudget, Room: commands.NoBudget, Server: commands.NoBudget})
	ctx := testContext(t)
	settle, err := p.node(nil).Calls().Reserve(ctx, commands.Payer{Person: "ann"}, commands.FalCall{Model: "fal-ai/evf-sam"})
	must(t, err)
	b := p.node(nil)
	p.now.Add(30 * time.Minute.Milliseconds())
	if n, err := b.Sweep(ctx); n != 0 || err != nil {
		t.Fatalf("%d were settled before their time: %v", n, err)
	}
	p.now.Add(31 * time.Minute.Milliseconds())
	if n, err := b.Sweep(ctx); n != 1 || err != nil {
		t.Fatalf("%d were settled: %v", n, err)
	}
	p.stands("the server", b.OfServer, 0, 0) // it is February by now
	p.now.Add(-61 * time.Minute.Milliseconds())
	p.stands("ann", func(ctx context.Context) (commands.Standing, error) { return b.Of(ctx, "ann") }, cent, 0)
	if got := p.recorded("ann"); len(got) != 1 || got[0].Outcome != "unknown" {
		t.Errorf("%+v", got)
	}
	p.now.Add(62 * time.Minute.Milliseconds())
	settle(ctx, commands.FalAnswer{Status: 500}) // it was alive after all
	p.now.Add(-62 * time.Minute.Milliseconds())
	p.stands("ann", func(ctx context.Context) (commands.Standing, error) { return b.Of(ctx, "ann") }, 0, 0)
	if got := p.recorded("ann"); len(got) != 2 || got[1].Outcome != "refused" {
		t.Errorf("%+v", got)
	}
}

// BenchmarkBudgets reserves and settles one spend of a person in a room, as generations do.
func BenchmarkBudgets(b *testing.B) {
	p := newPurse(b, commands.BudgetLimits{User: commands.NoBudget, Room: commands.NoBudget, Server: commands.NoBudget})
	node := p.node(nil)
	ctx := context.Background()
	for n := 0; b.Loop(); n++ {
		s := spend(fmt.Sprintf("0198a5c4-7d00-7000-8000-%012x", n), fmt.Sprint("person-", n%10), fmt.Sprint("room-", n%10), cent)
		if err := errors.Join(node.Reserve(ctx, s), node.Settle(ctx, s, cent)); err != nil {
			b.Fatal(err)
		}
	}
}
