package realtime

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// lookupTimeout bounds finding the names and texts of a commit, where they aren't cached.
const lookupTimeout = 2 * time.Second

// A tick that writes more than heavyTick bytes to all sockets together is followed by a pause of heavyTickEvery: no position gets older than
// the 100 ms that are promised.
const (
	heavyTick      = 4 << 20
	heavyTickEvery = 90 * time.Millisecond
)

// v1Half is the v1 protocol's part of a room: see half.
type v1Half struct {
	room       *room
	ring       ring
	peers      int     // of v1
	blurred    int     // of those, how many are told of blurs
	came, gone []*peer // since the last presence frame
	frames     []positions
	newcomers  []*peer // live, and not told yet who is here
}

// positions is a shared frame with everything that changed after a tick.
type positions struct {
	since    uint64
	frame    []byte    // nil: nothing
	previews []shownBy // whose previews stand where; in the order of the frame
}

// shownBy is the part of a frame that holds the previews of one peer. Both ends are counted from the frame's end, as the length of its header
// depends on that of the whole.
type shownBy struct {
	of       *peer
	from, to int
}

// frameFor is the frame without p's own previews: only others are told of them.
func (f *positions) frameFor(p *peer) []byte {
	for _, s := range f.previews {
		if s.of != p {
			continue
		}
		head, tail := f.frame[headLength(f.frame):len(f.frame)-s.from], f.frame[len(f.frame)-s.to:]
		b := append(append(newFrame(len(head)+len(tail)), head...), tail...)
		switch n := len(b) - 1; b[n] {
		case '[':
			return nil
		case ',':
			b[n] = ']'
		}
		return finishFrame(b)
	}
	return f.frame
}

// v1Peer is the room's side of a v1 socket, beside peer.
type v1Peer struct {
	resume    *uint64
	live      bool     // gets commits as they come; else a stream is being written and the rest waits
	sent      uint64   // revision up to which commits, or a snapshot, are queued or streamed
	announced bool     // got the list of who is here
	asked     bool     // its first entry was handed in
	stale     bool     // what is being streamed may hold words of somebody who was forgotten meanwhile
	held      [][]byte // answers that wait for live
	blurs     bool     // is told of the blurs of pictures
	unblurred []string // assets whose blurs are told once it is live
	position  receipt
	since     uint64 // the tick that position goes back to
}

func newPeer(who Identity, client string) *peer {
	return &peer{
		session: uuid.NewString(), who: who, client: client,
		user: wire.AppendUser(nil, who.UserID, who.Name, who.Color),
	}
}

func newV1Half(r *room) half {
	return &v1Half{room: r, ring: ring{limit: r.hub.limits.RingBytes, next: r.head + 1}}
}

func v1Of(p *peer) *v1Peer { x, _ := p.ext.(*v1Peer); return x }

// revision is what p has been sent, for pong: never more than the truth.
func (x *v1Peer) revision(r *room) uint64 {
	if x.live {
		return r.head
	}
	return x.sent
}

func (h *v1Half) goingAway() closing { return byeGoingAway }

func (h *v1Half) joined(p *peer, v *commands.View) {
	x := v1Of(p)
	h.peers++
	how, s := h.catchUp(p, x, v)
	if x.blurs {
		h.blurred++
		x.unblurred = picturesIn(v, x.sent, how)
	}
	p.send(welcomeFrame(p, v.Revision, how, &h.room.hub.limits))
	if s == nil {
		h.becomeLive(p, x)
		return
	}
	h.stream(p, s)
}

// catchUp decides how p gets to the view's revision: by the commits it missed, from memory or the log, or by a snapshot where that is
// smaller. The stream is nil where nothing is missing.
func (h *v1Half) catchUp(p *peer, x *v1Peer, v *commands.View) (how string, s stream) {
	if x.resume != nil && *x.resume > 0 && *x.resume <= v.Revision {
		x.sent = *x.resume
		missing := v.Revision - x.sent
		if missing == 0 {
			return "replay", nil
		}
		if h.ring.covers(x.sent) {
			return "replay", h.replay(p, x, h.ring.after(x.sent))
		}
		if missing <= uint64(100+len(v.Elements)+len(v.Chat)+len(v.Comments)) {
			return "replay", &logStream{h: h, p: p, after: x.sent}
		}
	}
	x.sent = v.Revision
	return "snapshot", &snapshotStream{
		h: h, p: p, view: v, role: p.Role(), online: len(h.room.people), reset: x.resume != nil && *x.resume > v.Revision,
	}
}

