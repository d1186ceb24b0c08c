package realtime

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// partiesPeer is the room's side of an old client's socket, beside peer. Fields are the room's goroutine's unless said otherwise.
type partiesPeer struct {
	userID string // what it is called in messages
	author uint32 // its number in this room's messages
	key    heldKey

	// Not live: messages about elements are not sent, the stream under way ends with the truth.
	live   bool
	resync bool   // the truth is a fresh sync:full
	sent   uint64 // up to where everything was sent, where it isn't live
	lossy  bool   // some of what was sent after proven was dropped for want of room

	// What it proved to have: see parties_baseline.go.
	proven  uint64
	told    uint64      // the last message about an element that was sent to it
	full    uint64      // the last sync:full
	synced  atomic.Bool // it proved to have the first sync:full; read by the reader too
	holds   map[string]hold
	mending bool // a timer will look at holds
	last    *lastHeld
	toLoad  *lastHeld // last, for the reader

	ping   atomic.Uint64 // number of the ping that isn't answered; 0: none
	pinged uint64        // what the answer proves
	pingNo uint64
	asked  time.Time

	note      receipt // of messages about elements
	drops     uint32  // of note, as far as it was handled
	position  [2]receipt
	since     uint64        // the tick up to which positions were sent
	before    uint64        // the same before the last were sent
	updates   *rate.Limiter // of previews; nil: no limit
	joinAsked bool
}

func partiesOf(p *peer) *partiesPeer { x, _ := p.ext.(*partiesPeer); return x }

// shownID is what a peer of whatever protocol is called in messages to old clients.
func shownID(p *peer) string {
	if x := partiesOf(p); x != nil {
		return x.userID
	}
	return p.session
}

// prove sends a ping behind everything sent so far, at most one at a time. The room's goroutine.
func (h *partiesHalf) prove(p *peer, x *partiesPeer) {
	if x.ping.Load() != 0 && time.Since(x.asked) < pingAgain || h.lost(p, x) {
		return
	}
	x.pingNo++
	x.pinged, x.asked = h.seq, time.Now()
	if !x.live {
		x.pinged = x.sent
	}
	x.ping.Store(x.pingNo)
	p.send(controlFrame(opPing, binary.BigEndian.AppendUint64(nil, x.pingNo)))
}

// pong takes the answer to a ping, in the reader; answers to none are ignored.
func (x *partiesPeer) pong(p *peer, payload []byte) {
	if len(payload) != 8 {
		return
	}
	no := binary.BigEndian.Uint64(payload)
	if no == 0 || !x.ping.CompareAndSwap(no, 0) {
		return
	}
	p.room.post(funcMail(func(r *room) {
		if h, ok := p.half.(*partiesHalf); ok && !p.gone {
			h.proved(p, x)
		}
	}))
}

// proved: the client has everything up to x.pinged.
func (h *partiesHalf) proved(p *peer, x *partiesPeer) {
	if h.lost(p, x) {
		return // the ping was sent behind something that was dropped
	}
	x.proven = max(x.proven, x.pinged)
	if x.proven >= x.full {
		x.last = nil
		x.synced.Store(true)
	}
	h.mend(p, x)
	if x.told > x.proven {
		h.askLater()
	}
}

// quietFor is how long a client must have said nothing about an element before it is sent the truth about it: in the middle of a drag the
// truth would only cross with the next frame.
const quietFor = 200 * time.Millisecond

// mend sends the truth about elements of which the client may hold older values, where it has proved to have all that was on its way.
func (h *partiesHalf) mend(p *peer, x *partiesPeer) {
	now, wait := time.Now(), time.Duration(0)
	for id, hd := range x.holds {
		it := h.items[id]
		if it == nil || hd.until > 0 && hd.until <= x.proven {
			delete(x.holds, id)
			continue
		}
		if hd.until > 0 || hd.need > x.proven || !x.live {
			continue
		}
		if left := quietFor - now.Sub(hd.at); left > 0 {
			wait = max(wait, left)
			continue
		}
		h.truth(p, x, it, "image:update")
	}
	if wait > 0 && !x.mending {
		x.mending = true
		h.room.after(wait, func() {
			x.mending = false
			if !p.gone {
				h.mend(p, x)
			}
		})
	}
}

// pingEvery is how often a client is asked what it has, while something is unproven.
const pingEvery = time.Second

// pingAgain is how long a ping may go unanswered before another one is sent in its place.
const pingAgain = 5 * time.Second

// askLater has the clients asked, within pingEvery.
func (h *partiesHalf) askLater() {
	if h.asking {
		return
	}
	h.asking = true
	h.room.after(pingEvery, h.ask)
}

// ask pings those to whom something was sent since they proved what they have, and forgets what nobody can hold any more.
func (h *partiesHalf) ask() {
	h.asking = false
	least, again := h.seq, false
	for _, p := range h.list {
		x := partiesOf(p)
		if x.told <= x.proven && x.full <= x.proven {
			x.proven = h.seq // nothing is on its way
		} else {
			h.prove(p, x)
			again = true
		}
		least = min(least, x.proven)
		for _, hd := range x.holds {
			least = min(least, hd.floor)
			again = true
		}
	}
	h.forget(least)
	if again || len(h.remembered) > 0 {
		h.askLater()
	}
}

// pastBytes bounds what a room remembers of superseded values, about. Past it the older half is forgotten: a client that didn't prove to have
// seen their end can't change those elements until it has, except by values nobody could take for old ones.
const pastBytes = 2 << 20

// forget drops superseded values up to seq, and more where there is too much.
func (h *partiesHalf) forget(seq uint64) {
	left := 0
	for it := range h.remembered {
		n := it.forget(seq)
		if n == 0 {
			delete(h.remembered, it)
		}
		left += n
	}
	h.past = left
	for h.past > pastBytes {
		h.past = 0
		for it := range h.remembered {
			it.cutPast()
			h.past += it.forget(0)
		}
	}
}
