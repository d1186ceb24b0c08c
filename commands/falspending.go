package commands

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// What became of a call, as its entry says.
const (
	CallDone    = "done"    // fal.ai took it
	CallRefused = "refused" // it didn't, and takes no money for that
	CallUnknown = "unknown" // no answer came: it may have been made, so it counts as made
)

// Calls keeps account of the calls of /api/fal, in the same budgets as generations are paid from.
func (b *Budgets) Calls() FalSpending { return falCalls{b} }

type falCalls struct{ *Budgets }

// Reserve implements FalSpending.
func (b falCalls) Reserve(ctx context.Context, who Payer, call FalCall) (settle func(context.Context, FalAnswer), err error) {
	s := Spend{ID: b.cfg.Streams.ids.next(), Person: who.Person, Address: who.Address, Model: call.Model, Amount: b.Estimate(call.Model, call.Input)}
	began := b.cfg.Clock()
	if err := b.reserve(ctx, s, callDue); err != nil {
		return nil, err
	}
	return func(ctx context.Context, answer FalAnswer) {
		outcome, cost := b.outcomeOf(&s, call, answer)
		var err error
		if answer.Unsent {
			err = b.Settle(ctx, s, 0)
		} else {
			err = b.finishCall(ctx, s, outcome, cost, began, b.cfg.Clock()-began)
		}
		if err != nil { // the sweep settles it
			b.cfg.Logger.Error("fal_call_unsettled", slog.String("call", s.ID), slog.String("userId", who.Person), slog.String("error", err.Error()))
		}
	}, nil
}

// outcomeOf is what a call came to. What fal.ai refuses or fails at costs nothing; a job that was put in the queue counts as it was estimated.
func (b falCalls) outcomeOf(s *Spend, call FalCall, answer FalAnswer) (outcome string, cost int64) {
	switch {
	case answer.Status == 0:
		return CallUnknown, s.Amount
	case answer.Status < 200 || answer.Status > 299:
		return CallRefused, 0
	case answer.Units > 0:
		return CallDone, b.Cost(s.Model, call.Input, nil, answer.Units)
	}
	return CallDone, s.Amount
}

// finishCall writes a call down that began at a time and took ms milliseconds (0: not known), and settles it, in this order: what is not written down stays
// held.
func (b *Budgets) finishCall(ctx context.Context, s Spend, outcome string, cost, began, ms int64) error {
	d := &events.SpendingRecordedData{ID: s.ID, Model: s.Model, Estimate: s.Amount, Cost: cost, At: began, Outcome: outcome, DurationMS: max(ms, 0)}
	if UserAccount(s.Person) != AnonymousAccount {
		d.User = s.Person
	}
	e := events.Event{Type: events.SpendingRecorded, Actor: domain.SystemID, Payload: d}
	if d.User != "" {
		e.Actor = d.User
	}
	if err := b.cfg.Streams.add(ctx, SpendingStream(d.User, began), e); err != nil {
		return fmt.Errorf("write down call %s: %w", s.ID, err)
	}
	return b.Settle(ctx, s, cost)
}

// longestPerson is the longest id of a person that a stream's id holds as it is.
const longestPerson = events.MaxStreamID - 1 - len(monthForm)

// SpendingStream is where a person's calls of a month are written down; person "": those of who is nobody. One a month, so that none grows long.
func SpendingStream(person string, ms int64) events.Stream {
	switch {
	case person == "":
		person = "anon:all" // nobody's id
	case len(person) > longestPerson:
		sum := sha256.Sum256([]byte(person))
		person = hex.EncodeToString(sum[:])
	}
	return events.Spending(person + ":" + monthOf(ms))
}
