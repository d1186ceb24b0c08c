package commands

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// NoBudget is a budget without end.
const NoBudget = -1

// BudgetLimits are what may be spent in a calendar month (UTC), in millionths of a US dollar; NoBudget: as much as one likes.
type BudgetLimits struct{ User, Room, Server int64 }

// Account names whom a budget is for.
type Account string

// ServerAccount is that of everybody together.
const ServerAccount Account = "server"

// AnonymousAccount is that of all who are nobody: their addresses are not kept, and the server's budget is theirs.
const AnonymousAccount Account = "anonymous"

// UserAccount and RoomAccount are those of one person and one room.
func UserAccount(person string) Account {
	if person == "" || (domain.Actor{ID: person}).Anonymous() {
		return AnonymousAccount
	}
	return Account(userPrefix + person)
}

// RoomAccount is that of one room.
func RoomAccount(room string) Account { return Account(roomPrefix + room) }

const (
	userPrefix    = "user/"
	roomPrefix    = "room/"
	addressPrefix = "address/"
)

// addressAccount is that of everybody who comes from an address and whose identity is free. It does not say which address it is.
func (b *Budgets) addressAccount(address string) Account {
	mac := hmac.New(sha256.New, b.cfg.Key)
	mac.Write([]byte(addressPrefix + address))
	return Account(addressPrefix + hex.EncodeToString(mac.Sum(nil)[:16]))
}

// Of is the user or the room whose account it is; of others both are "".
func (a Account) Of() (user, room string) {
	if user, ok := a.person(); ok {
		return user, ""
	}
	if room, ok := strings.CutPrefix(string(a), roomPrefix); ok {
		return "", room
	}
	return "", ""
}

// person is the user whose account it is.
func (a Account) person() (id string, ok bool) { return strings.CutPrefix(string(a), userPrefix) }

// Booked is what the lists say of an account: what was spent, by month, and what is still open.
type Booked struct {
	Months map[string]int64 // by "2006-01"
	Open   []OpenSpend
}

// OpenSpend is a spend that is not settled yet.
type OpenSpend struct {
	Spend
	Month string
}

// BudgetConfig is what Budgets needs. Nil Logger and Metrics: none.
type BudgetConfig struct {
	Ledger Ledger // by account
	Limits BudgetLimits
	Prices Prices
	Key    []byte // hides addresses; the same on all nodes
	// Booked makes an account that has no document, as of the log's head: new ones, and those of a lost ledger.
	Booked func(ctx context.Context, account Account) (Booked, error)
	// Outcome says what became of a generation, for the sweep; exact at the log's head.
	Outcome func(ctx context.Context, room, id string) (Outcome, error)
	Streams *Streams // where calls are written down
	// CallOf finds the newest entry of the call that put a job in the queue.
	CallOf  func(ctx context.Context, job string) (entry events.SpendingRecordedData, ok bool, err error)
	Clock   Clock
	Logger  *slog.Logger
	Metrics prometheus.Registerer
}

// Budgets keeps account of the money that people, rooms and the server spend at fal.ai. What a run may cost is held before it begins and settled after,
// each account by itself under the check of its document's version: no budget is overspent on any number of nodes by what was reserved. The person's
// document is written first and settled last, so what is held there is the list of what a crash may have cut. Methods may be called concurrently.
type Budgets struct {
	cfg     BudgetConfig
	turns   [64]chan struct{} // of this process's changes, by account: waiting here is cheaper than losing at the store
	metrics budgetMetrics
}

// NewBudgets returns the accounts over the ledger.
func NewBudgets(cfg BudgetConfig) *Budgets {
	cfg.Clock = Config{Clock: cfg.Clock}.withDefaults().Clock
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Budgets{cfg: cfg, metrics: newBudgetMetrics(cfg.Metrics)}
	for i := range b.turns {
		b.turns[i] = make(chan struct{}, 1)
	}
	return b
}

// Estimate is Prices.Estimate.
func (b *Budgets) Estimate(model string, input json.RawMessage) int64 {
	return b.cfg.Prices.Estimate(model, input)
}

// Cost is Prices.Cost.
func (b *Budgets) Cost(model string, input, output json.RawMessage, units float64) int64 {
	return b.cfg.Prices.Cost(model, input, output, units)
}

// budget is an account that a spend is taken from, and what it has a month.
type budget struct {
	account Account
	limit   int64
	whose   string // in refusals
}

// budgetsOf are the accounts of a spend, the person's first. from is its address's, "" for none.
func (b *Budgets) budgetsOf(s *Spend, from Account) []budget {
	l := &b.cfg.Limits
	list := []budget{{UserAccount(s.Person), l.User, "your"}}
	if list[0].account == AnonymousAccount {
		list[0].limit = NoBudget
	}
	if from != "" {
		list = append(list, budget{from, l.User, "your address's"})
	}
	if s.Room != "" {
		list = append(list, budget{RoomAccount(s.Room), l.Room, "this room's"})
	}
	return append(list, budget{ServerAccount, l.Server, "this server's"})
}

// Reserve takes what a spend may cost from the budgets of the person, the room and the server, or from none. Of an ID that is held, or that was settled
// at a cost in the last day, nothing more is taken. A *domain.Error of CodeRateLimited says which budget is used up and when there is a new one. After
// any other error some of it may be held until the sweep; who was told so may try again.
func (b *Budgets) Reserve(ctx context.Context, s Spend) error { return b.reserve(ctx, s, 0) }

