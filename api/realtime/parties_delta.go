package realtime

import (
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// delta is what one commit changes for old clients.
type delta struct {
	h       *partiesHalf
	changed []*item  // whose live state is another than was shown
	said    [][]byte // of generations, to be sent last
	resync  bool     // the paint order is another, or all addresses are: only a fresh sync:full can tell
}

func (d *delta) added(data *events.ElementAddedData, actor string) {
	el, err := domain.ParseElement(data.Element)
	if err != nil {
		d.h.room.hub.log.Error("element_unreadable", "roomId", d.h.room.id, "error", err.Error())
		return
	}
	if !shownType(el.Type()) {
		return
	}
	h := d.h
	it := h.items[el.ID()]
	var origin *peer
	if it == nil {
		it = &item{id: el.ID()}
		h.items[it.id] = it
	} else if it.adding != nil {
		if it.adding.p.who.UserID == actor {
			origin = it.adding.p
		} else {
			it.over = nil // somebody else's element; what was meant for the other one is void
		}
	}
	before := it.over
	it.el, it.adding = el, nil
	h.seq++
	it.added = h.seq
	h.shape = h.seq
	author := uint32(0)
	if origin != nil {
		author = partiesOf(origin).author
	}
	it.heard.note(h.seq, author)
	it.over = before
	if el.Z() <= h.highest(it) {
		d.resync = true
	} else {
		h.top = el.Z()
	}
	if !d.resync {
		h.show(h.elementFrame("image:add", it), origin)
	}
}

// highest is the z of what is painted last, the item itself left aside.
func (h *partiesHalf) highest(but *item) string {
	if h.top == "" {
		for _, it := range h.items {
			if it != but && it.el != nil {
				h.top = max(h.top, it.el.Z())
			}
		}
	}
	return h.top
}

func (d *delta) patched(data *events.ElementPatchedData, actor string, revision uint64) {
	it := d.h.items[data.ID]
	if it == nil || it.el == nil {
		return
	}
	old := it.el
	it.el = old.With(data.Set, data.Unset, revision)
	shown := false // a live value is another
	for i := range data.Set {
		if m := &data.Set[i]; m.Key == "z" {
			d.resync = true
			d.h.top = ""
		} else {
			shown = d.value(it, old, m.Key, m.Value, actor) || shown
		}
	}
	for _, key := range data.Unset {
		shown = d.value(it, old, key, nil, actor) || shown
	}
	if shown {
		d.change(it)
	}
}

// value takes in one stored value and reports whether the live one is another now.
func (d *delta) value(it *item, old *domain.Element, key string, value []byte, actor string) bool {
	if i, ok := it.find(key); ok {
		o := &it.over[i]
		if o.flying && o.flownBy == actor && sameJSON(o.flown, value) {
			it.land(i)
		}
		return false // what was shown was this value, or it is one that will be stored after it
	}
	before, _ := old.Get(key)
	if sameJSON(before, value) {
		return false
	}
	d.h.keepPast(it, key, before, d.h.seq+1, 0)
	return true
}

func (d *delta) change(it *item) {
	for _, c := range d.changed {
		if c == it {
			return
		}
	}
	d.changed = append(d.changed, it)
}

func (d *delta) removed(data *events.ElementRemovedData) {
	h := d.h
	for _, id := range data.IDs {
		it := h.items[id]
		if it == nil || it.el == nil {
			continue
		}
		origin := it.gone
		h.drop(it)
		h.seq++
		h.noteRemoved(id)
		for i, c := range d.changed {
			if c == it {
				d.changed = append(d.changed[:i], d.changed[i+1:]...)
				break
			}
		}
		if !d.resync {
			h.show(imageFrame("image:remove", id), origin)
		}
	}
}

// drop takes an item out, with what was pending for it.
func (h *partiesHalf) drop(it *item) {
	if it.el != nil && it.el.Z() >= h.top {
		h.top = ""
	}
	delete(h.items, it.id)
	delete(h.remembered, it)
	it.over, it.past = nil, nil
}

// send tells everybody.
func (d *delta) send() {
	if d.resync {
		d.h.syncAll()
	}
	for _, it := range d.changed {
		d.h.seq++
		it.heard.note(d.h.seq, 0)
		if !d.resync {
			d.h.show(d.h.elementFrame("image:update", it), nil)
		}
	}
	for _, frame := range d.said {
		d.h.broadcast(nil, frame)
	}
}

// show sends a message about an element, the newest (h.seq), to everybody but its author.
func (h *partiesHalf) show(frame []byte, author *peer) {
	for _, p := range h.list {
		if p != author {
			h.tell(p, partiesOf(p), frame)
		}
	}
	h.askLater()
}

// tell sends one peer the newest message about an element. Where there is no room for it the peer is behind, and gets the truth later.
func (h *partiesHalf) tell(p *peer, x *partiesPeer, frame []byte) {
	if !x.live {
		return
	}
	if !p.conn.sendEphemeral(frame, &x.note) {
		return
	}
	p.touch()
	x.told = h.seq
	h.lost(p, x)
}

// truth sends one peer an element as it is now.
func (h *partiesHalf) truth(p *peer, x *partiesPeer, it *item, kind string) {
	h.seq++
	it.heard.note(h.seq, 0)
	if hd, ok := x.holds[it.id]; ok {
		hd.until = h.seq
		x.holds[it.id] = hd
	}
	h.tell(p, x, h.elementFrame(kind, it))
	h.prove(p, x)
}

// keepPast remembers a value that message seq supersedes, for those who may still hold it.
func (h *partiesHalf) keepPast(it *item, key string, value []byte, seq uint64, author uint32) {
	it.remember(key, value, seq, author)
	if h.past += supersededBytes + len(value); h.past > 2*pastBytes {
		h.forget(0)
	}
	h.remembered[it] = struct{}{}
	h.askLater()
}
