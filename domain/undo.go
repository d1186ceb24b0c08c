package domain

import (
	"github.com/infinite-kanvas/kanvas/events"
)

// A step is what one change (a command, or an all-or-nothing list) did to elements, kept so that its author can undo it. Undoing
// makes new events; they become a step of the redo stack, and the other way round. A member is reverted only while it still has
// the provenance that the step gave it, and then gets the one before: so somebody else's later change stays, and steps below
// that one still know their own.
type step struct {
	first   uint64 // revision of its first element event; names it through undo and redo
	pushed  uint64 // revision at which it came onto its stack; the lowest in a room is dropped first
	bytes   int
	entries []entry // as things happened
}

// entry is how to take back one event's work on one element: exactly one of the three.
type entry struct {
	id string
	// The element was added by the change of revision added. base is its state then, where it came back through undo or redo with
	// provenances of others; nil where all was its author's.
	added uint64
	base  *Element
	// The element was removed as it was here.
	removed *Element
	// Members were set or unset.
	members []revert
}

type revert struct {
	key           string
	old           []byte // nil: it was absent
	before, after provenance
}

// stacks are one person's steps, newest last.
type stacks struct{ undo, redo []*step }

// recording is the stack that a change of the cause is recorded on.
func (s *stacks) recording(cause events.Cause) *[]*step {
	if cause == events.CauseUndo {
		return &s.redo
	}
	return &s.undo
}

// change is what the newest element events belong to. It ends with the first event whose Cont is false.
type change struct {
	open   bool
	actor  string
	cause  events.Cause // CauseUndo, CauseRedo or ""
	source uint64       // Event.Step
	doing  *replay      // the step that is being undone or redone
	step   *step        // what is being recorded, nil until there is something
	lost   bool         // the step was dropped while it was recorded: it was larger than MaxUndoBytes
}

// actorTable numbers people from 1, in the order in which they first changed an element. 0 is anybody else.
type actorTable struct {
	names  []string // names[0] is ""
	number map[string]uint32
}

func (t *actorTable) init() { t.names, t.number = []string{""}, map[string]uint32{} }

// numberOf gives a person's number, a new one where it has none.
func (r *Room) numberOf(a Actor) uint32 {
	if n, ok := r.actors.number[a.ID]; ok {
		return n
	}
	if !a.person() {
		return 0
	}
	n := uint32(len(r.actors.names))
	r.actors.names = append(r.actors.names, a.ID)
	r.actors.number[a.ID] = n
	if r.journal.on {
		r.onRollback(func() {
			r.actors.names = r.actors.names[:n]
			delete(r.actors.number, a.ID)
		})
	}
	return n
}

// beginChange makes r.change the one that an element event belongs to. The head is journaled already.
func (r *Room) beginChange(e *events.Event) {
	if e.Cause == events.CauseGeneration {
		r.change = change{} // nobody's step
		return
	}
	want := change{open: true, actor: e.Actor}
	if e.Cause == events.CauseUndo || e.Cause == events.CauseRedo {
		want.cause, want.source = e.Cause, e.Step
	}
	if c := &r.change; c.open && c.actor == want.actor && c.cause == want.cause && c.source == want.source {
		return
	}
	r.change = want
	s := r.stacks[e.Actor]
	switch {
	case s == nil:
	case want.cause != "":
		r.change.doing = r.popStep(e.Actor, want.cause, e.Step)
	case len(s.redo) > 0:
		r.keepStacks(e.Actor)
		for _, st := range s.redo {
			r.undoBytes -= st.bytes
		}
		s.redo = nil
	}
}

// keepStacks notes a person's stacks in the journal before they change, and makes them where there are none.
func (r *Room) keepStacks(user string) *stacks {
	s := r.stacks[user]
	if s == nil {
		s = &stacks{}
		r.stacks[user] = s
		if r.journal.on {
			r.onRollback(func() { delete(r.stacks, user) })
		}
		return s
	}
	if r.journal.on {
		r.journal.stacks = append(r.journal.stacks, saved[stacks]{s, *s})
		r.note(noteStacks)
	}
	return s
}

// popStep takes the step named first off its stack, and the newer ones, which had nothing left to revert. It returns nil where
// there is no such step: the limits were other ones when the event was made.
func (r *Room) popStep(user string, cause events.Cause, first uint64) *replay {
	s := r.stacks[user]
	list := &s.undo
	if cause == events.CauseRedo {
		list = &s.redo
	}
	i := len(*list) - 1
	for i >= 0 && (*list)[i].first != first {
		i--
	}
	if i < 0 {
		return nil
	}
	found := (*list)[i]
	r.keepStacks(user)
	for _, st := range (*list)[i:] {
		r.undoBytes -= st.bytes
	}
	*list = (*list)[:i:i] // the next push must not overwrite what the journal still points to
	return newReplay(found)
}

// entryBytes is what an entry counts against MaxUndoBytes: the old values, and a flat rate for the rest.
func entryBytes(e *entry) int {
	n := 64 + len(e.id)
	if e.removed != nil {
		n += len(e.removed.json)
	}
	if e.base != nil {
		n += len(e.base.json)
	}
	for i := range e.members {
		n += 64 + len(e.members[i].key) + len(e.members[i].old)
	}
	return n
}

// record adds an entry to the step of the present change.
func (r *Room) record(en entry, rev uint64) {
	c := &r.change
	if !c.open || c.lost || !(Actor{c.actor}).person() {
		return
	}
	if c.step == nil {
		r.pushStep(rev)
	} else if r.journal.on {
		r.journal.steps = append(r.journal.steps, saved[step]{c.step, *c.step})
		r.note(noteStep)
	}
	n := entryBytes(&en)
	c.step.entries = append(c.step.entries, en)
	c.step.bytes += n
	r.undoBytes += n
	for r.undoBytes > MaxUndoBytes {
		r.dropOldestStep()
	}
}

// pushStep puts a new step on the stack that the present change is recorded on.
func (r *Room) pushStep(rev uint64) {
	c := &r.change
	s := r.keepStacks(c.actor)
	c.step = &step{first: rev, pushed: rev}
	if c.doing != nil {
		c.step.first = c.doing.step.first
	}
	list := s.recording(c.cause)
	if *list = append(*list, c.step); len(*list) > MaxUndoSteps {
		r.undoBytes -= (*list)[0].bytes
		*list = (*list)[1:]
	}
}

// dropOldestStep drops the step that came onto a stack first in the whole room. Revisions are unique, so the order in which the
// map is walked doesn't matter.
func (r *Room) dropOldestStep() {
	var oldest *step
	var user string
	for u, s := range r.stacks {
		for _, list := range [...][]*step{s.undo, s.redo} {
			if len(list) > 0 && (oldest == nil || list[0].pushed < oldest.pushed) {
				oldest, user = list[0], u
			}
		}
	}
	if oldest == nil {
		r.undoBytes = 0
		return
	}
	s := r.keepStacks(user)
	if len(s.undo) > 0 && s.undo[0] == oldest {
		s.undo = s.undo[1:]
	} else {
		s.redo = s.redo[1:]
	}
	r.undoBytes -= oldest.bytes
	if r.change.step == oldest {
		r.change.step, r.change.lost = nil, true
	}
}