// reserve is Reserve; the sweep looks after it after a while: 0 is that of generations.
func (b *Budgets) reserve(ctx context.Context, s Spend, call time.Duration) error {
	var from Account
	if s.Address != "" {
		from = b.addressAccount(s.Address)
	}
	list := b.budgetsOf(&s, from)
	for i := range list {
		paid, err := b.hold(ctx, &list[i], &s, from, call)
		var refusal *domain.Error
		switch {
		case errors.As(err, &refusal):
			b.metrics.refused.WithLabelValues(kindOf(list[i].account)).Inc()
			if undo := b.release(ctx, &s, list[:i]); undo != nil {
				b.cfg.Logger.Warn("spend_not_given_back", slog.String("spend", s.ID), slog.String("error", undo.Error())) // the sweep will
			}
			return err
		case err != nil:
			return err
		case paid:
			return nil // the person's document speaks for the others
		}
	}
	return nil
}

// release gives back what was held, the person's last.
func (b *Budgets) release(ctx context.Context, s *Spend, held []budget) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quotaAction)
	defer cancel()
	for i := len(held) - 1; i >= 0; i-- {
		err := b.change(ctx, held[i].account, func(a *account) (bool, error) {
			_, ok := a.Held[s.ID]
			delete(a.Held, s.ID)
			return ok, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// hold takes a spend from one budget; by is its address's account.
func (b *Budgets) hold(ctx context.Context, from *budget, s *Spend, by Account, call time.Duration) (paid bool, err error) {
	err = b.change(ctx, from.account, func(a *account) (bool, error) {
		paid = a.Settled[s.ID].Cost > 0
		if _, held := a.Held[s.ID]; held || paid {
			return false, nil
		}
		now := b.cfg.Clock()
		month := monthOf(now)
		if left := from.limit - a.used(month); from.limit != NoBudget && s.Amount > left {
			return false, domain.Errorf(domain.CodeRateLimited, "%s budget is used up: this may cost %s, %s of %s are left; there is a new one on %s",
				from.whose, Dollars(s.Amount), Dollars(max(left, 0)), Dollars(from.limit), nextMonth(now).Format(time.DateOnly))
		}
		if len(a.Held) >= openAtMost(from.account) {
			return false, domain.Errorf(domain.CodeRateLimited, "at most %d generations may be under way", openAtMost(from.account))
		}
		delete(a.Settled, s.ID) // it had cost nothing
		h := heldSpend{Amount: s.Amount, Month: month, At: now}
		if from.account == UserAccount(s.Person) {
			h.Room, h.Model, h.From, h.Call = s.Room, s.Model, by, call > 0
			h.At += max(call, generationDue).Milliseconds()
		}
		a.Held[s.ID] = h
		return true, nil
	})
	return paid, err
}

// Settle says what a spend did cost in the end; 0 gives all of it back. It may come again, and with another cost within a day, and then the last one
// counts. Of what is neither held nor was settled nothing changes.
func (b *Budgets) Settle(ctx context.Context, s Spend, cost int64) error {
	a, _, err := b.read(ctx, UserAccount(s.Person))
	if err != nil {
		return fmt.Errorf("settle %s: %w", s.ID, err)
	}
	list := b.budgetsOf(&s, a.from(s.ID))
	for i := len(list) - 1; i >= 0; i-- {
		var difference int64
		err := b.change(ctx, list[i].account, func(a *account) (changed bool, err error) {
			difference, changed = a.settle(s.ID, max(cost, 0), b.cfg.Clock())
			return changed, nil
		})
		if err != nil {
			return fmt.Errorf("settle %s: %w", s.ID, err)
		}
		if i == 0 {
			b.metrics.spent.Add(float64(max(difference, 0)) / Micros)
		}
	}
	return nil
}

// Standing is how an account stands in a month, in millionths of a US dollar.
type Standing struct {
	Month           string // such as "2026-01"
	Spent, Reserved int64
	Limit           int64 // NoBudget: none
}

// Of returns how a person stands this month.
func (b *Budgets) Of(ctx context.Context, person string) (Standing, error) {
	return b.standing(ctx, UserAccount(person), b.cfg.Limits.User)
}

// OfRoom returns how a room stands this month.
func (b *Budgets) OfRoom(ctx context.Context, room string) (Standing, error) {
	return b.standing(ctx, RoomAccount(room), b.cfg.Limits.Room)
}

// OfServer returns how the server stands this month.
func (b *Budgets) OfServer(ctx context.Context) (Standing, error) {
	return b.standing(ctx, ServerAccount, b.cfg.Limits.Server)
}

func (b *Budgets) standing(ctx context.Context, of Account, limit int64) (Standing, error) {
	a, _, err := b.read(ctx, of)
	month := monthOf(b.cfg.Clock())
	spent := a.Months[month]
	return Standing{Month: month, Spent: spent, Reserved: a.used(month) - spent, Limit: limit}, err
}

// Dollars writes an amount for people, such as "$0.035".
func Dollars(micros int64) string {
	text := fmt.Sprintf("$%d.%06d", micros/Micros, micros%Micros)
	for strings.HasSuffix(text, "0") && text[len(text)-3] != '.' {
		text = text[:len(text)-1]
	}
	return text
}

// monthOf is the calendar month of a time, as accounts name it.
func monthOf(ms int64) string { return time.UnixMilli(ms).UTC().Format(monthForm) }

const monthForm = "2006-01"

func nextMonth(ms int64) time.Time {
	t := time.UnixMilli(ms).UTC()
	return time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
}

// turn waits for this process's other changes of the account.
func (b *Budgets) turn(ctx context.Context, a Account) (leave func(), err error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(a)) // a hash's Write never fails
	turn := b.turns[h.Sum32()%uint32(len(b.turns))]
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("budget of %s: waiting for others: %w", a, ctx.Err())
	}
}