func (h *v1Half) replay(p *peer, x *v1Peer, commits []*encoded) stream {
	return &replayStream{h: h, p: p, commits: commits, after: x.sent}
}

func (h *v1Half) stream(p *peer, s stream) {
	if p.ending == nil && p.conn.sendStream(s) {
		p.touch()
	}
}

// caughtUp: the stream for p has been written; it is complete up to revision.
func (h *v1Half) caughtUp(p *peer, revision uint64) {
	x := v1Of(p)
	if p.gone || x.live {
		return
	}
	x.sent = max(x.sent, revision)
	if x.sent >= h.room.head {
		h.becomeLive(p, x)
		return
	}
	if !h.ring.covers(x.sent) {
		h.stream(p, &logStream{h: h, p: p, after: x.sent})
		return
	}
	missed := h.ring.after(x.sent)
	if sizeOf(missed) > h.room.hub.limits.QueueBytes/2 {
		h.stream(p, h.replay(p, x, missed))
		return
	}
	for _, c := range missed {
		p.send(h.frameAfter(c, x.sent))
	}
	h.becomeLive(p, x)
}

// becomeLive: from now on p gets commits as they come.
func (h *v1Half) becomeLive(p *peer, x *v1Peer) {
	x.live = true
	x.sent = max(x.sent, h.room.head)
	if !x.announced {
		h.newcomers = append(h.newcomers, p)
		h.room.wantFlush = true
	}
	for _, b := range x.held {
		p.sendOwn(b)
	}
	x.held = nil
	if len(x.unblurred) > 0 {
		h.stream(p, &blurStream{hub: h.room.hub, ids: x.unblurred})
		x.unblurred = nil
	}
	h.firstEntry(p, x)
	if x.stale {
		h.renewLater(p, x)
	}
}

// firstEntry has a newcomer written down as a participant. Somebody who was one before changes nothing by it.
func (h *v1Half) firstEntry(p *peer, x *v1Peer) {
	actor := domain.Actor{ID: p.who.UserID}
	if x.asked || p.participant || actor.Anonymous() {
		return
	}
	x.asked = true
	log, room := h.room.hub.log, h.room.id
	h.room.watch.Submit(commands.Request{Actor: actor, Commands: []domain.Command{domain.Join{}}}, func(_ commands.Result, err error) {
		if err != nil {
			log.Warn("join_not_stored", "roomId", room, "userId", actor.ID, "error", err.Error())
		}
	})
}

func (h *v1Half) committed(c *events.Commit) {
	e := h.ring.add(c)
	if h.peers == 0 {
		return
	}
	for _, p := range h.room.peers {
		x := v1Of(p)
		if x == nil || !x.live || c.Last() <= x.sent {
			continue
		}
		p.send(h.frame(e))
		x.sent = c.Last()
	}
	h.noteBlurs(c)
}

// frame is the commit's frame, encoded once for all, and again once somebody was forgotten.
func (h *v1Half) frame(e *encoded) []byte {
	return e.frameAt(h.room.hub.cfg.Users.Epoch(), func() []byte { return h.encode(e.commit, 0) })
}

// frameAfter is the commit's frame for somebody who has seen revision after.
func (h *v1Half) frameAfter(e *encoded, after uint64) []byte {
	if after < e.commit.First {
		return h.frame(e)
	}
	return h.encode(e.commit, after)
}

func (h *v1Half) encode(c *events.Commit, after uint64) []byte {
	ctx, cancel := context.WithTimeout(h.room.hub.ctx, lookupTimeout)
	defer cancel()
	b := newFrame(sizeHint(c))
	return finishFrame(h.room.hub.encoder.AppendCommit(ctx, b, c, after))
}

func (h *v1Half) roleChanged(p *peer) { p.sendOwn(roleFrame(p.Role())) }

