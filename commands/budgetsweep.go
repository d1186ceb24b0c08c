package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
)

// Run sweeps from time to time until ctx ends.
func (b *Budgets) Run(ctx context.Context) error {
	for {
		n, err := b.Sweep(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			b.cfg.Logger.Warn("budgets_sweep", slog.String("error", err.Error()))
		case n > 0:
			b.cfg.Logger.Info("budgets_swept", slog.Int("settled", n))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(sweepEvery):
		}
	}
}

// Sweep settles what was held by those who are gone: generations by what became of them, calls that may have been made as if they had been. It goes on
// past what fails, and says how many it settled.
func (b *Budgets) Sweep(ctx context.Context) (settled int, err error) {
	var errs []error
	err = b.cfg.Ledger.People(ctx, func(of string) bool {
		account := Account(of)
		if _, ok := account.person(); ok || account == AnonymousAccount {
			n, err := b.sweepAccount(ctx, account)
			settled += n
			errs = append(errs, err)
		}
		return ctx.Err() == nil
	})
	b.metrics.swept.Add(float64(settled))
	return settled, errors.Join(append(errs, err)...)
}

func (b *Budgets) sweepAccount(ctx context.Context, of Account) (settled int, err error) {
	a, _, err := b.read(ctx, of)
	if err != nil {
		return 0, err
	}
	person, _ := of.person()
	now := b.cfg.Clock()
	var errs []error
	for id, h := range a.Held {
		if h.At > now {
			continue
		}
		done, err := b.sweepSpend(ctx, Spend{ID: id, Person: person, Room: h.Room, Model: h.Model, Amount: h.Amount}, &h)
		if err != nil {
			errs = append(errs, fmt.Errorf("sweep spend %s of %s: %w", id, of, err))
		}
		if done {
			settled++
		}
	}
	return settled, errors.Join(errs...)
}

// sweepSpend settles one spend, where nobody else will.
func (b *Budgets) sweepSpend(ctx context.Context, s Spend, h *heldSpend) (done bool, err error) {
	if h.Call {
		return true, b.sweepCall(ctx, s, h)
	}
	if b.cfg.Outcome == nil {
		return false, nil
	}
	o, err := b.cfg.Outcome(ctx, s.Room, s.ID)
	if err != nil || o.Known && !o.Final {
		return false, err
	}
	if !o.Known { // its request never came to be
		o.Cost = 0
	}
	return true, b.Settle(ctx, s, o.Cost)
}

// sweepCall settles a call. What is written down cost what its entry says. Else the server's account knows, which is the last to hold it: where it does
// not, the call was never made; where it does, nobody knows.
func (b *Budgets) sweepCall(ctx context.Context, s Spend, h *heldSpend) error {
	d := events.SpendingRecordedData{ID: s.ID, Model: s.Model, Estimate: s.Amount, Cost: s.Amount, At: h.At - callDue.Milliseconds(), Outcome: CallUnknown}
	written, err := b.written(ctx, s.Person, &d)
	if err != nil {
		return err
	}
	if written {
		return b.Settle(ctx, s, d.Cost)
	}
	server, _, err := b.read(ctx, ServerAccount)
	if err != nil {
		return err
	}
	if _, held := server.Held[s.ID]; held {
		return b.finishCall(ctx, s.Person, d)
	}
	return b.Settle(ctx, s, 0)
}

// written reads the newest entry of a call into d, where there is one.
func (b *Budgets) written(ctx context.Context, person string, d *events.SpendingRecordedData) (found bool, err error) {
	if UserAccount(person) == AnonymousAccount {
		person = ""
	}
	commits, err := b.cfg.Streams.read(ctx, SpendingStream(person, d.At))
	for _, c := range commits {
		for i := range c.Events {
			if e, ok := c.Events[i].Payload.(*events.SpendingRecordedData); ok && e.ID == d.ID {
				*d, found = *e, true
			}
		}
	}
	return found, err
}
