package objects

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/commands"
)

const (
	copiesAtOnce    = 4
	maxCopyFailures = 20 // objects that can't be copied, before the rest is not tried any more
)

// Side is a store that is copied from or to.
type Side struct {
	commands.Objects
	// Sum returns a sum of the object's bytes that both sides give for the same bytes. Where deep is false it may be what the store says of
	// them, and then two sums that differ prove nothing; where it is true the bytes are read.
	Sum func(ctx context.Context, o commands.Object, deep bool) (string, error)
}

// Tally counts objects and their bytes.
type Tally struct {
	Objects int
	Bytes   int64
}

func (t *Tally) add(o commands.Object) { t.Objects++; t.Bytes += o.Size }

// Copied is how far a copy got.
type Copied struct {
	Found, Same, Copied, Failed Tally // of the source
	OnlyThere                   Tally // objects that the target alone has: they stay
	Failures                    []error
}

// Copy gives To all that From has, and leaves alone what is there already: called again it goes on where it was stopped. Each object is compared
// with its source after it was copied. What is added while it runs may be left out.
type Copy struct {
	From, To Side
	DryRun   bool         // counts in Copied what would be copied
	Progress func(Copied) // called after every object, by one goroutine at a time; nil: nobody

	mu    sync.Mutex
	got   Copied
	began time.Time
}

// Run copies. It goes on past objects that can't be copied, which are in Failures, unless a store is away.
func (c *Copy) Run(ctx context.Context) (Copied, error) {
	c.began = time.Now()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(copiesAtOnce)
	err := c.pairs(gctx, func(p pair) error {
		if gctx.Err() != nil {
			return context.Cause(gctx)
		}
		g.Go(func() error { return c.one(gctx, p) })
		return nil
	})
	if werr := g.Wait(); werr != nil {
		err = werr // what stopped the listing too
	}
	if err == nil && len(c.got.Failures) > 0 {
		err = fmt.Errorf("%d objects were not copied, the first: %w", c.got.Failed.Objects, c.got.Failures[0])
	}
	return c.got, err
}

// pair is an object of the source and the one under its key in the target; there.Key is "" where there is none.
type pair struct{ here, there commands.Object }

// pairs yields what the source has, and counts what the target alone has.
func (c *Copy) pairs(ctx context.Context, yield func(pair) error) error {
	var failed error
	next, stop := iter.Pull(listed(ctx, c.To, &failed))
	defer stop()
	there, more := next()
	var stopped error
	err := c.From.List(ctx, "", func(here commands.Object) bool {
		for more && there.Key < here.Key {
			c.note(func(got *Copied) { got.OnlyThere.add(there) })
			there, more = next()
		}
		p := pair{here: here}
		if more && there.Key == here.Key {
			p.there = there
			there, more = next()
		}
		if stopped = failed; stopped == nil { // without the target's list everything would look missing
			stopped = yield(p)
		}
		return stopped == nil
	})
	if err = errors.Join(err, stopped); err != nil {
		return err
	}
	for ; more; there, more = next() {
		c.note(func(got *Copied) { got.OnlyThere.add(there) })
	}
	return failed
}

func listed(ctx context.Context, o commands.Objects, failed *error) iter.Seq[commands.Object] {
	return func(yield func(commands.Object) bool) { *failed = o.List(ctx, "", yield) }
}

func (c *Copy) note(f func(*Copied)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.got)
	if c.Progress != nil {
		c.Progress(c.got)
	}
}

// one brings one object over. An error stops everything.
func (c *Copy) one(ctx context.Context, p pair) error {
	same, err := c.same(ctx, p)
	if err == nil && !same && !c.DryRun {
		err = c.bring(ctx, p.here)
	}
	stop := errors.Is(err, commands.ErrObjectsDown) || ctx.Err() != nil
	c.note(func(got *Copied) {
		got.Found.add(p.here)
		switch {
		case err != nil && !stop:
			got.Failed.add(p.here)
			got.Failures = append(got.Failures, err)
			stop = len(got.Failures) >= maxCopyFailures
		case err != nil:
		case same:
			got.Same.add(p.here)
		default:
			got.Copied.add(p.here)
		}
	})
	if stop {
		return errors.Join(err, ctx.Err())
	}
	return nil
}

// same compares an object with the one in the target.
func (c *Copy) same(ctx context.Context, p pair) (bool, error) {
	if p.there.Key == "" || p.here.Size != p.there.Size {
		return false, nil
	}
	here, there, err := c.sums(ctx, p)
	return here == there, err
}

// sums are both sides' sums: what the stores say where that is the same, else of the bytes.
func (c *Copy) sums(ctx context.Context, p pair) (here, there string, err error) {
	for _, deep := range []bool{false, true} {
		if here, err = c.From.Sum(ctx, p.here, deep); err != nil {
			return "", "", err
		}
		if there, err = c.To.Sum(ctx, p.there, deep); err != nil || here == there {
			return here, there, err
		}
	}
	return here, there, nil
}

// bring copies an object and compares it then.
func (c *Copy) bring(ctx context.Context, o commands.Object) error {
	if _, err := c.From.Sum(ctx, o, false); err != nil { // damage stays here
		return err
	}
	body, o, err := c.From.Get(ctx, o.Key, 0, -1)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	err = c.To.Put(ctx, o.Key, o.ContentType, body, o.Size)
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", o.Key, err)
	}
	there, err := c.To.Head(ctx, o.Key)
	if err != nil {
		return fmt.Errorf("look at the copy of %s: %w", o.Key, err)
	}
	same, err := c.same(ctx, pair{o, there})
	if err == nil && !same {
		err = fmt.Errorf("the copy of %s has other bytes than its source", o.Key)
	}
	return err
}

// Digests are SHA-256 in hex over key, size and sum of all that the source had when Run began, and over what the target has under these keys. They
// are the same where the copy is whole.
func (c *Copy) Digests(ctx context.Context) (from, to string, err error) {
	line := func(h hash.Hash, o commands.Object, sum string) {
		if o.Key != "" {
			fmt.Fprintf(h, "%s\x00%d\x00%s\n", o.Key, o.Size, sum)
		}
	}
	here, there := sha256.New(), sha256.New()
	check := &Copy{From: c.From, To: c.To}
	err = check.pairs(ctx, func(p pair) error {
		if !c.began.IsZero() && p.here.ModifiedAt.After(c.began) { // came meanwhile
			return nil
		}
		if p.there.Key == "" {
			line(here, p.here, "")
			return nil
		}
		a, b, err := check.sums(ctx, p)
		line(here, p.here, a)
		line(there, p.there, b)
		return err
	})
	return hex.EncodeToString(here.Sum(nil)), hex.EncodeToString(there.Sum(nil)), err
}
