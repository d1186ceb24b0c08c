package realtime

import (
	"slices"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// The drag lane: what an image:update changes goes to the others at once, and the newest value per element and member is committed once a
// window (Limits.Coalesce), the last one always. One window is in flight at a time: where the disk is slow they grow, not queue.

// lane is the values that are shown and not stored.
type lane struct {
	queue   []*item // with pending values, in the order they were touched
	bytes   int     // of pending values, about
	flights int     // requests that are not answered
	armed   bool    // a timer will flush
}

// Bounds of the lane.
const (
	laneBytes       = 8 << 20 // of pending values; past it updates are refused until the window is stored
	laneCommands    = 500     // patches of one request
	laneRequestSize = 1 << 20 // bytes of them, about
)

// updateMail is an image:update on its way to the room. members hold a src as the log has it.
type updateMail struct {
	p       *peer
	id      string
	members events.Members
	size    int
	answer  bool // an image:add of an element that exists: its sender is told what there is
}

func (m *updateMail) deliver(*room) {
	p := m.p
	if h, ok := p.half.(*partiesHalf); ok && !p.gone && h.items != nil {
		h.update(p, partiesOf(p), m)
	}
	p.flight.release(m.size)
}

func (h *partiesHalf) update(p *peer, x *partiesPeer, m *updateMail) {
	it := h.items[m.id]
	if it == nil || it.el == nil && it.adding.p != p {
		h.refuse(p, "image:update", m.id, domain.Errorf(domain.CodeNotFound, "no such element"))
		return
	}
	changes, stale := x.diff(h.scratch[:0], it, m.members)
	defer func() { clear(changes); h.scratch = changes[:0] }()
	if err := h.mayChange(p, it, changes); err != nil {
		h.refuse(p, "image:update", m.id, err)
		return
	}
	if (stale || len(changes) > 0) && (x.crossing(it) || stale) {
		x.crossed(it)
		h.proveSoon(p, x)
	}
	if len(changes) > 0 {
		h.change(p, x, it, changes)
	}
	if m.answer && it.el != nil {
		h.truth(p, x, it, "image:update")
	}
}

// mayChange says why the changes can't be shown to anybody.
func (h *partiesHalf) mayChange(p *peer, it *item, changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	if !p.mayEdit() {
		return domain.Errorf(domain.CodeForbidden, "a %s may not do this", p.Role())
	}
	size := len(it.base().JSON())
	for i := range it.over {
		size += len(it.over[i].value)
	}
	more := 0
	for i := range changes {
		more += len(changes[i].key) + len(changes[i].value)
		size += len(changes[i].key) + len(changes[i].value) - len(changes[i].old)
	}
	switch {
	case size > domain.MaxElementBytes:
		return domain.Errorf(domain.CodeTooLarge, "an element has at most %d bytes", domain.MaxElementBytes)
	case h.lane.bytes+more > laneBytes:
		return domain.Errorf(domain.CodeReadOnly, "the room is overloaded")
	}
	return nil
}

// change takes the changes into the live state, shows it to the others and has it stored with the next window.
func (h *partiesHalf) change(p *peer, x *partiesPeer, it *item, changes []change) {
	h.seq++
	size := 0
	for i := range changes {
		size += len(changes[i].value)
	}
	values := make([]byte, 0, size)
	for i := range changes {
		c := &changes[i]
		if len(h.list) > 1 {
			h.keepPast(it, c.key, c.old, h.seq, x.author)
		}
		var value []byte
		if c.value != nil {
			n := len(values)
			values = append(values, c.value...)
			value = values[n:len(values):len(values)]
		}
		it.set(c.key, value, p.who.UserID)
		x.last.changed(it.id, c.key)
		h.lane.bytes += len(c.key) + len(value)
	}
	it.heard.note(h.seq, x.author)
	h.pend(it)
	switch {
	case it.el == nil: // nobody else is shown it before its image:add is stored
	case len(h.list) == 1:
	case x.updates != nil && !x.updates.Allow():
		if !it.unshown { // merged: the others get what is newest when the window is flushed
			it.unshown, it.unshownBy = true, p
		} else if it.unshownBy != p {
			it.unshownBy = nil
		}
	default:
		h.show(h.elementFrame("image:update", it), p)
	}
}

// pend has the item's pending values stored with the next window.
func (h *partiesHalf) pend(it *item) {
	if !it.queued {
		it.queued = true
		h.lane.queue = append(h.lane.queue, it)
	}
	if !h.lane.armed && h.lane.flights == 0 {
		h.arm()
	}
}

func (h *partiesHalf) arm() {
	h.lane.armed = true
	h.room.after(h.room.hub.limits.Coalesce, func() {
		h.lane.armed = false
		h.flush(false)
	})
}

// flush hands in everything that is pending; force: also while the window before is in flight.
func (h *partiesHalf) flush(force bool) {
	if len(h.lane.queue) == 0 || h.lane.flights > 0 && !force {
		return
	}
	queue := h.lane.queue
	h.lane.queue, h.lane.bytes = nil, 0
	var actors []string
	for _, it := range queue {
		it.queued = false
		h.showMerged(it)
		for i := range it.over {
			if o := &it.over[i]; o.pending && !slices.Contains(actors, o.actor) {
				actors = append(actors, o.actor)
			}
		}
	}
	for _, actor := range actors {
		var list []domain.Command
		size := 0
		for _, it := range queue {
			c, n := it.setOf(actor)
			if n == 0 {
				continue
			}
			list, size = append(list, c), size+n
			if len(list) >= laneCommands || size >= laneRequestSize {
				h.fly(actor, list)
				list, size = nil, 0
			}
		}
		if len(list) > 0 {
			h.fly(actor, list)
		}
	}
}

// showMerged shows what came too fast to be shown at once.
func (h *partiesHalf) showMerged(it *item) {
	if !it.unshown || it.el == nil {
		return
	}
	by, author := it.unshownBy, uint32(0)
	if by != nil {
		author = partiesOf(by).author
	}
	it.unshown, it.unshownBy = false, nil
	h.seq++
	it.heard.note(h.seq, author)
	h.show(h.elementFrame("image:update", it), by)
}

// fly hands in the patches of one person as one change.
func (h *partiesHalf) fly(actor string, list []domain.Command) {
	h.lane.flights++
	r := h.room
	r.watch.Submit(commands.Request{Actor: domain.Actor{ID: actor}, Commands: list}, func(_ commands.Result, err error) {
		r.post(funcMail(func(*room) { h.landed(actor, list, err) }))
	})
}

// landed takes the answer of a request; its commit, where there is one, was handled before.
func (h *partiesHalf) landed(actor string, list []domain.Command, err error) {
	h.lane.flights--
	code, detail := reason(err)
	if err != nil && len(list) > 1 && (code == domain.CodeTooLarge || code == domain.CodeRoomFull || code == domain.CodeInvalidCommand) {
		for _, c := range list { // one is to blame: each by itself
			h.fly(actor, []domain.Command{c})
		}
		return
	}
	if err != nil {
		h.room.hub.refusedFrame(h.room.id, actor, "image:update", code, detail)
	}
	for _, c := range list {
		h.settle(actor, c.(domain.PatchElement), err != nil)
	}
	if h.lane.flights == 0 && len(h.lane.queue) > 0 && !h.lane.armed {
		h.arm()
	}
}

// settle takes what is left of a patch in flight off the live state. Where it was refused everybody who saw it is sent the truth.
func (h *partiesHalf) settle(actor string, c domain.PatchElement, refused bool) {
	it := h.items[c.ID]
	if it == nil {
		return
	}
	changed := false
	for i := len(it.over) - 1; i >= 0; i-- {
		o := &it.over[i]
		if !o.flying || o.flownBy != actor {
			continue
		}
		key, shown := o.key, o.value
		it.land(i)
		if it.el == nil {
			continue
		}
		if now := it.live(key); !sameJSON(now, shown) {
			h.keepPast(it, key, shown, h.seq+1, 0)
			changed = true
		}
	}
	if it.el != nil && (changed || refused) {
		h.seq++
		it.heard.note(h.seq, 0)
		h.show(h.elementFrame("image:update", it), nil)
	}
}

// proveSoon asks the client what it has, unless that was done just now.
func (h *partiesHalf) proveSoon(p *peer, x *partiesPeer) {
	if time.Since(x.asked) >= quietFor/2 {
		h.prove(p, x)
	}
	h.askLater()
}
