package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
)

// DefaultQuota is how many bytes of assets a person may keep.
const DefaultQuota = 1 << 30

const (
	heldAtMost  = 500 // uploads of a person under way
	quotaTries  = 60
	quotaAction = 10 * time.Second
)

// Ledger keeps a small document for each person, durably. Methods may be called concurrently, on several nodes.
type Ledger interface {
	// Get returns the document and its version; version 0 where there is none.
	Get(ctx context.Context, person string) (doc []byte, version uint64, err error)
	// Put stores it where its version is still the one given, else ErrSequence.
	Put(ctx context.Context, person string, doc []byte, version uint64) error
	// People yields who has a document.
	People(ctx context.Context, yield func(person string) bool) error
}

// Quota keeps account of the bytes of assets of each person: those that are kept, and those that are reserved by uploads under way. A document that is
// missing is made of what the lists say. Methods may be called concurrently; the limit holds on any number of nodes.
type Quota struct {
	ledger Ledger
	kept   func(ctx context.Context, person string) (bytes int64, err error)
	limit  int64
	clock  Clock
}

// NewQuota returns the account over ledger; kept says how many bytes of a person's assets are stored, for who has no document. limit is in bytes.
func NewQuota(ledger Ledger, kept func(ctx context.Context, person string) (int64, error), limit int64, clock Clock) *Quota {
	return &Quota{ledger, kept, limit, Config{Clock: clock}.withDefaults().Clock}
}

// usage is a person's document.
type usage struct {
	Kept int64           `json:"kept"` // bytes of stored assets
	Held map[string]hold `json:"held,omitempty"`
}

// hold is about an asset whose bytes are in question. It is there from before the asset's stream says anything until after it has said the last word.
type hold struct {
	Bytes int64 `json:"bytes"` // reserved; 0 where the asset is stored and about to be deleted
	At    int64 `json:"at"`    // Unix ms from which on somebody has to see what became of it
	Free  int64 `json:"free,omitempty"`
}

func (u *usage) total() int64 {
	n := u.Kept
	for _, h := range u.Held {
		n += h.Bytes
	}
	return n
}

// Usage is how a person stands, in bytes.
type Usage struct{ Kept, Reserved, Limit int64 }

// Of returns how a person stands.
func (q *Quota) Of(ctx context.Context, person string) (Usage, error) {
	u, _, err := q.read(ctx, person)
	return Usage{Kept: u.Kept, Reserved: u.total() - u.Kept, Limit: q.limit}, err
}

// reserve holds bytes for an asset; due is when to look what became of it. CodeTooLarge where the person may not keep so much.
func (q *Quota) reserve(ctx context.Context, person, asset string, bytes int64, due time.Time) error {
	return q.hold(ctx, person, asset, bytes, due, false)
}

// hold is reserve; paid is for what has been paid for: that is kept, though the person gets nothing more until there is room again.
func (q *Quota) hold(ctx context.Context, person, asset string, bytes int64, due time.Time, paid bool) error {
	return q.change(ctx, person, func(u *usage) (bool, error) {
		if _, ok := u.Held[asset]; ok {
			return false, nil
		}
		if paid {
			u.Held[asset] = hold{Bytes: bytes, At: due.UnixMilli()}
			return true, nil
		}
		if total := u.total(); total+bytes > q.limit {
			return false, domain.Errorf(domain.CodeTooLarge, "this would be more than you may keep: %d bytes of %d are used or reserved, this has %d", total, q.limit, bytes)
		}
		if len(u.Held) >= heldAtMost {
			return false, domain.Errorf(domain.CodeRateLimited, "at most %d uploads may be under way", heldAtMost)
		}
		u.Held[asset] = hold{Bytes: bytes, At: due.UnixMilli()}
		return true, nil
	})
}

// settle ends a reservation: bytes are kept of it.
func (q *Quota) settle(ctx context.Context, person, asset string, bytes int64) error {
	return q.change(ctx, person, func(u *usage) (bool, error) {
		_, held := u.Held[asset]
		if held {
			delete(u.Held, asset)
			u.Kept += bytes
		}
		return held, nil
	})
}

// release says beforehand that bytes of a stored asset are about to be free; released that they are, or, with 0, that they are not.
func (q *Quota) release(ctx context.Context, person, asset string, bytes int64) error {
	return q.change(ctx, person, func(u *usage) (bool, error) {
		u.Held[asset] = hold{Free: bytes, At: q.clock()}
		return true, nil
	})
}

func (q *Quota) released(ctx context.Context, person, asset string, bytes int64) error {
	return q.change(ctx, person, func(u *usage) (bool, error) {
		_, held := u.Held[asset]
		if held {
			delete(u.Held, asset)
			u.Kept = max(0, u.Kept-bytes)
		}
		return held, nil
	})
}

// due returns the assets of a person that somebody has to look after by now.
func (q *Quota) due(ctx context.Context, person string) (map[string]hold, error) {
	u, _, err := q.read(ctx, person)
	now := q.clock()
	for asset, h := range u.Held {
		if h.At > now {
			delete(u.Held, asset)
		}
	}
	return u.Held, err
}

func (q *Quota) read(ctx context.Context, person string) (u usage, version uint64, err error) {
	doc, version, err := q.ledger.Get(ctx, person)
	if err != nil {
		return u, 0, fmt.Errorf("quota of %s: %w", person, err)
	}
	if version == 0 {
		u.Kept, err = q.kept(ctx, person)
	} else {
		err = json.Unmarshal(doc, &u)
	}
	if u.Held == nil {
		u.Held = map[string]hold{}
	}
	if err != nil {
		return u, 0, fmt.Errorf("quota of %s: %w", person, err)
	}
	return u, version, nil
}

// change stores what fn makes of the document, where it says so; it is called again where somebody else was faster, so it must not count twice.
func (q *Quota) change(ctx context.Context, person string, fn func(*usage) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, quotaAction)
	defer cancel()
	for try := 1; ; try++ {
		u, version, err := q.read(ctx, person)
		if err != nil {
			return err
		}
		changed, err := fn(&u)
		if err != nil || !changed {
			return err
		}
		doc, err := json.Marshal(u)
		if err != nil {
			return fmt.Errorf("quota of %s: %w", person, err)
		}
		err = q.ledger.Put(ctx, person, doc, version)
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrSequence) || try == quotaTries {
			return fmt.Errorf("quota of %s: %w", person, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("quota of %s: %w", person, ctx.Err())
		case <-time.After(time.Duration(rand.Int64N(int64(2*time.Millisecond) * int64(min(try, 10))))):
		}
	}
}
