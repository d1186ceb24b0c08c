package projections

import (
	"context"
	"fmt"

	"github.com/infinite-kanvas/kanvas/events"
)

// Sizes of what is read at once. A chunk waits while the one before is applied, so each partition holds at most two.
const (
	readCommits = 512
	readBytes   = 4 << 20
	chunkBytes  = 4 << 20 // of prepared changes, with their canvases
)

// chunk is a run of changes of one partition.
type chunk struct {
	changes []*change
	more    bool // the reader goes on at once: there is more to read
	size    int
	// taken, where not nil, is closed once the chunk is applied; the reader waits for it, so that at the end of the log it reads once for
	// each batch and not once for each commit.
	taken chan struct{}
}

// reader reads one partition from after on, up to and with sequence until (0: for ever).
type reader struct {
	partition    int
	after, until uint64
	source       Source
	prep         *preparer
	tries        int
	follow       bool // at the end of the log, wait for each batch
	failed       func(ctx context.Context, try int, err error)
	out          chan<- chunk
}

// run returns at until, or with an error: ctx's, or the last of tries.
func (r *reader) run(ctx context.Context) error {
	for r.until == 0 || r.after < r.until {
		recs, err := retry(ctx, r, func() ([]events.Record, error) {
			return r.source.Next(ctx, r.partition, r.after, readCommits, readBytes)
		})
		if err != nil {
			return fmt.Errorf("read partition %d after %d: %w", r.partition, r.after, err)
		}
		if err := r.handle(ctx, recs); err != nil {
			return err
		}
	}
	return nil
}

// handle prepares records and sends them on.
func (r *reader) handle(ctx context.Context, recs []events.Record) error {
	c := chunk{more: len(recs) >= readCommits, changes: make([]*change, 0, len(recs))}
	for _, rec := range recs {
		if rec.Seq <= r.after {
			return fmt.Errorf("read partition %d: sequence %d after %d", r.partition, rec.Seq, r.after)
		}
		if r.until > 0 && rec.Seq > r.until {
			r.after = r.until
			break
		}
		ch, err := retry(ctx, r, func() (*change, error) { return r.prep.prepare(ctx, rec) })
		if err != nil {
			return fmt.Errorf("prepare commit %d of partition %d: %w", rec.Seq, r.partition, err)
		}
		r.after = rec.Seq
		c.changes = append(c.changes, ch)
		if c.size += ch.size; c.size >= chunkBytes {
			c.more = true
			if err := r.send(ctx, c); err != nil {
				return err
			}
			c = chunk{}
		}
	}
	return r.send(ctx, c)
}

func (r *reader) send(ctx context.Context, c chunk) error {
	if len(c.changes) == 0 {
		return nil
	}
	if r.follow && !c.more {
		c.taken = make(chan struct{})
	}
	select {
	case r.out <- c:
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.taken == nil {
		return nil
	}
	select {
	case <-c.taken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retry calls f until it succeeds, at most tries times where that is set.
func retry[T any](ctx context.Context, r *reader, f func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		v, err := f()
		if err == nil || ctx.Err() != nil || try == r.tries {
			return v, err
		}
		r.failed(ctx, try, err)
		if err := backoff(ctx, try); err != nil {
			return v, err
		}
	}
}
