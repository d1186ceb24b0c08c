package realtime

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// half is a wire protocol's part of a room. All methods run in the room's goroutine; they must not block and do no IO. See doc.go.
type half interface {
	// joined: p has its place. What v shows and every commit from now on is what p has to be told; p's role is set.
	joined(p *peer, v *commands.View)
	// left: p is gone, of whatever protocol.
	left(p *peer)
	// present: p has come, of whatever protocol; called for p's own half too, after joined.
	present(p *peer)
	// committed: the room has moved on. Rights of peers have been brought up to c before.
	committed(c *events.Commit)
	// roleChanged: p, of this protocol, has another role since the commit that is being handled. Called after committed.
	roleChanged(p *peer)
	// replied: the answer to p's request; its commit was handled before.
	replied(p *peer, seq uint64, res commands.Result, err error)
	// moved: a tick of the ephemeral lane. moved holds the peers with something new, of whatever protocol (see ephemeral.go).
	moved(t *tick)
	// flushing: the room is about to wake the writers; the last chance to queue what was gathered.
	flushing()
	// forgotten: somebody whose words or name v holds was forgotten, and the clients that were told of them get v anew.
	forgotten(v *commands.View)
	// goingAway is how this protocol says that the server stops.
	goingAway() closing
}

// room is what this process knows of a room with sockets. One goroutine (run) owns it and everything below "owned".
type room struct {
	hub   *Hub
	id    string
	users int // of acquire; guarded by hub.mu
	box   mailbox
	watch commands.Watch // set before ready is closed
	ready chan struct{}
	err   error         // set before ready is closed: why the room can't be had
	ended chan struct{} // closed when the room is over

	online   atomic.Int32 // people
	sessions atomic.Int32
	who      atomic.Pointer[[]string] // people with an identity, as of the last join or leave
	active   atomic.Int64             // Unix ms of the last commit, join or leave

	lane struct { // what readers left for the next tick
		mu     sync.Mutex
		moving []*peer
	}

	// owned
	peers     []*peer
	byClient  map[clientKey]*peer
	people    map[string]int // sessions by user
	halves    map[string]half
	head      uint64  // revision of the newest commit handled; 0 before the first view
	key       uint64  // the number of the room's key as of head
	answered  []*peer // got an answer that is not flushed yet
	dirty     []*peer
	turn      []*peer     // those that are being written to: of a crowd a part at a time
	written   int         // of turn
	turned    int         // of handled, when the turn began
	handled   []time.Time // when commits came that are not flushed yet
	wantFlush bool        // a half has gathered something for flushing
	flushed   time.Time
	ticked    time.Time
	tickEvery time.Duration
	tickNo    uint64
	wantTick  bool
	timers    []timer
	done      bool // nothing is delivered any more
	told      time.Time
}

type clientKey struct{ user, client string }

// timer is something to do later, in the room's goroutine.
type timer struct {
	at time.Time
	f  func()
}

func newRoom(h *Hub, id string) *room {
	return &room{
		hub: h, id: id, ready: make(chan struct{}), ended: make(chan struct{}), box: mailbox{wake: make(chan struct{}, 1)},
		tickEvery: h.limits.PositionTick,
		byClient:  map[clientKey]*peer{}, people: map[string]int{}, halves: map[string]half{},
	}
}

// run is the room's goroutine, from the first socket until the room has had none for RoomLinger.
func (r *room) run() {
	defer r.hub.work.Done()
	if !r.open() {
		return
	}
	defer r.watch.Close()
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	var letters []mail
	var idleSince time.Time
	for {
		wait := r.wait(time.Now(), idleSince)
		if wait > 0 {
			clock.Reset(wait)
			stop := r.hub.ctx.Done()
			if r.done {
				stop = nil
			}
			select {
			case <-r.box.wake:
			case <-clock.C:
			case <-stop:
				r.over(context.Canceled)
			}
		}
		var full bool
		if letters, full = r.box.take(letters); full {
			r.over(errMailbox)
		}
		for _, m := range letters {
			m.deliver(r)
		}
		now := time.Now()
		r.runTimers(now)
		r.maybeTick(now)
		r.maybeFlush(now)
		switch {
		case len(r.peers) > 0:
			idleSince = time.Time{}
		case r.done:
			r.hub.retire(r, true)
			if r.unused() {
				return
			}
		case idleSince.IsZero():
			idleSince = now
		case now.Sub(idleSince) >= r.hub.limits.RoomLinger && r.hub.retire(r, false):
			return
		}
	}
}

