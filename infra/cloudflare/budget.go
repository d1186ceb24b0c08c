package cloudflare

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Lane says what a call is worth when the budget runs low.
type Lane int

const (
	// Durable calls wait for their turn: what must arrive in the end.
	Durable Lane = iota
	// Spare calls are refused with ErrBudget when less than a third of the reserve is left: caches, which live without.
	Spare
)

// budgetWindow is Cloudflare's: it counts an account's calls in five minutes (1,200 for all that use the account).
const budgetWindow = 5 * time.Minute

// minBudget is the least that makes sense: one call in half a minute.
const minBudget = 10

// budget keeps the calls of any five minutes below a number: a third of it is a reserve that may be spent at once, the rest comes in
// evenly. It also waits where Cloudflare said to come back later.
type budget struct {
	limiter *rate.Limiter // nil: not counted
	reserve float64

	mu        sync.Mutex
	notBefore time.Time
}

func newBudget(calls int) *budget {
	if calls == 0 {
		return &budget{}
	}
	reserve := calls / 3
	return &budget{limiter: rate.NewLimiter(rate.Limit(float64(calls-reserve)/budgetWindow.Seconds()), reserve), reserve: float64(reserve)}
}

func (b *budget) left() float64 {
	if b.limiter == nil {
		return 1
	}
	return max(0, min(1, b.limiter.Tokens()/b.reserve))
}

// take waits for a call's turn. An error means that the call must not be made.
func (b *budget) take(ctx context.Context, lane Lane) error {
	if lane == Spare && b.left() < 1./3 {
		return fmt.Errorf("the rest is for what can't be left out: %w", ErrBudget)
	}
	if err := b.waitRefused(ctx, lane); err != nil {
		return err
	}
	if b.limiter == nil {
		return nil
	}
	if err := b.limiter.Wait(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrBudget, err)
	}
	return nil
}

// waitRefused waits as long as Cloudflare asked for with its last 429.
func (b *budget) waitRefused(ctx context.Context, lane Lane) error {
	for {
		b.mu.Lock()
		wait := time.Until(b.notBefore)
		b.mu.Unlock()
		if wait <= 0 {
			return nil
		}
		if end, ok := ctx.Deadline(); lane == Spare || ok && time.Until(end) < wait {
			return fmt.Errorf("%w: Cloudflare takes no calls for another %s", ErrBudget, wait.Round(time.Second))
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// refused notes that Cloudflare wants no calls for a while.
func (b *budget) refused(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := time.Now().Add(d); t.After(b.notBefore) {
		b.notBefore = t
	}
}
