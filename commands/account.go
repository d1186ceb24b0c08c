package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// generationDue is when the sweep looks what became of a generation, callDue of a call of /api/fal: longer than either takes to be written down.
	generationDue = 15 * time.Minute
	callDue       = time.Hour
	// settledFor is how long what was settled is remembered, longer than a command is known by its key.
	settledFor  = 25 * time.Hour
	budgetTries = 100
)

// openAtMost is how many spends of an account may be under way.
func openAtMost(a Account) int {
	if _, ok := a.person(); ok {
		return 500
	}
	return 5_000
}

// settledAtMost bounds what an account remembers of what was settled: its whole document is written each time. What many share remembers enough for the
// last word on what was settled a while ago; beyond that it keeps the word before.
func settledAtMost(a Account) int {
	if _, ok := a.person(); ok {
		return 500
	}
	return 250
}

// account is a document of the ledger.
type account struct {
	Months  map[string]int64        `json:"months"` // spent, millionths of a US dollar, by month: this one and the one before
	Held    map[string]heldSpend    `json:"held,omitempty"`
	Settled map[string]settledSpend `json:"settled,omitempty"`
}

// heldSpend is what may still be spent. What it is for is in the person's account alone.
type heldSpend struct {
	Amount int64   `json:"amount"`
	Month  string  `json:"month"` // whose budget it is taken from
	At     int64   `json:"at"`    // Unix ms from which on somebody has to see what became of it
	Room   string  `json:"room,omitempty"`
	Model  string  `json:"model,omitempty"`
	From   Account `json:"from,omitempty"` // of the address, where that counts too
	Call   bool    `json:"call,omitempty"` // of /api/fal
}

type settledSpend struct {
	Cost  int64   `json:"cost"`
	Month string  `json:"month"`
	At    int64   `json:"at"` // Unix ms
	From  Account `json:"from,omitempty"`
}

// from is the account of the address of a spend, "" where that does not count.
func (a *account) from(id string) Account {
	if h, ok := a.Held[id]; ok {
		return h.From
	}
	return a.Settled[id].From
}

// used is what a month's budget can't be spent on any more.
func (a *account) used(month string) int64 {
	n := a.Months[month]
	for _, h := range a.Held {
		if h.Month == month {
			n += h.Amount
		}
	}
	return n
}

// settle books the cost of what is held, or corrects what was booked. difference is what the month's sum has grown by.
func (a *account) settle(id string, cost, now int64) (difference int64, changed bool) {
	if h, ok := a.Held[id]; ok {
		delete(a.Held, id)
		a.book(h.Month, cost)
		a.Settled[id] = settledSpend{Cost: cost, Month: h.Month, At: now, From: h.From}
		return cost, true
	}
	s, ok := a.Settled[id]
	if !ok || s.Cost == cost {
		return 0, false
	}
	difference = cost - s.Cost
	a.book(s.Month, difference)
	a.Settled[id] = settledSpend{Cost: cost, Month: s.Month, At: now, From: s.From}
	return difference, true
}

func (a *account) book(month string, n int64) {
	if n != 0 {
		a.Months[month] = max(0, a.Months[month]+n)
	}
}

// tidy forgets what nothing can refer to any more.
func (a *account) tidy(of Account, now int64) {
	before := monthOf(now - 31*24*time.Hour.Milliseconds())
	for month := range a.Months {
		if month < before {
			delete(a.Months, month)
		}
	}
	oldest := now - settledFor.Milliseconds()
	for len(a.Settled) > 0 {
		for id, s := range a.Settled {
			if s.At < oldest {
				delete(a.Settled, id)
			}
		}
		if len(a.Settled) <= settledAtMost(of) {
			return
		}
		oldest += max((now-oldest)/8, 1) // too many: the older ones go
	}
}

// read returns an account and its version; of one without a document what the lists say.
func (b *Budgets) read(ctx context.Context, of Account) (a account, version uint64, err error) {
	doc, version, err := b.cfg.Ledger.Get(ctx, string(of))
	switch {
	case err != nil:
	case version > 0:
		err = json.Unmarshal(doc, &a)
	default:
		a, err = b.booked(ctx, of)
	}
	if a.Held == nil {
		a.Held = map[string]heldSpend{}
	}
	if a.Settled == nil {
		a.Settled = map[string]settledSpend{}
	}
	if a.Months == nil {
		a.Months = map[string]int64{}
	}
	if err != nil {
		return a, 0, fmt.Errorf("budget of %s: %w", of, err)
	}
	return a, version, nil
}

// booked makes an account of what the lists say.
func (b *Budgets) booked(ctx context.Context, of Account) (a account, err error) {
	if b.cfg.Booked == nil {
		return a, nil
	}
	booked, err := b.cfg.Booked(ctx, of)
	if err != nil {
		return a, err
	}
	a.Months, a.Held = booked.Months, map[string]heldSpend{}
	for _, o := range booked.Open {
		a.Held[o.ID] = heldSpend{Amount: o.Amount, Month: o.Month, At: b.cfg.Clock() + generationDue.Milliseconds(), Room: o.Room, Model: o.Model}
	}
	return a, nil
}

// change stores what fn makes of an account, where it says so; it is called again where somebody else was faster.
func (b *Budgets) change(ctx context.Context, of Account, fn func(*account) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, quotaAction)
	defer cancel()
	leave, err := b.turn(ctx, of)
	if err != nil {
		return err
	}
	defer leave()
	for try := 1; ; try++ {
		err := b.try(ctx, of, fn)
		if !errors.Is(err, ErrSequence) || try == budgetTries {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("budget of %s: %w", of, ctx.Err())
		case <-time.After(time.Duration(rand.Int64N(int64(2*time.Millisecond) * int64(min(try, 10))))):
		}
	}
}

func (b *Budgets) try(ctx context.Context, of Account, fn func(*account) (bool, error)) error {
	a, version, err := b.read(ctx, of)
	if err != nil {
		return err
	}
	changed, err := fn(&a)
	if err != nil || !changed {
		return err
	}
	a.tidy(of, b.cfg.Clock())
	doc, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("budget of %s: %w", of, err)
	}
	if err := b.cfg.Ledger.Put(ctx, string(of), doc, version); err != nil {
		return fmt.Errorf("budget of %s: %w", of, err)
	}
	return nil
}

type budgetMetrics struct {
	spent   prometheus.Counter
	refused *prometheus.CounterVec
	swept   prometheus.Counter
}

func newBudgetMetrics(reg prometheus.Registerer) budgetMetrics {
	m := budgetMetrics{
		spent:   counter("kanvas_spent_dollars_total", "US dollars that this process settled as spent at fal.ai."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kanvas_budget_refused_total", Help: "Runs of models refused as a budget was used up, by whose."}, []string{"whose"}),
		swept:   counter("kanvas_spends_swept_total", "Spends that a crash had cut, settled by the sweep."),
	}
	for _, whose := range []Account{UserAccount("x"), RoomAccount("x"), addressPrefix, ServerAccount} {
		m.refused.WithLabelValues(kindOf(whose)) // so that they are shown before the first
	}
	if reg != nil {
		reg.MustRegister(m.spent, m.refused, m.swept)
	}
	return m
}

// kindOf is the bounded label of metrics.
func kindOf(a Account) string {
	switch user, room := a.Of(); {
	case user != "":
		return "user"
	case room != "":
		return "room"
	}
	if strings.HasPrefix(string(a), addressPrefix) {
		return "address"
	}
	return string(a)
}
