package realtime

// Positions in the old protocol: a message for each person who moved, all of a tick in one buffer that everybody shares. Nobody is sent their
// own, so somebody who moved gets the buffer in two slices, around it.

// oldPositions is the shared buffer of one tick.
type oldPositions struct {
	buf     []byte
	spans   []span
	scratch []byte
}

// span is where the messages of one peer are in the buffer.
type span struct {
	p          *peer
	start, end int
}

func (h *partiesHalf) moved(t *tick) {
	if len(h.list) == 0 {
		return
	}
	o := &h.positions
	o.encode(t.moved, t.no-1)
	own := make(map[*peer]span, len(o.spans))
	for _, s := range o.spans {
		own[s.p] = s
	}
	for _, p := range h.list {
		x := partiesOf(p)
		if x.position[0].state.Load() == receiptWaiting || x.position[1].state.Load() == receiptWaiting {
			h.room.wantTick = true // newest wins: what waits is written first
			continue
		}
		if x.droppedPosition() {
			x.since = x.before
		}
		x.before = x.since
		if x.since != t.no-1 {
			h.catchUpPositions(p, x)
		} else {
			around := own[p]
			h.sendPositions(p, x, o.buf[:around.start:around.start], o.buf[around.end:])
		}
		x.since = t.no
		if x.droppedPosition() {
			h.room.wantTick = true // once more, when there may be room
		}
	}
}

// encode makes the buffer of those who moved after the tick since. The buffer of the last tick may still be in queues: it isn't reused.
func (o *oldPositions) encode(moved []*peer, since uint64) {
	size := len(o.buf) + 64
	o.buf, o.spans = nil, o.spans[:0]
	if len(moved) == 0 {
		return
	}
	o.buf = make([]byte, 0, size)
	for _, p := range moved {
		start := len(o.buf)
		o.buf, o.scratch = appendOldPositions(o.buf, o.scratch, p, since)
		o.spans = append(o.spans, span{p, start, len(o.buf)})
	}
}

// catchUpPositions sends p what has moved since the tick it knows.
func (h *partiesHalf) catchUpPositions(p *peer, x *partiesPeer) {
	var b []byte
	for _, q := range h.room.peers {
		if q != p {
			b, h.positions.scratch = appendOldPositions(b, h.positions.scratch, q, x.since)
		}
	}
	h.sendPositions(p, x, b, nil)
}

func (x *partiesPeer) droppedPosition() bool {
	return x.position[0].state.Load() == receiptDropped || x.position[1].state.Load() == receiptDropped
}

func (h *partiesHalf) sendPositions(p *peer, x *partiesPeer, before, after []byte) {
	x.position[0].state.Store(receiptNone)
	x.position[1].state.Store(receiptNone)
	sent := false
	if len(before) > 0 {
		sent = p.conn.sendEphemeral(before, &x.position[0])
	}
	if len(after) > 0 {
		sent = p.conn.sendEphemeral(after, &x.position[1]) || sent
	}
	if sent {
		p.touch()
	}
}
