package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/infinite-kanvas/kanvas/events"
)

// Commits implements Rooms. Recent commits come from memory, older ones from the log, up to the head as it is when they have been read.
// CodeNotFound where the room has no commit. yield may block: nothing waits for it.
func (d *Dispatcher) Commits(ctx context.Context, roomID string, after uint64, yield func(*events.Commit) bool) error {
	s, err := d.acquire(ctx, roomID)
	if err != nil {
		return err
	}
	defer d.release(s)
	cs, head, ok := s.a.ring.after(after)
	if head == 0 {
		return errNoRoom
	}
	if ok {
		for _, c := range cs {
			if !yield(c) {
				return nil
			}
		}
		return nil
	}
	return d.readCommits(ctx, roomID, after, yield)
}

// readCommits reads the commits with revisions above after from the log, starting at the nearest snapshot below, or from the first
// commit where the snapshot's sequence turns out to be wrong: what a snapshot says is a hint.
func (d *Dispatcher) readCommits(ctx context.Context, roomID string, after uint64, yield func(*events.Commit) bool) error {
	r := commitReader{after: after, yield: yield, next: after + 1}
	if from := d.seekSnapshot(ctx, roomID, after); from > 1 {
		if err := d.readFrom(ctx, roomID, from, &r); err != nil || r.yielded {
			return err
		}
	}
	r.first = true
	return d.readFrom(ctx, roomID, 1, &r)
}

func (d *Dispatcher) readFrom(ctx context.Context, roomID string, from uint64, r *commitReader) error {
	r.bad = nil
	err := d.cfg.Log.Read(ctx, events.Room(roomID), from, r.record)
	if r.bad != nil {
		return damage(roomID, r.bad)
	}
	if err != nil {
		return fmt.Errorf("read room %s from sequence %d: %w", roomID, from, err)
	}
	return nil
}

// commitReader skips to the commit that holds the revision above after and yields from there, checking that each continues the one before.
type commitReader struct {
	after   uint64
	yield   func(*events.Commit) bool
	first   bool // reading from the first commit: what does not fit is damage
	yielded bool
	next    uint64 // revision that must come next
	prev    string // sum of the commit before, once yielded
	bad     error
}

func (r *commitReader) record(rec events.Record) bool {
	_, last, _, _, _, _, err := events.DecodeHeader(rec.Payload)
	if err == nil && last <= r.after {
		return true
	}
	var c *events.Commit
	if err == nil {
		c, err = decode(rec)
	}
	if err == nil && !r.continues(c) {
		if !r.first && !r.yielded {
			return false
		}
		err = errors.New("it does not continue the commit before")
	}
	if err != nil {
		r.bad = badCommit(rec, r.next, err)
		return false
	}
	r.yielded, r.next, r.prev = true, c.Last()+1, c.Sum
	return r.yield(c)
}

func (r *commitReader) continues(c *events.Commit) bool {
	if r.yielded {
		return c.First == r.next && c.Prev == r.prev
	}
	return c.First <= r.next
}

// seekSnapshot returns a sequence of the log from which all revisions above after are read: that of the nearest snapshot, or 1.
func (d *Dispatcher) seekSnapshot(ctx context.Context, roomID string, after uint64) uint64 {
	if d.cfg.Snapshots == nil || after == 0 {
		return 1
	}
	ref, ok, err := d.cfg.Snapshots.Newest(ctx, roomID, after)
	if err != nil || !ok || ref.Revision > after || ref.Seq == 0 {
		return 1
	}
	return ref.Seq
}
