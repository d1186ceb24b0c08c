package realtime

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// partiesHalf is the old protocol's part of a room: see half.
type partiesHalf struct {
	room  *room
	list  []*peer // of this protocol
	count uint32  // author numbers given

	// The canvas as old clients see it; nil while none is here.
	items     map[string]*item
	top       string            // at least the highest z of items; "" unknown where there are items
	seq       uint64            // of the last message about elements
	shape     uint64            // of the last one that added or removed one
	removed   []removal         // the newest, for those who are behind
	removedAt uint64            // seq up to which removals are forgotten
	waiting   map[string]string // elements that a generation, by its id, is to fill

	remembered map[*item]struct{} // those with superseded values
	past       int                // bytes of them, about
	asking     bool               // a timer will ask what the clients have
	syncing    bool               // a view for a fresh sync:full was asked for
	creating   bool               // the room's creation is on its way
	lane       lane
	positions  oldPositions
	scratch    []change
}

func newPartiesHalf(r *room) half {
	return &partiesHalf{room: r, remembered: map[*item]struct{}{}}
}

// closings of the old protocol.
var byeRestart = closing{CloseRestart, "", "server restarting"}

func (h *partiesHalf) goingAway() closing {
	h.flush(true)
	return byeRestart
}

func (h *partiesHalf) joined(p *peer, v *commands.View) {
	x := partiesOf(p)
	if h.items == nil {
		h.fill(v)
		h.fillWaiting(v)
	}
	x.last = h.lastOf(x, v.Revision)
	x.toLoad = x.last
	h.count++
	x.author = h.count
	x.userID = h.freeID(p, x)
	h.list = append(h.list, p)
	x.since = h.room.tickNo
	h.sendFull(p, x, v, true)
	var others []byte
	for _, q := range h.room.peers {
		if q != p {
			others = presenceJoin(others, shownID(q), q.who.Color, q.who.Name)
		}
	}
	if len(others) > 0 {
		p.send(others)
	}
	p.send(connectionInfo(x.userID, p.who.Color, p.who.Name))
	h.sendWaiting(p)
	h.prove(p, x)
	h.firstEntry(p, x)
}

// fill takes the canvas from a view.
func (h *partiesHalf) fill(v *commands.View) {
	h.items = make(map[string]*item, len(v.Elements))
	h.top = ""
	for _, e := range v.Elements {
		if shownType(e.Type()) {
			h.items[e.ID()] = &item{id: e.ID(), el: e}
			h.top = max(h.top, e.Z())
		}
	}
}

// freeID is what p is called: its _pk, unless somebody else here is called so.
func (h *partiesHalf) freeID(p *peer, x *partiesPeer) string {
	for _, q := range h.room.peers {
		if q != p && !q.gone && shownID(q) == x.userID && q.who.UserID != p.who.UserID {
			return uuid.NewString()
		}
	}
	return x.userID
}

// sendFull has a view's sync:full written, with the chat where chat is set. Until it is, p is not live.
func (h *partiesHalf) sendFull(p *peer, x *partiesPeer, v *commands.View, chat bool) {
	h.seq++
	if chat { // the first one: whatever else the client holds is in x.last
		x.proven = h.seq - 1
	}
	x.full, x.told, x.sent = h.seq, h.seq, h.seq
	x.live, x.resync, x.lossy = false, false, false
	if p.conn.sendStream(&fullStream{h: h, p: p, view: v, chat: chat, seq: h.seq}) {
		p.touch()
	}
}

// behind stops sending p messages about elements until what is in its queue has been written; then it gets the truth.
func (h *partiesHalf) behind(p *peer, x *partiesPeer) {
	if !x.live {
		return
	}
	x.live, x.lossy, x.sent = false, true, x.proven
	x.pinged = x.proven
	if p.conn.sendStream(&fullStream{h: h, p: p, seq: h.seq}) {
		p.touch()
	}
}

// lost looks whether messages to p were dropped; then it is behind.
func (h *partiesHalf) lost(p *peer, x *partiesPeer) bool {
	n := x.note.drops.Load()
	if n == x.drops {
		return false
	}
	x.drops = n
	if x.live {
		h.behind(p, x)
	} else {
		x.lossy, x.sent = true, min(x.sent, x.proven)
	}
	return true
}

// caughtUp: what was in p's queue when message seq was the newest has been written. What came after it, or was dropped before, is sent now.
func (h *partiesHalf) caughtUp(p *peer, seq uint64) {
	x := partiesOf(p)
	if p.gone || x.live || h.items == nil || seq < x.full {
		return
	}
	if x.resync || x.lossy && h.shape > x.sent || h.removedAt > x.sent {
		h.syncAll()
		x.resync = true
		return
	}
	x.live, x.lossy = true, false
	from := x.sent
	for _, it := range h.items {
		switch {
		case it.el == nil || it.heard.seq <= from && len(it.over) == 0:
		case it.added > from:
			h.truth(p, x, it, "image:add")
		default:
			h.truth(p, x, it, "image:update")
		}
	}
	for _, g := range h.removed {
		if g.seq > from {
			h.tell(p, x, imageFrame("image:remove", g.id))
		}
	}
	h.prove(p, x)
}

// firstEntry has somebody with an identity written down as a participant, once the room exists.
func (h *partiesHalf) firstEntry(p *peer, x *partiesPeer) {
	actor := domain.Actor{ID: p.who.UserID}
	if x.joinAsked || p.participant || actor.Anonymous() || h.room.head == 0 {
		return
	}
	x.joinAsked = true
	log, room := h.room.hub.log, h.room.id
	h.room.watch.Submit(commands.Request{Actor: actor, Commands: []domain.Command{domain.Join{}}}, func(_ commands.Result, err error) {
		if err != nil {
			log.Warn("join_not_stored", "roomId", room, "userId", actor.ID, "error", err.Error())
		}
	})
}

