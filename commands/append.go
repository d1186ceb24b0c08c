package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// outcome of an attempt to append.
type outcome int

const (
	stored     outcome = iota
	moved              // somebody else appended first: nothing of ours is stored
	refused            // the log can't store; nothing of ours is stored
	unknown            // nobody knows, after all that was tried
	tooLarge           // the encoded commit is over the limit
	unwritable         // it can't be encoded: a request's payload is not what its type allows
)

// commitSome decides a prefix of the requests, appends what it made as one commit and answers them; it returns how many.
// An error means that the room can't be trusted any more; n requests were answered before.
func (a *actor) commitSome(ps []pending) (n int, err error) {
	most := len(ps)
	for try := 1; ; {
		if a.mustSync {
			if err := a.readTail(); err != nil {
				return a.giveUp(ps, errUnread, err)
			}
			a.mustSync = false
		}
		switch refusal, err := a.finishOperation(); { // of another node, or one that could not be finished before
		case err != nil:
			return 0, err
		case refusal != nil:
			a.refuse(ps, refusal)
			return len(ps), nil
		}
		b := a.beginBatch(most)
		n = a.fill(b, ps[:most])
		if len(b.events) == 0 {
			a.room.Release()
			a.carry(b)
			a.answer(ps[:n], nil)
			return n, nil
		}
		c := &events.Commit{First: b.first, At: b.at, Prev: a.room.Sum(), Events: b.events, Done: b.done, Part: b.part}
		out, err := a.append(c)
		switch out {
		case stored:
			if b.part != nil {
				if err := a.concludeOperation(&b.answers[n-1], b.part); err != nil {
					return 0, err
				}
			}
			a.answer(ps[:n], c)
			return n, err
		case tooLarge, unwritable:
			a.room.Rollback(b.mark)
			if n == 1 {
				refusal := errCommitFull
				if out == unwritable {
					refusal = domain.Errorf(domain.CodeInternal, "the change can't be stored: %v", err)
				}
				a.settle(ps[:n], refusal)
				return n, nil
			}
			most = max(1, n/2) // finds the request that is to blame, one half at a time
		case moved:
			a.room.Rollback(b.mark)
			a.metrics.conflicts.Inc()
			if try++; try > maxTries {
				a.settle(ps[:n], errContended)
				return n, nil
			}
			if err := a.catchUp(try); err != nil {
				return a.giveUp(ps[:n], errUnread, err)
			}
		case refused:
			a.room.Rollback(b.mark)
			a.settle(ps[:n], errReadOnly)
			return n, nil
		case unknown:
			a.room.Rollback(b.mark)
			a.syncLater()
			a.cfg.Logger.Warn("outcome of a commit is unknown", slog.String("event", "commit_unknown"), slog.String("roomId", a.stream.ID), slog.Any("error", err))
			a.settle(ps[:n], errUnknown)
			return n, nil
		}
	}
}

// giveUp answers requests after the log could not be read. Damage ends the actor; anything else is told and tried again with the next requests.
func (a *actor) giveUp(ps []pending, refusal *domain.Error, err error) (int, error) {
	if isDamage(err) {
		return 0, err
	}
	a.syncLater()
	a.cfg.Logger.Warn("room's log can't be read", slog.String("event", "log_unreadable"), slog.String("roomId", a.stream.ID), slog.Any("error", err))
	a.refuse(ps, refusal)
	return len(ps), nil
}

// settle answers a batch that was rolled back: answers decided on durable state stand, the others get err.
func (a *actor) settle(ps []pending, err *domain.Error) {
	b := &a.batch
	for i := range b.answers {
		ans := &b.answers[i]
		if !ans.settled {
			ans.res, ans.err = Result{}, err
			continue
		}
		if ans.done != nil {
			a.room.Remember(*ans.done, b.at)
			a.carried = append(a.carried, *ans.done)
			a.exact = false
		}
	}
	a.room.Release()
	a.trimCarried()
	a.answer(ps, nil)
}

// carry keeps what a batch without events has to say for the next commit.
func (a *actor) carry(b *batch) {
	a.carried = append(a.carried[:0], b.done...)
	a.exact = a.exact && len(a.carried) == 0
	a.trimCarried()
}

