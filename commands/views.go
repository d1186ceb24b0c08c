package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// foldTimeout bounds one view of the past, waiting for its turn included.
const foldTimeout = 60 * time.Second

// ViewAt implements Rooms. Revision 0 is CodeBadRequest, a revision beyond the head or a room deleted by then CodeNotFound. It may fall into the
// middle of a commit. At most Config.FoldsAtOnce are made at once; recent ones are remembered.
func (d *Dispatcher) ViewAt(ctx context.Context, roomID string, revision uint64) (*View, error) {
	if revision == 0 {
		return nil, domain.Errorf(domain.CodeBadRequest, "revisions count from 1")
	}
	v, err := d.viewAt(ctx, roomID, revision)
	if err == nil && v.Deleted {
		return nil, errNoRoom
	}
	return v, err
}

// ViewAtTime implements Rooms. Before the room's first commit: CodeNotFound.
func (d *Dispatcher) ViewAtTime(ctx context.Context, roomID string, at int64) (*View, error) {
	if !domain.ValidRoomID(roomID) {
		return nil, errNoRoom
	}
	ctx, cancel := context.WithTimeout(ctx, foldTimeout)
	defer cancel()
	revision, err := d.revisionAt(ctx, roomID, at)
	if err != nil {
		return nil, err
	}
	if revision == 0 {
		return nil, domain.Errorf(domain.CodeNotFound, "the room did not exist at that time")
	}
	return d.ViewAt(ctx, roomID, revision)
}

// viewAt is ViewAt for deleted rooms too: what was there at a revision does not depend on what came later.
func (d *Dispatcher) viewAt(ctx context.Context, roomID string, revision uint64) (*View, error) {
	if !domain.ValidRoomID(roomID) {
		return nil, errNoRoom
	}
	key := viewKey{roomID, revision}
	if v := d.past.get(key); v != nil {
		return v, nil
	}
	var v *View
	err := d.heavy(ctx, func(ctx context.Context) error {
		f, err := d.foldAt(ctx, roomID, revision)
		if err != nil {
			return err
		}
		v = newView(f.room, peopleOf(f.room))
		v.At = f.at
		d.past.put(key, v, f.room.ElementBytes())
		return nil
	})
	return v, err
}

// heavy runs fn with bounded concurrency and time.
func (d *Dispatcher) heavy(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, foldTimeout)
	defer cancel()
	stop := context.AfterFunc(d.base, cancel)
	defer stop()
	if err := d.folds.Acquire(ctx, 1); err != nil {
		return err
	}
	defer d.folds.Release(1)
	return fn(ctx)
}

// foldAt folds a room to exactly a revision, which must exist.
func (d *Dispatcher) foldAt(ctx context.Context, roomID string, revision uint64) (*folded, error) {
	f, err := d.fold(ctx, roomID, revision, nil)
	if err != nil {
		return nil, d.readError(roomID, err)
	}
	switch head := f.room.Revision(); {
	case head == 0:
		return nil, errNoRoom
	case head < revision:
		return nil, domain.Errorf(domain.CodeNotFound, "the room has no revision %d, its last is %d", revision, head)
	}
	return f, nil
}

// readError gives an error of reading the log its code where it has one.
func (d *Dispatcher) readError(roomID string, err error) error {
	if !isDamage(err) {
		return err
	}
	d.metrics.damaged.Inc()
	return damage(roomID, err)
}

// revisionAt returns the last revision of the last commit at or before a time, 0 where there is none.
func (d *Dispatcher) revisionAt(ctx context.Context, roomID string, at int64) (revision uint64, err error) {
	from := d.seekTime(ctx, roomID, at)
	var bad error
	err = d.cfg.Log.Read(ctx, events.Room(roomID), from, func(rec events.Record) bool {
		_, last, t, _, _, _, err := events.DecodeHeader(rec.Payload)
		if err != nil {
			bad = badCommit(rec, revision+1, err)
			return false
		}
		if t > at {
			return false
		}
		revision = last
		return true
	})
	if bad != nil {
		return 0, d.readError(roomID, bad)
	}
	if err != nil {
		return 0, fmt.Errorf("read room %s from sequence %d: %w", roomID, from, err)
	}
	return revision, nil
}

// seekTime returns the sequence of the newest snapshot's commit that is not after a time, or 1, by bisection over the revisions of snapshots.
// Snapshots are hints: where they can't be had the search starts earlier.
func (d *Dispatcher) seekTime(ctx context.Context, roomID string, at int64) uint64 {
	if d.cfg.Snapshots == nil {
		return 1
	}
	newest, ok, err := d.cfg.Snapshots.Newest(ctx, roomID, 0)
	if err != nil || !ok {
		return 1
	}
	if d.notAfter(ctx, roomID, newest, at) {
		return newest.Seq
	}
	best := uint64(1)
	for low, high := uint64(0), newest.Revision-1; low < high; { // the answer is in (low, high], or best
		middle := low + (high-low+1)/2
		ref, ok, err := d.cfg.Snapshots.Newest(ctx, roomID, middle)
		switch {
		case err != nil:
			return best
		case !ok || ref.Revision <= low:
			low = middle
		case d.notAfter(ctx, roomID, ref, at):
			best, low = ref.Seq, middle
		default:
			high = ref.Revision - 1
		}
	}
	return best
}

// notAfter reports whether the log holds the snapshot's commit, at or before a time.
func (d *Dispatcher) notAfter(ctx context.Context, roomID string, ref SnapshotRef, at int64) (ok bool) {
	if ref.Seq == 0 || ref.Revision == 0 {
		return false
	}
	err := d.cfg.Log.Read(ctx, events.Room(roomID), ref.Seq, func(rec events.Record) bool {
		_, last, t, _, _, _, err := events.DecodeHeader(rec.Payload)
		ok = err == nil && rec.Seq == ref.Seq && last == ref.Revision && t <= at
		return false
	})
	return ok && err == nil
}