func (h *partiesHalf) present(p *peer) {
	// The others are told of somebody who has come back before his last socket was gone, too: to them it is the same person.
	h.broadcast(p, presenceJoin(nil, shownID(p), p.who.Color, p.who.Name))
}

func (h *partiesHalf) left(p *peer) {
	if x := partiesOf(p); x != nil {
		h.leave(p, x)
	}
	for _, q := range h.room.peers {
		if shownID(q) == shownID(p) {
			return // still here by another socket
		}
	}
	h.broadcast(p, presenceLeave(shownID(p)))
}

// leave ends p's part: what it showed and isn't stored is committed like everything else, at the latest now.
func (h *partiesHalf) leave(p *peer, x *partiesPeer) {
	for i, q := range h.list {
		if q == p {
			h.list = append(h.list[:i], h.list[i+1:]...)
			break
		}
	}
	if h.items != nil {
		h.room.hub.held.keep(x.key, h.heldBy(x))
	}
	if len(h.list) > 0 {
		return
	}
	h.flush(true)
	h.room.after(h.room.hub.limits.RoomLinger/2, func() {
		if len(h.list) == 0 && h.lane.flights == 0 {
			h.items, h.removed, h.past = nil, nil, 0
			clear(h.remembered)
		}
	})
}

// removal is an element that is gone since message seq.
type removal struct {
	id  string
	seq uint64
}

// maxRemovals bounds the removals kept for those who are behind; older ones cost them a fresh sync:full.
const maxRemovals = 4096

func (h *partiesHalf) noteRemoved(id string) {
	if len(h.removed) >= maxRemovals {
		half := len(h.removed) / 2
		h.removedAt = h.removed[half-1].seq
		h.removed = append(h.removed[:0], h.removed[half:]...)
	}
	h.removed = append(h.removed, removal{id, h.seq})
	h.shape = h.seq
}

// broadcast queues a frame for all old clients but one.
func (h *partiesHalf) broadcast(but *peer, frame []byte) {
	for _, p := range h.list {
		if p != but {
			p.send(frame)
		}
	}
}

func (h *partiesHalf) roleChanged(*peer) {} // the old protocol has no word for it

func (h *partiesHalf) flushing() {}

// committed folds the commit into the canvas and tells everybody what they weren't shown before.
func (h *partiesHalf) committed(c *events.Commit) {
	h.creating = false
	if h.items == nil {
		return
	}
	d := delta{h: h}
	for i := range c.Events {
		d.event(c, i)
	}
	d.send()
}

func (d *delta) event(c *events.Commit, i int) {
	h, e := d.h, &c.Events[i]
	d.resync = d.resync || e.Cause == events.CauseRestore
	switch data := e.Payload.(type) {
	case *events.RoomKeyRotatedData:
		d.resync = true // the addresses that they have are no good any more
	case *events.ElementAddedData:
		d.added(data, e.Actor)
	case *events.ElementPatchedData:
		d.patched(data, e.Actor, c.First+uint64(i))
	case *events.ElementRemovedData:
		d.removed(data)
	case *events.ChatPostedData:
		h.chat(&domain.ChatMessage{ID: e.ID, User: e.Actor, At: c.At, Text: data.Text, Name: data.Name, Color: data.Color, UserID: data.UserID})
	case *events.RoomCreatedData:
		for _, p := range h.list {
			h.firstEntry(p, partiesOf(p))
		}
	default:
		d.generation(e.Payload)
	}
}

// chat sends a message to all, the sender too.
func (h *partiesHalf) chat(m *domain.ChatMessage) {
	var once sync.Once
	var frame []byte
	encode := func(ctx context.Context) []byte {
		once.Do(func() {
			b := append(newFrame(256), `{"type":"chat:new","data":`...)
			frame = finishFrame(append(h.room.appendChat(ctx, b, m), '}'))
		})
		return frame
	}
	for _, p := range h.list {
		if p.conn.sendStream(&chatStream{make: encode}) {
			p.touch()
		}
	}
}

// syncAll sends everybody a fresh sync:full of the room as it is now.
func (h *partiesHalf) syncAll() {
	for _, p := range h.list {
		partiesOf(p).resync = true
	}
	h.sync()
}

// syncAgain sends p a fresh sync:full where it has sent an addition or removal before it proved to have the last one: clients send what they
// queued while offline before they have read the sync:full that then takes their own change off their screen.
func (h *partiesHalf) syncAgain(p *peer) {
	if !p.gone {
		partiesOf(p).resync = true
		h.sync()
	}
}

// early: the peer has not proved yet to have the last sync:full.
func (x *partiesPeer) early() bool { return x.full > x.proven }

// sync has a sync:full sent to those whose resync is set.
func (h *partiesHalf) sync() {
	if h.syncing {
		return
	}
	h.syncing = true
	h.room.watch.View(func(v *commands.View) {
		h.room.post(funcMail(func(r *room) { h.synced(v) }))
	})
}

// synced sends a view to those who wait for it. Commits up to it, and none after, have been handled.
func (h *partiesHalf) synced(v *commands.View) {
	h.syncing = false
	for _, p := range h.list {
		if x := partiesOf(p); x.resync {
			h.sendFull(p, x, v, false)
			h.prove(p, x)
		}
	}
}

// replied is not used: requests of old clients have answers of their own (see parties_drag.go and parties_commands.go).
func (h *partiesHalf) replied(*peer, uint64, commands.Result, error) {}