func (h *v1Half) replied(p *peer, seq uint64, res commands.Result, err error) {
	x := v1Of(p)
	var b []byte
	if err == nil {
		b = ackFrame(seq, res.Last, res.Dropped)
	} else {
		code, detail := reason(err)
		if code == domain.CodeInternal {
			h.room.hub.log.Error("command_failed", "roomId", h.room.id, "userId", p.who.UserID, "error", err.Error())
		}
		b = rejectFrame(seq, code, detail)
	}
	if !x.live {
		x.held = append(x.held, b) // bounded by the peer's flight
		return
	}
	p.sendOwn(b)
}

func (h *v1Half) present(p *peer) {
	h.came = append(h.came, p)
	h.room.wantFlush = true
}

func (h *v1Half) left(p *peer) {
	if x := v1Of(p); x != nil && h.peers > 0 {
		h.peers--
		if x.blurs {
			h.blurred--
		}
	}
	for i, q := range h.came {
		if p == q { // came and went between two flushes
			h.came = append(h.came[:i], h.came[i+1:]...)
			return
		}
	}
	h.gone = append(h.gone, p)
	h.room.wantFlush = true
}

// flushing tells everybody who has come and gone, in one frame, and newcomers who is here.
func (h *v1Half) flushing() {
	if len(h.came)+len(h.gone) > 0 && h.peers > 0 {
		frame := presenceFrame(h.came, h.gone)
		for _, p := range h.room.peers {
			if x := v1Of(p); x != nil && x.announced {
				p.send(frame)
			}
		}
	}
	h.came, h.gone = nil, nil
	h.welcomeNewcomers()
}

// welcomeNewcomers gives those who are up to date the list of who is here: one encoding for all who came together, outside of the queue's
// bound, as it is large in a crowd. Where everybody is comes with the next tick.
func (h *v1Half) welcomeNewcomers() {
	if len(h.newcomers) == 0 {
		return
	}
	frame := onlineFrame(h.room.peers)
	for _, p := range h.newcomers {
		if x := v1Of(p); !p.gone && !x.announced {
			x.announced = true
			x.position.state.Store(receiptDropped)
			h.stream(p, &listStream{frame})
		}
	}
	h.newcomers = nil
	h.room.wantTick = true
}

// moved sends everybody one frame with all the newest positions and previews: those of this tick, and what its last frame, never written,
// would have said.
func (h *v1Half) moved(t *tick) {
	if h.peers == 0 || len(h.room.peers) < 2 {
		return
	}
	h.frames = h.frames[:0]
	for _, p := range h.room.peers {
		x := v1Of(p)
		if x == nil || !x.announced || p.ending != nil {
			continue
		}
		if !p.conn.withdraw(&x.position) {
			x.since = t.no - 1
		}
		if frame := h.positionsSince(x.since, t).frameFor(p); frame != nil && p.conn.sendEphemeral(frame, &x.position) {
			p.touch()
			if x.position.state.Load() == receiptDropped {
				h.room.wantTick = true // once more, when there may be room
			}
		}
	}
	h.slowDown(t)
	clear(h.frames)
}

// slowDown gives a room that is very large more time between position frames: bandwidth grows with the square of who moves.
func (h *v1Half) slowDown(t *tick) {
	h.room.tickEvery = h.room.hub.limits.PositionTick
	for _, f := range h.frames {
		if f.since == t.no-1 && len(f.frame)*h.peers > heavyTick {
			h.room.tickEvery = max(h.room.tickEvery, heavyTickEvery)
		}
	}
}

// positionsSince is made once for all who have seen the tick `since`. It is good until the next call.
func (h *v1Half) positionsSince(since uint64, t *tick) *positions {
	for i := range h.frames {
		if h.frames[i].since == since {
			return &h.frames[i]
		}
	}
	list := t.moved
	if since < t.no-1 {
		list = h.room.peers
	}
	f := positions{since: since}
	b := append(newFrame(64+256*len(list)), '[')
	for _, p := range list {
		b = appendPosition(b, p, since)
		from := len(b)
		if b = appendPreviews(b, p, since); len(b) > from {
			f.previews = append(f.previews, shownBy{p, from, len(b)})
		}
	}
	if n := len(b); b[n-1] == ',' {
		b[n-1] = ']'
		for i := range f.previews {
			f.previews[i].from, f.previews[i].to = n-f.previews[i].from, n-f.previews[i].to
		}
		f.frame = finishFrame(b)
	}
	h.frames = append(h.frames, f)
	return &h.frames[len(h.frames)-1]
}
