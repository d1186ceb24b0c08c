package realtime

import (
	"sync"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
)

// The ephemeral lane. Readers leave the newest cursor, viewport and previews of their peer in its ephemera; the room collects them in
// ticks, at most one per PositionTick, and gives each half the peers that moved. What a client missed because its queue was
// full or not yet written is in the next frame it gets: everything that changed since the last one written.

// Bounds of the previews of one peer that are alive at a time; what is over is dropped.
const (
	maxPreviews     = 2_000
	maxPreviewBytes = 256 << 10
	previewLife     = 2 * time.Second // how long a preview is repeated to those who didn't get it
)

// ephemera is what a peer's reader left since the last tick.
type ephemera struct {
	mu       sync.Mutex
	listed   bool // in room.lane
	cursor   []byte
	viewport []byte
	previews []*preview
	bytes    int
}

// preview is the newest not yet stored value of some properties of an element.
type preview struct {
	id    string
	set   events.Members // sorted; never modified
	bytes int
	seq   uint64 // the last command that its sender's reader had seen: previews before a commit die with it
	tick  uint64
	at    time.Time
}

// setCursor leaves the peer's newest cursor, a JSON object. The reader's goroutine, or the room's.
func (p *peer) setCursor(json []byte) {
	p.eph.mu.Lock()
	p.eph.cursor = append(p.eph.cursor[:0], json...)
	p.listLocked()
}

// setViewport leaves the peer's newest viewport, a JSON object.
func (p *peer) setViewport(json []byte) {
	p.eph.mu.Lock()
	p.eph.viewport = append(p.eph.viewport[:0], json...)
	p.listLocked()
}

// setPreview leaves values of an element's properties. set is sorted, is kept, and holds at most bytes bytes. seq is the last command that was
// read from this peer. False: too many, dropped.
func (p *peer) setPreview(id string, set events.Members, bytes int, seq uint64) bool {
	p.eph.mu.Lock()
	if len(p.eph.previews) >= maxPreviews || p.eph.bytes+bytes > maxPreviewBytes {
		p.eph.mu.Unlock()
		return false
	}
	p.eph.previews = append(p.eph.previews, &preview{id: id, set: set, bytes: bytes, seq: seq})
	p.eph.bytes += bytes
	p.listLocked()
	return true
}

// listLocked puts the peer on the room's list and unlocks.
func (p *peer) listLocked() {
	listed := p.eph.listed
	p.eph.listed = true
	p.eph.mu.Unlock()
	if listed {
		return
	}
	r := p.room
	r.lane.mu.Lock()
	first := len(r.lane.moving) == 0
	r.lane.moving = append(r.lane.moving, p)
	r.lane.mu.Unlock()
	if first {
		r.wakeUp()
	}
}

// tick is one round of the ephemeral lane.
type tick struct {
	no    uint64  // counts from 1
	moved []*peer // with a cursor, viewport or preview of this tick
}

// changed returns what p showed after tick `since`: cursor and viewport are nil where they are older.
func (p *peer) changed(since uint64) (cursor, viewport []byte) {
	if p.cursorTick > since {
		cursor = p.cursor
	}
	if p.viewportTick > since {
		viewport = p.viewport
	}
	return cursor, viewport
}

func (r *room) maybeTick(now time.Time) {
	if !r.wantTick {
		r.lane.mu.Lock()
		r.wantTick = len(r.lane.moving) > 0
		r.lane.mu.Unlock()
	}
	if !r.wantTick || now.Sub(r.ticked) < r.tickEvery {
		return
	}
	r.wantTick = false
	r.ticked = now
	r.tickNo++
	r.lane.mu.Lock()
	moving := r.lane.moving
	r.lane.moving = nil
	r.lane.mu.Unlock()
	t := &tick{no: r.tickNo}
	for _, p := range moving {
		p.collect(t.no, now)
		if !p.gone && p.half != nil {
			t.moved = append(t.moved, p)
		}
	}
	for _, h := range r.halves {
		h.moved(t)
	}
}

// collect moves what the reader left to the room's side.
func (p *peer) collect(no uint64, now time.Time) {
	p.eph.mu.Lock()
	p.eph.listed = false
	if len(p.eph.cursor) > 0 {
		p.cursor, p.eph.cursor = p.eph.cursor, p.cursor[:0]
		p.cursorTick = no
	}
	if len(p.eph.viewport) > 0 {
		p.viewport, p.eph.viewport = p.eph.viewport, p.viewport[:0]
		p.viewportTick = no
	}
	fresh := p.eph.previews
	p.eph.previews, p.eph.bytes = nil, 0
	p.eph.mu.Unlock()
	for id, old := range p.previews {
		if now.Sub(old.at) > previewLife {
			delete(p.previews, id)
		}
	}
	for _, v := range fresh {
		v.tick, v.at = no, now
		if p.previews == nil {
			p.previews = map[string]*preview{}
		}
		if old := p.previews[v.id]; old != nil {
			v.set = merge(old.set, v.set)
		}
		if len(p.previews) < maxPreviews {
			p.previews[v.id] = v
		}
	}
}

// merge returns the members of both, b's where both have one. Both are sorted.
func merge(a, b events.Members) events.Members {
	out := make(events.Members, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Key < b[0].Key:
			out, a = append(out, a[0]), a[1:]
		case a[0].Key > b[0].Key:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, b[0]), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// forgetPreviews drops the previews that a commit made obsolete: of the elements it changes, sent before its command by the same
// client. Whoever got one gets the stored value with the commit.
func (r *room) forgetPreviews(c *events.Commit) {
	for i := range c.Events {
		e := &c.Events[i]
		if e.Client == "" {
			continue
		}
		p := r.byClient[clientKey{e.Actor, e.Client}]
		if p == nil {
			continue
		}
		switch d := e.Payload.(type) {
		case *events.ElementPatchedData:
			p.forgetPreview(d.ID, e.Seq)
		case *events.ElementRemovedData:
			for _, id := range d.IDs {
				p.forgetPreview(id, e.Seq)
			}
		}
	}
}

func (p *peer) forgetPreview(id string, seq uint64) {
	if v := p.previews[id]; v != nil && v.seq < seq {
		delete(p.previews, id)
	}
	p.eph.mu.Lock()
	defer p.eph.mu.Unlock()
	kept := p.eph.previews[:0]
	for _, v := range p.eph.previews {
		if v.id != id || v.seq >= seq {
			kept = append(kept, v)
			continue
		}
		p.eph.bytes -= v.bytes
	}
	clear(p.eph.previews[len(kept):])
	p.eph.previews = kept
}
