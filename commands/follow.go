package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
)

// damageError wraps what proves that a log or a state can't be trusted.
type damageError struct{ err error }

func (e *damageError) Error() string { return e.err.Error() }
func (e *damageError) Unwrap() error { return e.err }

func isDamage(err error) bool {
	var d *damageError
	return errors.As(err, &d)
}

// badCommit names the first bad commit of a stream.
func badCommit(rec events.Record, revision uint64, err error) error {
	return &damageError{fmt.Errorf("first bad commit: sequence %d in partition %d, expected to start at revision %d: %w", rec.Seq, rec.Partition, revision, err)}
}

// sameCommit reports whether rec is c as it was appended.
func sameCommit(rec events.Record, c *events.Commit, payload []byte) bool {
	if bytes.Equal(rec.Payload, payload) {
		return true
	}
	other, err := decode(rec)
	return err == nil && other.Sum == c.Sum
}

// follow applies what other nodes committed.
func (a *actor) follow(recs []events.Record, gap bool) error {
	for _, rec := range recs {
		if gap {
			break
		}
		if rec.Seq <= a.room.Seq() {
			continue
		}
		c, err := decode(rec)
		if err != nil {
			return badCommit(rec, a.room.Revision()+1, err)
		}
		if c.First != a.room.Revision()+1 {
			gap = true // one before it was missed
			break
		}
		if err := a.apply(rec, c); err != nil {
			return err
		}
	}
	if !gap {
		return nil
	}
	err := a.readTail()
	if err == nil || isDamage(err) {
		return err
	}
	a.cfg.Logger.Warn("room's log can't be read", slog.String("event", "log_unreadable"), slog.String("roomId", a.stream.ID), slog.Any("error", err))
	a.syncLater()
	return nil
}

// dropCarried forgets answers that another node has given too, and committed first: its answers stand.
func (a *actor) dropCarried(done []events.Done) {
	for i := range done {
		d := &done[i]
		a.carried = slices.DeleteFunc(a.carried, func(c events.Done) bool {
			return c.User == d.User && c.Client == d.Client && c.Seq == d.Seq && c.Key == d.Key
		})
	}
}

// syncLater has the tail read before anything is decided, and soon even where nobody asks for anything: watchers wait for what it holds.
func (a *actor) syncLater() {
	a.mustSync = true
	time.AfterFunc(syncRetry, func() { a.box.arrived(events.Record{}, true) })
}

// readTail applies all that the log holds after the actor's state.
func (a *actor) readTail() error {
	ctx, cancel := context.WithTimeout(a.base, a.cfg.LoadTimeout)
	defer cancel()
	var bad error
	err := a.cfg.Log.Read(ctx, a.stream, a.room.Seq()+1, func(rec events.Record) bool {
		c, err := decode(rec)
		if err != nil {
			bad = badCommit(rec, a.room.Revision()+1, err)
			return false
		}
		bad = a.apply(rec, c)
		return bad == nil
	})
	if bad != nil {
		return bad
	}
	if err != nil {
		return fmt.Errorf("read room %s from sequence %d: %w", a.stream.ID, a.room.Seq()+1, err)
	}
	a.mustSync = false
	return nil
}

func (a *actor) apply(rec events.Record, c *events.Commit) error {
	if err := a.room.Apply(c); err != nil {
		return badCommit(rec, a.room.Revision()+1, err)
	}
	a.room.Release()
	a.dropCarried(c.Done)
	a.metrics.foreign.Inc()
	a.published(c, len(rec.Payload))
	return nil
}
