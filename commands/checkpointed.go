package commands

import "github.com/infinite-kanvas/kanvas/domain"

// A checkpoint makes others ask for the room's canvas and its snapshot as of the revision before it, and the actor has just that state in its
// hands: kept here, nobody folds it from the log again. What is kept is what a fold would give, byte for byte, or nothing is.

// keepCheckpoint keeps the state that a checkpoint is about to name: durable, whether the checkpoint will be stored or not. It costs pointers, not
// contents. alone: the commit in the making completes no command so far, else the state remembers an answer that a fold up to here does not know.
func (a *actor) keepCheckpoint(alone bool) {
	a.past.put(viewKey{a.stream.ID, a.room.Revision()}, newView(a.room, peopleOf(a.room)), a.room.ElementBytes())
	if a.exact && alone {
		a.kept.Store(a.room.Clone())
	}
}

// takeCheckpoint returns a room's state at the revision that its newest checkpoint named, once, where it is still kept. It is the caller's.
func (d *Dispatcher) takeCheckpoint(roomID string, revision uint64) *domain.Room {
	d.mu.Lock()
	s := d.slots[roomID]
	if s == nil || s.a == nil {
		d.mu.Unlock()
		return nil
	}
	kept := &s.a.kept
	d.mu.Unlock()
	if r := kept.Load(); r != nil && r.Revision() == revision && kept.CompareAndSwap(r, nil) {
		return r
	}
	return nil
}
