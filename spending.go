package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/config"
	"github.com/infinite-kanvas/kanvas/projections"
)

// openBudgets opens the accounts of what is spent at fal.ai.
func (n *node) openBudgets(ctx context.Context) error {
	ledger, err := n.log.OpenBudgets(ctx)
	if err != nil {
		return err
	}
	account := commands.Ledger(ledger)
	if underTest.ledger != nil {
		account = underTest.ledger(account)
	}
	secret, err := config.Secret(n.cfg.Data, "secret")
	if err != nil {
		return err
	}
	n.budgets = commands.NewBudgets(commands.BudgetConfig{
		Ledger: account, Limits: n.cfg.Fal.Budgets, Prices: n.cfg.Fal.Prices, Key: secret, Booked: n.booked, Outcome: n.outcome, CallOf: n.callOf, Streams: n.streams, Logger: n.logger, Metrics: n.reg,
	})
	return nil
}

// booked is what the lists say of an account, in this month and the one before, once they have got as far as the log is now.
func (n *node) booked(ctx context.Context, of commands.Account) (b commands.Booked, err error) {
	if err := n.runner.WaitHead(ctx); err != nil {
		return b, err
	}
	now := time.Now().UTC()
	f := projections.SpendingFilter{From: time.Date(now.Year(), now.Month()-1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), To: now.Add(time.Hour).UnixMilli()}
	f.User, f.Room = of.Of()
	rows, err := n.tables.Spending(ctx, f)
	if err != nil {
		return b, err
	}
	b.Months = map[string]int64{}
	for i := range rows {
		if of != commands.AnonymousAccount || rows[i].UserID == "" {
			b.Months[rows[i].Month] += rows[i].Cost
		}
	}
	if of == commands.AnonymousAccount { // generations are somebody's
		return b, nil
	}
	open, err := n.tables.OpenSpending(ctx, f)
	for _, g := range open {
		b.Open = append(b.Open, commands.OpenSpend{Month: time.UnixMilli(g.RequestedAt).UTC().Format(monthForm),
			Spend: commands.Spend{ID: g.ID, Person: g.UserID, Room: g.RoomID, Model: g.Model, Amount: g.Estimate}})
	}
	return b, err
}

// outcome says what became of a generation. Without a key of fal.ai's nobody follows any: they stay as they are.
func (n *node) outcome(ctx context.Context, room, id string) (commands.Outcome, error) {
	if n.generations == nil {
		return commands.Outcome{Known: true}, nil
	}
	return n.generations.Outcome(ctx, room, id)
}

// callOf finds the call that put a job in fal.ai's queue.
func (n *node) callOf(ctx context.Context, job string) (events.SpendingRecordedData, bool, error) {
	d, err := n.tables.CallOfJob(ctx, job)
	if errors.Is(err, projections.ErrNotFound) {
		return d, false, nil
	}
	return d, err == nil, err
}

// startBudgets sweeps the accounts until the node closes.
func (n *node) startBudgets() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.budgets.Run(ctx) }()
	n.onClose("budgets", func(context.Context) error { stop(); return <-ended })
}

// spendingLine is a line of kanvas spending.
type spendingLine struct {
	Month   string  `json:"month"`
	User    string  `json:"user,omitempty"`
	Model   string  `json:"model"`
	Source  string  `json:"source"`
	Count   int     `json:"count"`
	Kept    int     `json:"kept,omitempty"`
	Dollars float64 `json:"dollars"`
}

// opSpending is kanvas spending.
func (n *node) opSpending(ctx context.Context, args []string, out io.Writer) error {
	month := time.Now().UTC().Format(monthForm)
	var f projections.SpendingFilter
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "--month":
			month = value
		case "--user":
			f.User = value
		case "--room":
			f.Room = value
		default:
			return fmt.Errorf("spending: %q is not one of its arguments (see kanvas spending --help)", arg)
		}
	}
	first, err := time.Parse(monthForm, month)
	if err != nil {
		return fmt.Errorf("spending: --month %q is not a month such as 2026-01", month)
	}
	f.From, f.To = first.UnixMilli(), first.AddDate(0, 1, 0).UnixMilli()
	rows, err := n.tables.Spending(ctx, f)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range rows {
		errs = append(errs, json.NewEncoder(out).Encode(spendingLine{r.Month, r.UserID, r.Model, r.Source, r.Count, r.Kept, dollars(r.Cost)}))
	}
	if month == time.Now().UTC().Format(monthForm) {
		errs = append(errs, n.printStanding(ctx, &f, out))
	}
	return errors.Join(errs...)
}

func dollars(micros int64) float64 { return float64(micros) / commands.Micros }

// standingTimeout bounds the wait for the lists, where an account is made of them.
const standingTimeout = 5 * time.Second

// standingLine is the last line of kanvas spending about this month.
type standingLine struct {
	Month    string   `json:"month"`
	Budget   string   `json:"budget"` // whose
	Spent    float64  `json:"spent"`
	Reserved float64  `json:"reserved"`
	Limit    *float64 `json:"limit"` // null: none
}

// printStanding prints how the person, the room or the server stands; nothing where both a person and a room are asked about.
func (n *node) printStanding(ctx context.Context, f *projections.SpendingFilter, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, standingTimeout)
	defer cancel()
	var s commands.Standing
	var err error
	whose := "server"
	switch {
	case f.User != "" && f.Room != "":
		return nil
	case f.User != "":
		whose = "user"
		s, err = n.budgets.Of(ctx, f.User)
	case f.Room != "":
		whose = "room"
		s, err = n.budgets.OfRoom(ctx, f.Room)
	default:
		s, err = n.budgets.OfServer(ctx)
	}
	if err != nil {
		return err
	}
	line := standingLine{Month: s.Month, Budget: whose, Spent: dollars(s.Spent), Reserved: dollars(s.Reserved)}
	if s.Limit != commands.NoBudget {
		limit := dollars(s.Limit)
		line.Limit = &limit
	}
	return json.NewEncoder(out).Encode(line)
}

const monthForm = "2006-01"
