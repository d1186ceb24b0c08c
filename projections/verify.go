package projections

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/events"
)

// Verified is what a check found. It is sound where Bad is empty and Equal is true.
type Verified struct {
	Room            string // "" for all
	Commits, Events uint64
	Streams         int
	Bad             []BadCommit // the first of each stream that has one, in the order of partitions and sequences
	DigestLive      string      // of the tables
	DigestLog       string      // of what the log gives at the same position
	Equal           bool
	Parked          []Parked
}

// BadCommit is where a stream's chain breaks: a sum that isn't, a commit that does not follow the one before, one that can't be read,
// or a gap in a partition (Stream is empty then).
type BadCommit struct {
	Stream    events.Stream
	Partition int
	Seq       uint64
	Revision  uint64 // of its first event, 0 where it can't be read
	Err       error
}

// OK says whether nothing is wrong.
func (v *Verified) OK() bool { return len(v.Bad) == 0 && v.Equal && len(v.Parked) == 0 }

// Verify checks the hash chain of all streams or of one room, from the first commit to the last, and compares the tables with what the
// log gives at their position. It changes nothing. Damage is in the answer; an error means that it could not be told.
func (r *Runner) Verify(ctx context.Context, room string) (Verified, error) {
	v := Verified{Room: room}
	var err error
	if room != "" {
		err = r.verifyRoom(ctx, &v)
	} else {
		err = r.verifyAll(ctx, &v)
	}
	if err != nil {
		return v, fmt.Errorf("verify: %w", err)
	}
	if err := r.compareTables(ctx, &v); err != nil {
		return v, fmt.Errorf("verify: compare with the tables: %w", err)
	}
	parked, err := r.cfg.Store.Parked(ctx, Tables)
	for _, p := range parked {
		if room == "" || p.Stream == events.Room(room) {
			v.Parked = append(v.Parked, p)
		}
	}
	return v, err
}

// compareTables digests the live tables and those that the log gives at their position, made beside them or in Scratch.
func (r *Runner) compareTables(ctx context.Context, v *Verified) (err error) {
	live, ok := r.cfg.Store.(Shadows)
	if !ok {
		return fmt.Errorf("the store %s has no digest", r.cfg.Name)
	}
	store := live
	if r.cfg.Scratch != nil {
		scratch, drop, serr := r.cfg.Scratch(ctx)
		if serr != nil {
			return fmt.Errorf("tables to compare with: %w", serr)
		}
		defer func() { err = errors.Join(err, drop()) }()
		store = scratch
	}
	prep := &preparer{canvases: r.cfg.Canvases, unsealer: r.cfg.Unsealer} // no Blobs: nothing is stored
	return r.withShadow(ctx, store, prep, v.Room, func(s *shadow) error {
		r.applying.Lock()
		defer r.applying.Unlock()
		if err := s.compare(ctx, live, &v.DigestLive, &v.DigestLog); err != nil {
			return err
		}
		v.Equal = v.DigestLive == v.DigestLog
		for p := range r.cfg.Source.Partitions() {
			if n := s.missing[p]; n > 0 {
				v.Bad = append(v.Bad, BadCommit{Partition: p, Seq: s.engine.positions[p].Seq + 1, Err: fmt.Errorf("%w: %d commits that the tables were made from are missing", ErrLogShorter, n)})
			}
		}
		return store.DropShadow(ctx, Tables)
	})
}

// chain follows streams from their first commits. Once one is broken, no more is said of it.
type chain struct {
	ends            map[events.Stream]*events.Commit // the last commit, its events forgotten but for their number; nil: broken
	commits, events uint64
	bad             []BadCommit
}

func (c *chain) add(rec events.Record) {
	before, known := c.ends[rec.Stream]
	if known && before == nil {
		return
	}
	c.commits++
	commit, err := events.Decode(rec.Payload)
	revision := uint64(0)
	if err == nil {
		revision = commit.First
		c.events += uint64(len(commit.Events))
		err = events.VerifyLink(before, commit)
	}
	if err != nil {
		c.ends[rec.Stream] = nil
		c.bad = append(c.bad, BadCommit{Stream: rec.Stream, Partition: rec.Partition, Seq: rec.Seq, Revision: revision, Err: err})
		return
	}
	c.ends[rec.Stream] = &events.Commit{First: commit.Last(), At: commit.At, Sum: commit.Sum, Events: oneEvent[:]}
}

func (r *Runner) verifyRoom(ctx context.Context, v *Verified) error {
	c := chain{ends: map[events.Stream]*events.Commit{}}
	if err := r.cfg.Streams.Read(ctx, events.Room(v.Room), 1, func(rec events.Record) bool { c.add(rec); return true }); err != nil {
		return err
	}
	if len(c.ends) == 0 {
		return fmt.Errorf("%w: nothing of room %s is in the log", ErrNotFound, v.Room)
	}
	v.add(&c)
	return nil
}

func (v *Verified) add(c *chain) {
	v.Commits += c.commits
	v.Events += c.events
	v.Streams += len(c.ends)
	v.Bad = append(v.Bad, c.bad...)
}

func (r *Runner) verifyAll(ctx context.Context, v *Verified) error {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for p := range r.cfg.Source.Partitions() {
		g.Go(func() error {
			c, err := r.verifyPartition(ctx, p)
			if err != nil {
				return fmt.Errorf("partition %d: %w", p, err)
			}
			mu.Lock()
			defer mu.Unlock()
			v.add(c)
			return nil
		})
	}
	err := g.Wait()
	sort.Slice(v.Bad, func(i, j int) bool {
		a, b := &v.Bad[i], &v.Bad[j]
		return a.Partition < b.Partition || a.Partition == b.Partition && a.Seq < b.Seq
	})
	return err
}

func (r *Runner) verifyPartition(ctx context.Context, p int) (*chain, error) {
	c := &chain{ends: map[events.Stream]*events.Commit{}}
	_, last, err := r.cfg.Source.Bounds(ctx, p)
	if err != nil {
		return nil, err
	}
	for after := uint64(0); after < last; {
		recs, err := r.cfg.Source.Next(ctx, p, after, readCommits, readBytes)
		if err != nil {
			return nil, err
		}
		for _, rec := range recs {
			if rec.Seq > last {
				return c, nil
			}
			if rec.Seq != after+1 {
				c.bad = append(c.bad, BadCommit{Partition: p, Seq: after + 1, Err: fmt.Errorf("%d commits are missing from the log", rec.Seq-after-1)})
			}
			after = rec.Seq
			c.add(rec)
		}
	}
	return c, nil
}