// trimCarried forgets the oldest where they would take more than a quarter of a commit; those commands would be decided anew after a restart.
func (a *actor) trimCarried() {
	room, keep := a.limit/4, len(a.carried)
	for keep > 0 && len(a.carried)-keep < maxCarried {
		if room -= doneBytes(&a.carried[keep-1]); room < 0 {
			break
		}
		keep--
	}
	a.carried = append(a.carried[:0], a.carried[keep:]...)
}

// answer replies to the batch's requests in order. c is their commit where one was stored.
func (a *actor) answer(ps []pending, c *events.Commit) {
	bytes := 0
	for i := range ps {
		ans := &a.batch.answers[i]
		if ans.made && ans.err == nil && (a.batch.part == nil || i < len(ps)-1) { // else its events are in several
			ans.res.Commit = c
		}
		bytes += ps[i].bytes
		a.metrics.answered(ans)
		ps[i].tell(ans.res, ans.err)
	}
	a.box.answered(len(ps), bytes)
}

// append stores the commit and, where it was, tells the watchers.
func (a *actor) append(c *events.Commit) (outcome, error) {
	payload, err := encode(c)
	if err != nil {
		return unwritable, fmt.Errorf("encode commit at revision %d: %w", c.First, err)
	}
	if len(payload) > a.limit {
		return tooLarge, nil
	}
	after := a.room.Seq()
	start := time.Now()
	seq, err := a.appendOnce(after, payload)
	out := outcomeOf(err)
	switch out {
	case unknown:
		a.metrics.unknown.Inc()
		seq, out, err = a.resolve(c, after, payload)
	case moved: // where something on the way repeated the append, what moved the stream is our own commit
		if rec, ok, rerr := a.nextRecord(after); rerr == nil && ok && sameCommit(rec, c, payload) {
			seq, out = rec.Seq, stored
		}
	}
	if out != stored {
		return out, err
	}
	a.metrics.committed(time.Since(start), len(c.Events), len(payload))
	c.Seq = seq
	a.room.Release()
	a.room.Seal(c)
	a.carried = a.carried[:0]
	a.published(c, len(payload))
	return stored, nil
}

func (a *actor) appendOnce(after uint64, payload []byte) (uint64, error) {
	ctx, cancel := context.WithTimeout(a.base, a.cfg.AppendTimeout)
	defer cancel()
	return a.cfg.Log.Append(ctx, a.stream, after, payload)
}

// outcomeOf reads an error of Log.Append; what it doesn't know may have been stored.
func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return stored
	case errors.Is(err, ErrSequence):
		return moved
	case errors.Is(err, ErrLogReadOnly):
		return refused
	case errors.Is(err, ErrCommitTooLarge):
		return tooLarge
	default:
		return unknown
	}
}

// resolve finds out whether a commit of unknown outcome is stored. Where the stream has not moved it appends the same bytes at the same
// expected sequence again: of the two at most one can be stored, and the earlier one may still be on its way.
func (a *actor) resolve(c *events.Commit, after uint64, payload []byte) (seq uint64, out outcome, cause error) {
	deadline := time.Now().Add(a.cfg.UnknownFor)
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		rec, ok, err := a.nextRecord(after)
		switch {
		case err == nil && ok && sameCommit(rec, c, payload):
			return rec.Seq, stored, nil
		case err == nil && ok:
			return 0, moved, nil
		case err == nil:
			seq, err := a.appendOnce(after, payload)
			// ErrSequence: something is stored after all, the next read says what. Read-only says nothing about the first attempt.
			if err == nil {
				return seq, stored, nil
			}
			cause = err
		default:
			cause = err
		}
		if a.base.Err() != nil || time.Now().Add(wait).After(deadline) {
			return 0, unknown, cause
		}
		a.pause(wait)
	}
}

// nextRecord returns the first record of the room after sequence after.
func (a *actor) nextRecord(after uint64) (rec events.Record, ok bool, err error) {
	ctx, cancel := context.WithTimeout(a.base, a.cfg.AppendTimeout)
	defer cancel()
	err = a.cfg.Log.Read(ctx, a.stream, after+1, func(r events.Record) bool {
		rec, ok = r, true
		return false
	})
	return rec, ok, err
}

// catchUp reads what other nodes committed. The pause grows with the tries and is random, so that two nodes don't keep step.
func (a *actor) catchUp(try int) error {
	if try > 2 {
		a.pause(time.Duration(rand.Int64N(int64(try) * int64(time.Millisecond))))
	}
	return a.readTail()
}
