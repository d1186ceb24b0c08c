package commands

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"

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
			err = b.finishCall(ctx, s.Person, events.SpendingRecordedData{
				ID: s.ID, Model: s.Model, Estimate: s.Amount, Cost: cost, At: began, Outcome: outcome, DurationMS: max(b.cfg.Clock()-began, 0), Job: answer.Job,
			})
		}
		if err != nil { // the sweep settles it
			b.cfg.Logger.Error("fal_call_unsettled", slog.String("call", s.ID), slog.String("userId", who.Person), slog.String("error", err.Error()))
		}
	}, nil
}

// Followed implements FalSpending: a job's cost is corrected by what fal.ai billed for its result, or for its failure nothing.
func (b falCalls) Followed(ctx context.Context, job string, answer FalAnswer) {
	if err := b.followed(ctx, job, answer); err != nil {
		b.cfg.Logger.Warn("fal_job_unsettled", slog.String("job", job), slog.String("error", err.Error()))
	}
}

func (b falCalls) followed(ctx context.Context, job string, answer FalAnswer) error {
	failed := answer.Status == http.StatusUnprocessableEntity // other refusals are of the question, not of the job
	if b.cfg.CallOf == nil || !failed && answer.Units <= 0 {
		return nil
	}
	entry, ok, err := b.cfg.CallOf(ctx, job)
	if err != nil || !ok || b.cfg.Clock()-entry.At > settledFor.Milliseconds() {
		return err
	}
	cost := int64(0)
	if !failed {
		cost = b.Cost(entry.Model, nil, nil, answer.Units)
	}
	if cost == entry.Cost {
		return nil
	}
	entry.Cost = cost
	return b.finishCall(ctx, entry.User, entry)
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

// finishCall writes down a person's call and settles it, in this order: what is not written down stays held.
func (b *Budgets) finishCall(ctx context.Context, person string, d events.SpendingRecordedData) error {
	e := events.Event{Type: events.SpendingRecorded, Actor: domain.SystemID, Payload: &d}
	if UserAccount(person) != AnonymousAccount {
		d.User, e.Actor = person, person
	}
	if err := b.cfg.Streams.add(ctx, SpendingStream(d.User, d.At), e); err != nil {
		return fmt.Errorf("write down call %s: %w", d.ID, err)
	}
	return b.Settle(ctx, Spend{ID: d.ID, Person: person}, d.Cost)
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
