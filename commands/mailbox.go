package commands

import (
	"sync"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// pending is a request that is not answered yet.
type pending struct {
	req   Request
	reply func(Result, error)
	bytes int
	told  bool // reply was called
}

// tell replies, once.
func (p *pending) tell(res Result, err error) {
	if !p.told {
		p.told = true
		p.reply(res, err)
	}
}

// work is what an actor takes from its mailbox for one turn.
type work struct {
	requests []pending
	tasks    []func()
	incoming []events.Record
	gap      bool // records may be missing: read the tail
}

// mailbox is where requests, tasks and records of other nodes wait for the actor. Methods may be called concurrently; take is the actor's.
type mailbox struct {
	wake chan struct{} // capacity 1

	mu       sync.Mutex
	w        work
	inBytes  int    // of w.incoming
	open     int    // requests not answered: waiting or being decided
	bytes    int    // of them
	busy     bool   // the actor is at work and will look again by itself
	stop     error  // set: nothing more is taken
	appended uint64 // sequence of the newest commit in the actor's state
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (b *mailbox) notify() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// submit hands in a request. Where it can't be taken, it returns why, and reply will not be called.
func (b *mailbox) submit(r Request, reply func(Result, error)) error {
	n := requestBytes(&r)
	b.mu.Lock()
	if b.stop != nil {
		err := b.stop
		b.mu.Unlock()
		return err
	}
	if b.open >= MaxQueued || (b.open > 0 && b.bytes+n > MaxQueuedBytes) {
		b.mu.Unlock()
		return errOverloaded
	}
	b.open++
	b.bytes += n
	b.w.requests = append(b.w.requests, pending{req: r, reply: reply, bytes: n})
	busy := b.busy
	b.mu.Unlock()
	if !busy {
		b.notify()
	}
	return nil
}

// answered gives back the room of requests that have their replies.
func (b *mailbox) answered(n, bytes int) {
	b.mu.Lock()
	b.open -= n
	b.bytes -= bytes
	b.mu.Unlock()
}

// task runs fn in the actor, between two commits. It returns false where the actor has stopped.
func (b *mailbox) task(fn func()) bool {
	b.mu.Lock()
	if b.stop != nil {
		b.mu.Unlock()
		return false
	}
	b.w.tasks = append(b.w.tasks, fn)
	busy := b.busy
	b.mu.Unlock()
	if !busy {
		b.notify()
	}
	return true
}

// arrived is the Log's Watch function: rec is a commit of this room, of this or another node.
func (b *mailbox) arrived(rec events.Record, gap bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop != nil {
		return
	}
	if gap {
		b.w.gap = true
	} else if rec.Seq <= b.appended {
		return
	}
	if b.inBytes+len(rec.Payload) > maxIncomingBytes {
		b.w.gap = true
	}
	if b.w.gap {
		b.w.incoming, b.inBytes = nil, 0 // the tail will be read anyway
	} else {
		b.w.incoming = append(b.w.incoming, rec)
		b.inBytes += len(rec.Payload)
	}
	if !b.busy {
		b.notify()
	}
}

// advanced says that the actor's state holds all up to sequence seq.
func (b *mailbox) advanced(seq uint64) {
	b.mu.Lock()
	b.appended = max(b.appended, seq)
	b.mu.Unlock()
}

// take waits for work. After close it returns what is left, then false.
func (b *mailbox) take() (work, bool) {
	for {
		b.mu.Lock()
		b.busy = false
		b.prune()
		w := b.w
		if len(w.requests) > 0 || len(w.tasks) > 0 || len(w.incoming) > 0 || w.gap {
			b.w, b.inBytes, b.busy = work{}, 0, true
			b.mu.Unlock()
			return w, true
		}
		stopped := b.stop != nil
		b.mu.Unlock()
		if stopped {
			return work{}, false
		}
		<-b.wake
	}
}

// prune drops records that the actor knows: mostly its own, which the log republishes.
func (b *mailbox) prune() {
	i := 0
	for i < len(b.w.incoming) && b.w.incoming[i].Seq <= b.appended {
		b.inBytes -= len(b.w.incoming[i].Payload)
		i++
	}
	b.w.incoming = b.w.incoming[i:]
}

// close stops the taking of requests and tasks; those already taken are worked off. err is the answer to later ones.
func (b *mailbox) close(err error) {
	b.mu.Lock()
	if b.stop == nil {
		b.stop = err
	}
	b.mu.Unlock()
	b.notify()
}

// closeIfIdle closes where nothing waits and nothing is being decided.
func (b *mailbox) closeIfIdle(err error) bool {
	b.mu.Lock()
	idle := b.open == 0 && len(b.w.tasks) == 0 && b.stop == nil
	if idle {
		b.stop = err
	}
	b.mu.Unlock()
	if idle {
		b.notify()
	}
	return idle
}

// drop takes out all that is left, after a failure, so that it can be refused.
func (b *mailbox) drop(err error) []pending {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop == nil {
		b.stop = err
	}
	left := b.w.requests
	b.w, b.inBytes = work{}, 0
	return left
}

// requestBytes is about what a request holds in memory.
func requestBytes(r *Request) int {
	n := 256
	for _, c := range r.Commands {
		n += 128 + commandBytes(c)
	}
	return n
}

func commandBytes(c domain.Command) int {
	switch c := c.(type) {
	case domain.AddElement:
		if c.Element == nil {
			return 0
		}
		return len(c.Element.JSON())
	case domain.PatchElement:
		n := 0
		for _, m := range c.Set {
			n += len(m.Key) + len(m.Value) + 48
		}
		return n + stringBytes(c.Unset)
	case domain.RemoveElements:
		return stringBytes(c.IDs)
	case domain.ReorderElements:
		return stringBytes(c.IDs)
	case domain.PostChat:
		return len(c.Text) + len(c.Sealed)
	case domain.AddComment:
		return len(c.Text) + len(c.Sealed)
	case domain.Restore:
		n := 0
		for _, e := range c.Elements {
			n += len(e.JSON())
		}
		return n
	default:
		return 1024
	}
}

func stringBytes(ss []string) int {
	n := 0
	for _, s := range ss {
		n += len(s) + 16
	}
	return n
}

// stopped says why nothing more is taken.
func (b *mailbox) stopped() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stop
}
