package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// A change that is larger than a commit may be (restore, undo, redo) is an operation: several commits, the parts, one after another. What comes
// meanwhile waits, and is decided on the room as the last part leaves it: nobody's edit is between two parts, none is lost to one. Each part but the last
// says how the rest is made, so that whoever has the room finishes it before anything else is decided: the actor that began it, the next one after a crash
// (at load, which a process handler asks for), or that of another node. The rest is decided anew from the state, which gives the same events. The command is
// answered, and known as done, with the last part.

// maxSplits is how often parts are halved where an encoded one turns out to be larger than was reckoned.
const maxSplits = 4

// restored are the elements that an open restore leads to.
type restored struct {
	op       string
	elements []*domain.Element
}

// splits reports whether a request may become an operation: lists are one commit, whatever is in them.
func splits(r *Request) bool { return len(r.Commands) == 1 && causeOf(r.Commands[0]) != "" }

func causeOf(c domain.Command) events.Cause {
	switch c.(type) {
	case domain.Restore:
		return events.CauseRestore
	case domain.Undo:
		return events.CauseUndo
	case domain.Redo:
		return events.CauseRedo
	}
	return ""
}

// beginOperation decides and folds the first part of a request, which is then alone in its commit; size is what its events need there.
func (a *actor) beginOperation(b *batch, r *Request) (size int, err error) {
	c := r.Commands[0]
	d, err := domain.Decide(a.room, r.Actor, c, b.at)
	if err != nil {
		return 0, err
	}
	op := &events.Part{Op: a.ids.next(), Part: 1, Rest: &events.Rest{Cause: causeOf(c), Done: identityOf(r)}}
	op.Rest.Done.First = a.room.Revision() + 1
	if restore, ok := c.(domain.Restore); ok {
		op.Rest.Revision = restore.Revision
		a.restored = restored{op.Op, restore.Elements}
	}
	n, more := splitEvents(d.Events, a.partBytes(0)-b.size, a.partBytes(0))
	if op.Of = 1 + more; more == 0 {
		return 0, errCommitFull // not too large after all, and too large: nothing splits it
	}
	events, size, err := a.evolvePart(d.Events[:n], op.Rest, false, b.at)
	if err != nil {
		return 0, err
	}
	b.events, b.part = append(b.events, events...), op
	return size + doneOverhead + doneBytes(&op.Rest.Done), nil
}

// partBytes is what the events of a part may need. What it is short of a commit is for what was reckoned too low.
func (a *actor) partBytes(halvings int) int { return a.limit * 3 / 4 >> halvings }

// splitEvents returns how many of the events fit into the first bytes, at least one, and how many parts of other bytes the rest makes.
func splitEvents(list []events.Event, first, other int) (n, more int) {
	room := first
	for i := range list {
		size := eventOverhead + payloadBytes(&list[i])
		if size > room && i > 0 {
			more++
			room = other
		}
		if room -= size; more == 0 {
			n = i + 1
		}
	}
	return n, more
}

// evolvePart completes the events of a part and folds them.
func (a *actor) evolvePart(list []events.Event, rest *events.Rest, cont bool, at int64) (made []events.Event, size int, err error) {
	for i := range list {
		e := &list[i]
		e.ID, e.Client, e.Seq, e.Cont = a.ids.next(), rest.Done.Client, rest.Done.Seq, cont || i > 0
		if err := a.room.Evolve(e, a.room.Revision()+1, at); err != nil {
			return nil, 0, err
		}
		size += eventOverhead + payloadBytes(e)
	}
	return list, size, nil
}

// concludeOperation finishes what the request of ans began, and answers it.
func (a *actor) concludeOperation(ans *answer, part *events.Part) error {
	refusal, err := a.finishOperation()
	if err != nil {
		return err
	}
	last, ok := a.room.Finished(part.Op)
	switch {
	case refusal != nil:
		ans.err, ans.res = refusal, Result{}
	case !ok:
		ans.err, ans.res = domain.Errorf(domain.CodeInternal, "the change was stored in part and could not be finished"), Result{}
	default:
		ans.res.First, ans.res.Last = part.Rest.Done.First, last
	}
	return nil
}

// finishOperation appends the parts that are missing of the room's open operation, if there is one. refusal says why that is not possible now: it stays open,
// and nothing else may be decided. An error means that the room can't be trusted any more.
func (a *actor) finishOperation() (refusal *domain.Error, err error) {
	halvings := 0
	for try := 1; ; {
		if a.mustSync && a.room.Operation() != nil {
			if err := a.readTail(); err != nil {
				return a.unread(err)
			}
		}
		op := a.room.Operation()
		if op == nil {
			return nil, nil
		}
		mark := a.room.Mark()
		c, err := a.nextPart(op, halvings)
		if c == nil {
			a.room.Rollback(mark)
			a.room.Release()
			if err := a.closeOperation(op, err); err != nil {
				return a.unread(err)
			}
			return nil, nil
		}
		out, err := a.append(c)
		if out != stored {
			a.room.Rollback(mark)
			a.room.Release()
		}
		switch out {
		case stored:
			try, halvings = 1, 0
		case tooLarge, unwritable:
			if halvings++; halvings > maxSplits {
				return domain.Errorf(domain.CodeInternal, "a part of the change can't be stored"), nil
			}
		case moved: // another node goes on with it
			a.metrics.conflicts.Inc()
			if try++; try > maxTries {
				return errContended, nil
			}
			if err := a.catchUp(try); err != nil {
				return a.unread(err)
			}
		case refused:
			return errReadOnly, nil
		case unknown:
			a.syncLater()
			a.cfg.Logger.Warn("outcome of a commit is unknown", slog.String("event", "commit_unknown"), slog.String("roomId", a.stream.ID), slog.Any("error", err))
			return errUnknown, nil
		}
	}
}

