package commands

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// folded is a room as it was at a revision.
type folded struct {
	room *domain.Room
	at   int64 // Unix ms of the commit that holds the room's last event
	// whole is false where the room ends within a commit: then room.Sum and room.Seq are those of the commit before.
	whole bool
}

// fold reads a room from its newest usable snapshot at or below revision (0: the head) and the log after it. The room ends at exactly that
// revision, or before where the log does. seen, when not nil, is given each commit that was read from the log, in order; it starts again
// from an earlier one where a snapshot turned out not to be of this log.
func (d *Dispatcher) fold(ctx context.Context, roomID string, revision uint64, seen func(c *events.Commit, bytes int)) (*folded, error) {
	var proven uint64
	if room := d.snapshot(ctx, roomID, revision); room != nil {
		proven = room.Revision()
		f := &folded{room: room, at: room.At(), whole: true}
		joined, err := d.replay(ctx, f, revision, seen)
		if err != nil || joined {
			return f, err
		}
		d.cfg.Logger.Warn("snapshot is not of this log", slog.String("event", "snapshot_refused"), slog.String("roomId", roomID))
		d.metrics.badSnapshots.Inc()
	}
	f := &folded{room: domain.NewRoom(roomID), whole: true}
	_, err := d.replay(ctx, f, revision, seen)
	if err == nil && f.room.Revision() < proven {
		err = &damageError{fmt.Errorf("the log ends at revision %d, but a snapshot proves that there was revision %d", f.room.Revision(), proven)}
	}
	return f, err
}

// replay applies the log to f from the room's own last commit on, which must be in the log with the same sum: joined is false where it is not.
func (d *Dispatcher) replay(ctx context.Context, f *folded, revision uint64, seen func(*events.Commit, int)) (joined bool, err error) {
	var bad error
	room := f.room
	base, baseSum := room.Seq(), room.Sum()
	joined = base == 0
	err = d.cfg.Log.Read(ctx, events.Room(room.ID()), max(base, 1), func(rec events.Record) bool {
		c, err := decode(rec)
		if !joined {
			joined = err == nil && rec.Seq == base && c.Sum == baseSum
			return joined && (revision == 0 || room.Revision() < revision)
		}
		if err == nil {
			err = f.apply(c, revision)
		}
		if err != nil {
			bad = badCommit(rec, room.Revision()+1, err)
			return false
		}
		if seen != nil {
			seen(c, len(rec.Payload))
		}
		return revision == 0 || room.Revision() < revision
	})
	if bad != nil {
		return joined, bad
	}
	if err != nil {
		return joined, fmt.Errorf("read room %s from sequence %d: %w", room.ID(), base, err)
	}
	return joined, nil
}

// apply applies a commit, or its events up to revision (0: all).
func (f *folded) apply(c *events.Commit, revision uint64) error {
	defer f.room.Release()
	f.at = c.At
	if revision == 0 || c.Last() <= revision {
		return f.room.Apply(c)
	}
	if c.First != f.room.Revision()+1 || c.Prev != f.room.Sum() {
		return fmt.Errorf("commit starts at revision %d and continues another one", c.First)
	}
	f.whole = false
	for i := range c.Events {
		rev := c.First + uint64(i)
		if rev > revision {
			break
		}
		if err := f.room.Evolve(&c.Events[i], rev, c.At); err != nil {
			return err
		}
	}
	return nil
}