var errMailbox = errors.New("realtime: room fell behind its commits")

// open starts watching; where that fails everybody who waits gets the error.
func (r *room) open() bool {
	ctx, cancel := context.WithTimeout(r.hub.ctx, watchTimeout)
	defer cancel()
	r.watch, r.err = r.hub.cfg.Rooms.Watch(ctx, r.id, r)
	if r.err != nil {
		r.hub.retire(r, true)
		r.hub.log.Error("room_watch_failed", "roomId", r.id, "error", r.err.Error())
	}
	close(r.ready)
	return r.err == nil
}

func (r *room) unused() bool {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	return r.users == 0
}

// wait says how long the goroutine may sleep; 0: not at all.
func (r *room) wait(now, idleSince time.Time) time.Duration {
	if len(r.turn) > 0 {
		return 0
	}
	next := now.Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	if len(r.dirty) > 0 || r.wantFlush {
		sooner(r.flushed.Add(r.hub.limits.FlushTick))
	}
	if r.wantTick {
		sooner(r.ticked.Add(r.tickEvery))
	}
	for _, t := range r.timers {
		sooner(t.at)
	}
	if !idleSince.IsZero() {
		sooner(idleSince.Add(r.hub.limits.RoomLinger))
	}
	return max(next.Sub(now), 0)
}

// after runs f in the room's goroutine, not before d has passed.
func (r *room) after(d time.Duration, f func()) {
	r.timers = append(r.timers, timer{time.Now().Add(d), f})
}

func (r *room) runTimers(now time.Time) {
	due := r.timers
	r.timers = nil
	for _, t := range due {
		if t.at.After(now) {
			r.timers = append(r.timers, t)
		} else {
			t.f()
		}
	}
}

// The room's goroutine writes by itself to directSockets at a time: between two parts of a crowd's turn it answers whoever waits for an ack, and lets
// others run. To more than directMost it leaves the writing to their writers, who share the work among the processors.
const (
	directSockets = 128
	directMost    = 2048
)

// maybeFlush has what was queued written: at once in a room of few, in a crowd once per FlushTick.
func (r *room) maybeFlush(now time.Time) {
	if len(r.turn) > 0 {
		r.flushAnswered()
		r.flushPart()
		return
	}
	if len(r.dirty) == 0 && !r.wantFlush {
		r.handled = r.handled[:0]
		clear(r.answered)
		r.answered = r.answered[:0]
		return
	}
	if len(r.peers) >= r.hub.limits.Crowd && now.Sub(r.flushed) < r.hub.limits.FlushTick {
		r.flushAnswered()
		return
	}
	r.wantFlush = false
	for _, h := range r.halves {
		h.flushing()
	}
	r.flushAnswered() // first in a crowd's turn
	r.turn, r.dirty = r.dirty, r.turn
	r.turned, r.flushed = len(r.handled), now
	r.flushPart()
}

// flushPart goes on with the turn. What is queued meanwhile for those who have not had theirs goes with it, the rest waits for the next turn.
func (r *room) flushPart() {
	direct := len(r.turn) <= directMost
	part := r.turn[r.written:]
	if direct {
		part = part[:min(len(part), directSockets)]
	}
	for _, p := range part {
		p.dirty = false
		if direct {
			p.conn.flushDirect()
		} else {
			p.conn.flush()
		}
	}
	if r.written += len(part); r.written < len(r.turn) {
		runtime.Gosched()
		return
	}
	clear(r.turn)
	r.turn, r.written = r.turn[:0], 0
	for _, at := range r.handled[:r.turned] {
		r.hub.met.fanout.Observe(time.Since(at).Seconds())
	}
	r.handled = append(r.handled[:0], r.handled[r.turned:]...)
}

