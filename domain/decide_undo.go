package domain

import (
	"bytes"

	"github.com/infinite-kanvas/kanvas/events"
)

// undo takes back the newest of the actor's steps that has something left to revert; CauseRedo one of those taken back.
func (d *decider) undo(cause events.Cause) error {
	var list []*step
	if s := d.room.stacks[d.actor.ID]; s != nil {
		if list = s.undo; cause == events.CauseRedo {
			list = s.redo
		}
	}
	d.cause = cause
	for i := len(list) - 1; i >= 0; i-- {
		todo := d.reverting(newReplay(list[i]))
		if todo.empty() {
			continue
		}
		d.step = list[i].first
		return d.rework(&todo)
	}
	return Errorf(CodeNothingToUndo, "there is nothing to %s", cause)
}

// reverting is what is left to do of a step on its way back.
func (d *decider) reverting(p *replay) (todo rework) {
	me := d.room.actors.number[d.actor.ID]
	for _, id := range p.ids {
		now := d.room.canvas.byID[id]
		todo.become(now, p.target(id, now, me))
	}
	return todo
}

// DecideRest says what is left of the room's open operation: the events that its first Decide made and that no part holds yet, in the same order. For
// CauseRestore, elements are those of the revision in Rest. Rights were asked for by the first part. Cont is false on the first event, as ever; in a commit
// that goes on with an operation it is true. An error, with CodeInternal, means that it can't be known any more.
func DecideRest(r *Room, elements []*Element) (Decision, error) {
	if r.operation == nil || r.operation.Rest == nil {
		return Decision{}, Errorf(CodeInternal, "no operation is open")
	}
	rest := r.operation.Rest
	d := decider{room: r, actor: Actor{rest.Done.User}}
	var err error
	switch c := &r.change; {
	case rest.Cause == events.CauseRestore:
		err = d.restore(Restore{Revision: rest.Revision, Elements: elements})
	case rest.Cause != events.CauseUndo && rest.Cause != events.CauseRedo, !c.open, c.doing == nil, c.actor != d.actor.ID, c.cause != rest.Cause:
		err = Errorf(CodeInternal, "the step that an open %s takes back is gone", rest.Cause)
	default:
		d.cause, d.step = c.cause, c.source
		todo := d.reverting(c.doing)
		err = d.rework(&todo)
	}
	return d.out, err
}

// rework is how elements become others by the fewest events.
type rework struct {
	removed []string
	added   []*Element
	patched []*events.ElementPatchedData
	// What the canvas grows by.
	elements, bytes int
}

func (w *rework) empty() bool { return len(w.removed)+len(w.added)+len(w.patched) == 0 }

// become takes note that the element now shall be then; nil is absent.
func (w *rework) become(now, then *Element) {
	if now == then {
		return
	}
	if now != nil && then != nil && now.typ == then.typ {
		if p := difference(now, then); p != nil {
			w.patched = append(w.patched, p)
			w.bytes += len(then.json) - len(now.json)
		}
		return
	}
	if now != nil {
		w.removed = append(w.removed, now.id)
		w.elements--
		w.bytes -= len(now.json)
	}
	if then != nil {
		w.added = append(w.added, then)
		w.elements++
		w.bytes += len(then.json)
	}
}

// difference is the patch that makes now what then is; nil where there is none.
func difference(now, then *Element) *events.ElementPatchedData {
	p := &events.ElementPatchedData{ID: now.id}
	for key, value := range then.Members {
		if old, ok := now.Get(key); !ok || !bytes.Equal(old, value) {
			p.Set = append(p.Set, events.Member{Key: key, Value: value})
		}
	}
	for key := range now.Members {
		if _, ok := then.find(key); !ok {
			p.Unset = append(p.Unset, key)
		}
	}
	if len(p.Set) == 0 && len(p.Unset) == 0 {
		return nil
	}
	p.Set.Sort()
	return p
}

// rework emits the events, unless the room can't hold what comes of them.
func (d *decider) rework(w *rework) error {
	if err := d.roomFor(w.elements, w.bytes); err != nil {
		return err
	}
	if len(w.removed) > 0 {
		d.emit(events.ElementRemoved, &events.ElementRemovedData{IDs: w.removed})
	}
	for _, e := range w.added {
		d.emit(events.ElementAdded, &events.ElementAddedData{Element: e.json})
	}
	for _, p := range w.patched {
		d.emit(events.ElementPatched, p)
	}
	return nil
}

// restore makes the canvas equal to the elements given.
func (d *decider) restore(c Restore) error {
	want, err := wanted(c.Elements)
	if err != nil {
		return err
	}
	keep := make(map[string]bool, len(want))
	for _, e := range want {
		keep[e.id] = true
	}
	if len(keep) != len(want) {
		return Errorf(CodeInvalidCommand, "an element is there twice")
	}
	var todo rework
	for _, e := range d.room.canvas.order {
		if !keep[e.id] {
			todo.become(e, nil)
		}
	}
	for _, e := range want {
		todo.become(d.room.canvas.byID[e.id], e)
	}
	d.cause = events.CauseRestore
	return d.rework(&todo)
}

// wanted returns elements in paint order, with new keys where theirs don't stand in it.
func wanted(list []*Element) ([]*Element, error) {
	inOrder := true
	for i, e := range list {
		if e == nil {
			return nil, Errorf(CodeInvalidCommand, "an element is missing")
		}
		if err := fits(e.contentBytes()); err != nil {
			return nil, err
		}
		inOrder = inOrder && e.z != "" && (i == 0 || comparePaint(list[i-1], e) < 0)
	}
	if inOrder {
		return list, nil
	}
	keys, err := KeysBetween("", "", len(list))
	if err != nil {
		return nil, Errorf(CodeInternal, "%v", err)
	}
	out := make([]*Element, len(list))
	for i, e := range list {
		out[i] = e.apply([]part{{key: "z", value: quotedZ(keys[i])}})
	}
	return out, nil
}
