package domain

import (
	"maps"
	"slices"
)

// Clone returns a copy that shares nothing that changes, without the journal: it may be encoded or evolved by another goroutine.
// It takes time and memory for pointers, not for contents.
func (r *Room) Clone() *Room {
	c := *r
	c.journal = journal{}
	c.canvas.byID, c.canvas.order = maps.Clone(r.canvas.byID), slices.Clone(r.canvas.order)
	c.people = maps.Clone(r.people)
	c.chat = slices.Clone(r.chat)
	c.comments, c.byID = slices.Clone(r.comments), maps.Clone(r.byID)
	c.actors = actorTable{names: slices.Clone(r.actors.names), number: maps.Clone(r.actors.number)}
	c.stacks = make(map[string]*stacks, len(r.stacks))
	for user, s := range r.stacks {
		c.stacks[user] = &stacks{undo: c.cloneSteps(s.undo), redo: c.cloneSteps(s.redo)}
	}
	c.once = onceState{clients: make(map[clientID]*clientOnce, len(r.once.clients)), keys: maps.Clone(r.once.keys),
		queue: slices.Clip(r.once.queue), swept: r.once.swept}
	for id, o := range r.once.clients {
		is := *o
		is.done = slices.Clip(o.done)
		c.once.clients[id] = &is
	}
	return &c
}

// cloneSteps copies steps, and points the present change to the copy of its own.
func (r *Room) cloneSteps(list []*step) []*step {
	out := make([]*step, len(list))
	for i, st := range list {
		is := *st
		is.entries = slices.Clip(st.entries) // appending to either copy leaves the other alone
		out[i] = &is
		if r.change.step == st {
			r.change.step = &is
		}
	}
	return out
}
