package domain

import "slices"

// journal holds how to take back what happened since the first Mark, newest last. A group commit evolves the room before its
// events are durable, and an all-or-nothing list before its last command is decided.
//
// What a patch notes is kept by value, in a stack for each kind, and not as functions: those were a tenth of all that a busy room allocated.
type journal struct {
	on     bool
	headed bool       // the head is noted since the newest mark: rolling back goes to marks alone
	order  []noteKind // newest last; each stands for the newest note of its stack

	heads   []head
	puts    []put
	stacks  []saved[stacks]
	steps   []saved[step]
	clients []saved[clientOnce]
	others  []func()
}

type noteKind uint8

const (
	noteHead noteKind = iota
	notePut
	noteStacks
	noteStep
	noteClient
	noteOther
)

// put is an element's change on the canvas.
type put struct{ was, is *Element }

// saved is what stood at a place.
type saved[T any] struct {
	at  *T
	was T
}

func (s saved[T]) restore() { *s.at = s.was }

// keptNotes is up to how many notes a released journal keeps its memory.
const keptNotes = 1 << 10

// Mark is a place in the journal.
type Mark struct{ n int }

// Mark returns the present place and keeps the journal from here on, until Release. Marks may nest.
func (r *Room) Mark() Mark {
	r.journal.on, r.journal.headed = true, false
	return Mark{len(r.journal.order)}
}

// Rollback takes back everything that Evolve, Remember, Seal and Apply did since the mark. The room is then exactly as it was.
// The mark and older ones stay valid.
func (r *Room) Rollback(m Mark) {
	j := &r.journal
	for len(j.order) > m.n {
		switch pop(&j.order) {
		case noteHead:
			r.head = pop(&j.heads)
		case notePut:
			p := pop(&j.puts)
			r.canvas.put(p.is, p.was)
		case noteStacks:
			pop(&j.stacks).restore()
		case noteStep:
			pop(&j.steps).restore()
		case noteClient:
			pop(&j.clients).restore()
		default:
			pop(&j.others)()
		}
	}
	j.headed = false
}

// pop takes the last of a list and leaves nothing of it in memory.
func pop[T any](list *[]T) T {
	n := len(*list) - 1
	last := (*list)[n]
	clear((*list)[n:])
	*list = (*list)[:n]
	return last
}

// Release drops the journal: what happened is durable and won't be taken back. All marks become invalid.
func (r *Room) Release() {
	j := &r.journal
	if len(j.order) > keptNotes || cap(j.order) > 8*keptNotes {
		*j = journal{}
		return
	}
	j.on = false
	j.order = empty(j.order)
	j.heads, j.puts, j.others = empty(j.heads), empty(j.puts), empty(j.others)
	j.stacks, j.steps, j.clients = empty(j.stacks), empty(j.steps), empty(j.clients)
}

func empty[T any](list []T) []T {
	clear(list)
	return list[:0]
}

// onRollback notes how to take back what is about to be done.
func (r *Room) onRollback(back func()) {
	r.journal.others = append(r.journal.others, back)
	r.note(noteOther)
}

func (r *Room) note(k noteKind) { r.journal.order = append(r.journal.order, k) }

// keepHead notes the head before it changes.
func (r *Room) keepHead() {
	if j := &r.journal; j.on && !j.headed {
		j.headed = true
		j.heads = append(j.heads, r.head)
		r.note(noteHead)
	}
}

// putElement changes the canvas, and the journal with it.
func (r *Room) putElement(was, is *Element) {
	r.canvas.put(was, is)
	if r.journal.on {
		r.journal.puts = append(r.journal.puts, put{was, is})
		r.note(notePut)
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