// unread is the refusal where the log can't be read; damage ends the actor.
func (a *actor) unread(err error) (*domain.Error, error) {
	if isDamage(err) {
		return nil, err
	}
	a.syncLater()
	a.cfg.Logger.Warn("room's log can't be read", slog.String("event", "log_unreadable"), slog.String("roomId", a.stream.ID), slog.Any("error", err))
	return errUnread, nil
}

// closeOperation ends an operation without a further part: nothing is left of it, or, where cause is a *domain.Error, nobody can know what. Other causes
// come back: it stays open.
func (a *actor) closeOperation(op *events.Part, cause error) error {
	var lost *domain.Error
	if cause != nil && !errors.As(cause, &lost) {
		return cause
	}
	a.room.CloseOperation(lost == nil)
	if lost != nil {
		a.cfg.Logger.Error("operation can't be finished", slog.String("event", "operation_given_up"), slog.String("roomId", a.stream.ID),
			slog.String("operation", op.Op), slog.Int("part", op.Part), slog.Int("of", op.Of), slog.Any("error", lost))
		return nil
	}
	if done := op.Rest.Done; done.Client != "" || done.Key != "" {
		done.Last = a.room.Revision()
		a.room.Remember(done, a.room.At())
		a.carried = append(a.carried, done)
		a.trimCarried()
	}
	return nil
}

// nextPart decides and folds the next part of the open operation. No commit and no error: nothing is left of it. A *domain.Error: nobody can know what is
// left. Other errors are about reading.
func (a *actor) nextPart(op *events.Part, halvings int) (*events.Commit, error) {
	rest := op.Rest
	if rest != nil && rest.Cause == events.CauseRestore && a.restored.op != op.Op {
		elements, err := a.elementsAt(rest.Revision)
		if err != nil {
			return nil, err
		}
		a.restored = restored{op.Op, elements}
	}
	d, err := domain.DecideRest(a.room, a.restored.elements)
	if err != nil || len(d.Events) == 0 {
		return nil, err
	}
	at := max(a.cfg.Clock(), a.room.At())
	c := &events.Commit{First: a.room.Revision() + 1, At: at, Prev: a.room.Sum(), Part: &events.Part{Op: op.Op, Part: op.Part + 1}}
	n, more := splitEvents(d.Events, a.partBytes(halvings), a.partBytes(halvings))
	c.Part.Of = c.Part.Part + more
	c.Events, _, err = a.evolvePart(d.Events[:n], rest, true, at)
	if err != nil {
		return nil, &damageError{fmt.Errorf("operation %s: %w", op.Op, err)}
	}
	if more > 0 {
		c.Part.Rest = rest
		return c, nil
	}
	c.Done = append(c.Done, a.carried...)
	if done := rest.Done; done.Client != "" || done.Key != "" {
		done.Last = a.room.Revision()
		a.room.Remember(done, at)
		c.Done = append(c.Done, done)
	}
	return c, nil
}

func (a *actor) elementsAt(revision uint64) ([]*domain.Element, error) {
	ctx, cancel := context.WithTimeout(a.base, a.cfg.LoadTimeout)
	defer cancel()
	return a.before(ctx, revision)
}

// elementsAt returns the elements of a room as of a revision.
func (d *Dispatcher) elementsAt(ctx context.Context, roomID string, revision uint64) ([]*domain.Element, error) {
	f, err := d.fold(ctx, roomID, revision, nil)
	if err != nil {
		return nil, err
	}
	return f.room.Elements(), nil
}

// Settle returns once the room has no open operation: loading the room finishes one. CodeReadOnly where that is not possible now.
func (d *Dispatcher) Settle(ctx context.Context, roomID string) error {
	s, err := d.acquire(ctx, roomID)
	if err != nil {
		return err
	}
	defer d.release(s)
	settled := make(chan error, 1)
	ok := s.a.box.task(func() {
		if refusal, err := s.a.finishOperation(); err != nil {
			settled <- err // the next turn finds it too, and ends the actor
		} else if refusal != nil {
			settled <- refusal
		} else {
			settled <- nil
		}
	})
	if !ok {
		return s.a.box.stopped()
	}
	select {
	case err := <-settled:
		return err
	case <-s.a.done:
		return errShutdown
	case <-ctx.Done():
		return domain.Errorf(domain.CodeReadOnly, "the room %s is busy: %v", roomID, ctx.Err())
	}
}
