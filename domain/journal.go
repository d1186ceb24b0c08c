package domain

import "slices"

// journal holds how to take back what happened since the first Mark, newest last. A group commit evolves the room before its
// events are durable, and an all-or-nothing list before its last command is decided.
type journal struct {
	on   bool
	back []func()
}

// Mark is a place in the journal.
type Mark struct{ n int }

// Mark returns the present place and keeps the journal from here on, until Release. Marks may nest.
func (r *Room) Mark() Mark {
	r.journal.on = true
	return Mark{len(r.journal.back)}
}

// Rollback takes back everything that Evolve, Remember, Seal and Apply did since the mark. The room is then exactly as it was.
// The mark and older ones stay valid.
func (r *Room) Rollback(m Mark) {
	back := r.journal.back
	for i := len(back) - 1; i >= m.n; i-- {
		back[i]()
		back[i] = nil
	}
	r.journal.back = back[:m.n]
}

// Release drops the journal: what happened is durable and won't be taken back. All marks become invalid.
func (r *Room) Release() {
	r.journal.on = false
	if cap(r.journal.back) > 1<<12 {
		r.journal.back = nil
		return
	}
	clear(r.journal.back)
	r.journal.back = r.journal.back[:0]
}

// onRollback notes how to take back what is about to be done.
func (r *Room) onRollback(back func()) { r.journal.back = append(r.journal.back, back) }

// keepHead notes the head before it changes.
func (r *Room) keepHead() {
	if r.journal.on {
		was := r.head
		r.onRollback(func() { r.head = was })
	}
}

// putElement changes the canvas, and the journal with it.
func (r *Room) putElement(was, is *Element) {
	r.canvas.put(was, is)
	if r.journal.on {
		r.onRollback(func() { r.canvas.put(is, was) })
	}
}

// dropElements takes elements off the canvas, and notes it in the journal.
func (r *Room) dropElements(gone []*Element) {
	if len(gone) <= 8 {
		for _, e := range gone {
			r.putElement(e, nil)
		}
		return
	}
	order, bytes := r.canvas.order, r.canvas.bytes
	r.canvas.drop(gone)
	if r.journal.on {
		gone = slices.Clone(gone)
		r.onRollback(func() {
			for _, e := range gone {
				r.canvas.byID[e.id] = e
			}
			r.canvas.order, r.canvas.bytes = order, bytes
		})
	}
}

// putPerson replaces what the room knows of an identity.
func (r *Room) putPerson(p *person) {
	was := r.people[p.user]
	r.people[p.user] = p
	if r.journal.on {
		r.onRollback(func() {
			if was == nil {
				delete(r.people, p.user)
				return
			}
			r.people[p.user] = was
		})
	}
}
