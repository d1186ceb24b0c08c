package realtime

import (
	"sync"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// mail is something for the room's goroutine to do; deliver runs there and must not block.
type mail interface{ deliver(r *room) }

// mailbox is the one way into a room's goroutine: in order, never blocking. What comes in is bounded by those who send: a socket by its
// flight, the actor by the disk. Where the goroutine falls behind the actor all the same, past Limits.Mailbox, the room gives up: it
// closes its sockets with 4503 and is opened anew by those who come back.
type mailbox struct {
	mu      sync.Mutex
	letters []mail
	full    bool
	wake    chan struct{} // capacity 1
}

// post queues m. Any goroutine.
func (r *room) post(m mail) {
	r.box.mu.Lock()
	if _, commit := m.(commitMail); commit && len(r.box.letters) >= r.hub.limits.Mailbox {
		r.box.full = true
	} else {
		r.box.letters = append(r.box.letters, m)
	}
	r.box.mu.Unlock()
	r.wakeUp()
}

func (r *room) wakeUp() {
	select {
	case r.box.wake <- struct{}{}:
	default:
	}
}

// take returns what came since, using the memory of last.
func (b *mailbox) take(last []mail) (_ []mail, full bool) {
	clear(last)
	if cap(last) > 1024 {
		last = nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	letters := b.letters
	b.letters = last[:0]
	return letters, b.full
}

// Mails. Those of protocols are funcMail.
type (
	// funcMail runs f in the room's goroutine.
	funcMail func(*room)
	joinMail struct {
		p    *peer
		v    *commands.View
		half func(*room) half
	}
	leaveMail struct{ p *peer }
	drainMail struct{ p *peer }
	replyMail struct {
		p     *peer
		seq   uint64
		res   commands.Result
		err   error
		bytes int
	}
	commitMail struct {
		c  *events.Commit
		at time.Time
	}
	endedMail struct{ err error }
)

func (f funcMail) deliver(r *room) { f(r) }

func (m leaveMail) deliver(r *room) { r.remove(m.p) }

func (m drainMail) deliver(*room) {
	m.p.draining = true
	m.p.settled()
}

func (m *replyMail) deliver(r *room) {
	p := m.p
	if !p.gone {
		p.half.replied(p, m.seq, m.res, m.err)
		if n := len(r.answered); n == 0 || r.answered[n-1] != p {
			r.answered = append(r.answered, p)
		}
	}
	p.flight.release(m.bytes)
	p.settled()
}

func (m commitMail) deliver(r *room) { r.committed(m.c, m.at) }

func (m endedMail) deliver(r *room) { r.over(m.err) }

// goingAway is how the peer's protocol is told that the server stops.
func (p *peer) goingAway() closing {
	if p.half != nil {
		return p.half.goingAway()
	}
	return byeGoingAway
}

// Committed takes a commit from the room's actor. It is the Watcher's.
func (r *room) Committed(c *events.Commit) { r.post(commitMail{c, time.Now()}) }

// Ended says that the actor has stopped. It is the Watcher's.
func (r *room) Ended(err error) { r.post(endedMail{err}) }

// roleIn returns the role that a view gives to a user, and whether it is the user's own.
func roleIn(v *commands.View, user string) (role domain.Role, participant bool, err error) {
	if role, err = v.RoleOf(user); err != nil {
		return "", false, err
	}
	if !domain.Allowed(role, domain.RightRead) {
		return "", false, domain.Errorf(domain.CodeForbidden, "a %s may not read this room", role)
	}
	roles := v.Cached.Get(rolesKey{}, func() any {
		m := make(map[string]domain.Role, len(v.Participants))
		for _, p := range v.Participants {
			m[p.User] = p.Role
		}
		return m
	}).(map[string]domain.Role)
	_, participant = roles[user]
	return role, participant, nil
}

type rolesKey struct{}