// flushAnswered writes at once to those who got an answer: a crowd around them makes nobody wait for the ack of an edit.
func (r *room) flushAnswered() {
	for i, p := range r.answered {
		r.answered[i] = nil
		if i < directSockets {
			p.conn.flushDirect()
		} else {
			p.conn.flush()
		}
	}
	r.answered = r.answered[:0]
}

// committed brings rights up to the commit, then has it told to everybody.
func (r *room) committed(c *events.Commit, at time.Time) {
	if r.done || c.Last() <= r.head {
		return
	}
	r.head = c.Last()
	r.active.Store(c.At)
	if log := r.hub.log; log.Enabled(r.hub.ctx, slog.LevelDebug) {
		log.Debug("room_committed", "roomId", r.id, "userId", c.Events[0].Actor, "dataSize", sizeHint(c), "revision", c.Last())
	}
	r.hub.registry.Committed(r.id, c)
	changes := r.rights(c)
	for _, h := range r.halves {
		h.committed(c)
	}
	r.forgetPreviews(c)
	for _, ch := range changes {
		r.applyRight(ch)
	}
	r.handled = append(r.handled, at)
	r.tell(false)
}

// over ends the room here: the actor stopped, or its commits can't be followed.
func (r *room) over(err error) {
	if r.done {
		return
	}
	r.done = true
	close(r.ended)
	r.hub.retire(r, true)
	stopping := err == nil || errors.Is(err, context.Canceled)
	if !stopping {
		r.hub.log.Error("room_ended", "roomId", r.id, "error", err.Error())
	}
	for _, p := range r.peers {
		if stopping {
			p.bye(p.goingAway())
		} else {
			p.bye(byeReadOnly)
		}
	}
}

// deliver gives the peer its place in the room, or closes its socket where it may not enter.
func (m *joinMail) deliver(r *room) {
	p, v := m.p, m.v
	defer close(p.placed)
	if v.Revision >= r.head {
		r.head, r.key = v.Revision, v.Room.Key
	}
	if p.gone {
		return
	}
	if r.done {
		p.bye(byeReadOnly)
		return
	}
	admit := p.admit
	if admit == nil {
		admit = func(v *commands.View) (domain.Role, bool, error) { return roleIn(v, p.who.UserID) }
	}
	role, participant, err := admit(v)
	if err != nil {
		p.bye(byeErr(err))
		return
	}
	p.setRole(role)
	p.participant = participant
	h := r.halves[p.sock.protocol]
	if h == nil {
		h = m.half(r)
		r.halves[p.sock.protocol] = h
	}
	p.half = h
	r.replace(p)
	p.index = len(r.peers)
	r.peers = append(r.peers, p)
	r.people[p.who.UserID]++
	h.joined(p, v)
	for _, h := range r.halves {
		h.present(p)
	}
	r.hub.log.Info("user_joined", "roomId", r.id, "userId", p.who.UserID, "protocol", p.sock.protocol, "role", string(role))
	r.tell(true)
}

// replace closes the socket that the same client of the same user had here before.
func (r *room) replace(p *peer) {
	if p.client == "" {
		return
	}
	k := clientKey{p.who.UserID, p.client}
	if old := r.byClient[k]; old != nil {
		old.conn.bye(byeReplaced, false)
	}
	r.byClient[k] = p
}

// remove takes a peer out whose socket is gone.
func (r *room) remove(p *peer) {
	if p.gone {
		return
	}
	p.gone = true
	if p.half == nil { // its socket was gone before the room came to its join, or it was refused
		return
	}
	last := len(r.peers) - 1
	r.peers[p.index] = r.peers[last]
	r.peers[p.index].index = p.index
	r.peers[last] = nil
	r.peers = r.peers[:last]
	k := clientKey{p.who.UserID, p.client}
	if r.byClient[k] == p {
		delete(r.byClient, k)
	}
	less(r.people, p.who.UserID)
	for _, h := range r.halves {
		h.left(p)
	}
	r.hub.log.Info("user_left", "roomId", r.id, "userId", p.who.UserID, "protocol", p.sock.protocol)
	r.tell(true)
}

// byeErr is how a socket ends that was refused with err.
func byeErr(err error) closing {
	var e *domain.Error
	if errors.As(err, &e) {
		return byeError(e.Code, e.Detail)
	}
	return byeReadOnly
}
