package realtime

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// peer is one socket as the room knows it. Fields are the room's goroutine's unless said otherwise.
type peer struct {
	session string // made here; unique
	who     Identity
	client  string // of v1: kept across reconnects; "" none
	sock    *socket
	conn    *conn
	room    *room
	half    half // its protocol's part of the room

	role        atomic.Pointer[domain.Role] // written by the room, read by all
	participant bool                        // has a role of its own
	index       int                         // in room.peers
	gone        bool
	dirty       bool // has frames that nobody woke the writer for
	draining    bool
	ending      *closing // not nil: hears the answers to what it asked before it lost its right to the room, nothing else, and is closed
	user        []byte   // {"id","name","color"}, encoded once

	flight flight
	eph    ephemera      // guarded by its own lock
	placed chan struct{} // closed when the room took it in or refused it

	// The newest position, as JSON; the ticks they came in with. Empty: none yet.
	cursor, viewport         []byte
	cursorTick, viewportTick uint64
	previews                 map[string]*preview

	ext any // the protocol's own
	// admit, where not nil, decides instead of roleIn whether the peer may enter and as what; it runs in the room's goroutine.
	admit func(v *commands.View) (role domain.Role, participant bool, err error)
}

// Role is the peer's role as of the newest commit the room has handled.
func (p *peer) Role() domain.Role {
	if r := p.role.Load(); r != nil {
		return *r
	}
	return ""
}

func (p *peer) setRole(r domain.Role) { p.role.Store(&r) }

// may reports whether the peer's role has a right (see domain.Allowed).
func (p *peer) may(right string) bool { return domain.Allowed(p.Role(), right) }

// mayEdit reports whether the peer may change elements.
func (p *peer) mayEdit() bool { return p.may(domain.PatchElement{}.CommandName()) }

// send queues shared frames; the room flushes. The room's goroutine only.
func (p *peer) send(data []byte) {
	if p.ending == nil && p.conn.send(data) {
		p.touch()
	}
}

// sendOwn queues a small frame for this peer alone. The room's goroutine only.
func (p *peer) sendOwn(data []byte) {
	if p.conn.sendOwn(data) {
		p.touch()
	}
}

func (p *peer) touch() {
	if !p.dirty {
		p.dirty = true
		p.room.dirty = append(p.room.dirty, p)
	}
}

// bye closes the peer's socket after what waits. The reader notices and leaves the room.
func (p *peer) bye(c closing) { p.conn.bye(c, false) }

// end closes the peer's socket for want of a right. Where its protocol has answers it first hears those to what it asked before, as some of it
// may have been accepted; of nothing else from now on. The room's goroutine only.
func (p *peer) end(c closing) {
	p.flight.shut()
	if x := v1Of(p); x == nil || !x.live || p.flight.empty() {
		p.bye(c)
		return
	}
	p.ending = &c
}

// settled closes the socket where it was only waiting for its answers. The room's goroutine only.
func (p *peer) settled() {
	switch {
	case (p.ending == nil && !p.draining) || !p.flight.empty():
	case p.ending != nil:
		p.bye(*p.ending)
	default:
		p.bye(p.goingAway())
	}
}

// leave tells the room that the socket is gone, and lets go of the room.
func (p *peer) leave() {
	p.room.post(leaveMail{p})
	p.room.release()
}

// submit hands in a request, its answer goes to the peer's half in the room's goroutine, after its commit. n bytes count as in flight
// until then: acquire them before. The reader's goroutine.
func (p *peer) submit(req commands.Request, n int) {
	r, seq := p.room, req.Seq // not all of the request
	r.watch.Submit(req, func(res commands.Result, err error) {
		r.post(&replyMail{p: p, seq: seq, res: res, err: err, bytes: n})
	})
}

// flight bounds the commands of one socket that are not answered. One caller of acquire (the reader), one of release (the room).
type flight struct {
	mu    sync.Mutex
	n     int
	bytes int
	over  bool          // nothing more is taken
	freed chan struct{} // capacity 1
}

// shut takes nothing more.
func (f *flight) shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
}

// acquire waits until n more bytes may be in flight; false: closing was closed first, or nothing more is taken.
func (f *flight) acquire(n int, l *Limits, closing <-chan struct{}) bool {
	for {
		f.mu.Lock()
		if f.over {
			f.mu.Unlock()
			return false
		}
		if f.n == 0 || f.n < l.InFlight && f.bytes+n <= l.InFlightBytes {
			f.n++
			f.bytes += n
			f.mu.Unlock()
			return true
		}
		f.mu.Unlock()
		select {
		case <-f.freed:
		case <-closing:
			return false
		}
	}
}

func (f *flight) release(n int) {
	f.mu.Lock()
	f.n--
	f.bytes -= n
	f.mu.Unlock()
	select {
	case f.freed <- struct{}{}:
	default:
	}
}

func (f *flight) empty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n == 0
}

// join takes the socket into the room of that id and returns when it has its place there: from then on the room's goroutine owns the
// peer. The caller reads no frame of the client before. An error: the room can't be opened (the socket is still the caller's).
func (s *socket) join(ctx context.Context, roomID string, p *peer, makeHalf func(*room) half) error {
	r, err := s.hub.acquire(ctx, roomID)
	if err != nil {
		return err
	}
	p.sock, p.conn, p.room = s, s.conn, r
	p.placed = make(chan struct{})
	p.flight.freed = make(chan struct{}, 1)
	s.mu.Lock()
	s.peer = p
	draining := s.draining
	s.mu.Unlock()
	if draining {
		s.finish(s.goingAway())
	}
	// Whoever was deleted before this was not found by CloseUser, and is known to be by now.
	if gone, err := s.hub.cfg.Users.Deleted(ctx, p.who.UserID); err == nil && gone {
		s.finish(byeDeletedUser)
	}
	r.watch.View(func(v *commands.View) { r.post(&joinMail{p: p, v: v, half: makeHalf}) })
	select {
	case <-p.placed:
	case <-s.conn.closing:
	case <-r.ended: // the actor may have stopped before it came to the view
		s.finish(byeReadOnly)
	}
	return nil
}
