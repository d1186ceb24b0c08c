package realtime

import (
	"errors"
	"sync/atomic"
)

var errConnClosed = errors.New("realtime: socket is closed")

// receipt tells what became of one ephemeral entry. It may be used again for the next one once it isn't waiting.
type receipt struct {
	state atomic.Uint32
	drops atomic.Uint32 // how often it was dropped, for receipts that are shared by many entries
}

func (r *receipt) dropped() {
	r.state.Store(receiptDropped)
	r.drops.Add(1)
}

const (
	receiptNone    uint32 = iota // never sent
	receiptWaiting               // in the queue
	receiptWritten               // taken by the writer
	receiptDropped               // thrown away for want of room
)

// send queues whole frames that must not be lost; they are written after flush. A queue that is empty takes any size; where they don't
// fit, ephemeral entries go first, and then the socket is closed with 4508. A frame that is larger than QueueBytes alone is counted apart, up to
// LargeBytes: what comes behind it (the ack of a large paste) has the same room as ever. False: the socket is closing. data is shared: nobody may
// modify it any more.
func (c *conn) send(data []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.roomLocked(len(data)) {
		return false
	}
	c.waiting = append(c.waiting, entry{data: data})
	c.countLocked(len(data))
	return true
}

// sendOwn queues a small frame for this socket alone; data is copied.
func (c *conn) sendOwn(data []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.roomLocked(len(data)) {
		return false
	}
	if n := len(c.waiting); n > 0 && c.waiting[n-1].own && len(c.waiting[n-1].data) < copyBytes && !c.large(len(data)) {
		c.waiting[n-1].data = append(c.waiting[n-1].data, data...)
	} else {
		c.waiting = append(c.waiting, entry{data: append(make([]byte, 0, max(128, len(data))), data...), own: true})
	}
	c.countLocked(len(data))
	return true
}

// sendEphemeral queues whole frames that may be dropped; r, not nil and not waiting elsewhere, says what became of them.
func (c *conn) sendEphemeral(data []byte, r *receipt) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != connOpen {
		return false
	}
	if !c.fitsLocked(len(data)) {
		r.dropped()
		c.met.dropped.Inc()
		return true
	}
	r.state.Store(receiptWaiting)
	c.waiting = append(c.waiting, entry{data: data, note: r})
	c.countLocked(len(data))
	return true
}

// sendStream queues a stream; it is not counted. False, and ended is not called: the socket is closing.
func (c *conn) sendStream(s stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != connOpen {
		return false
	}
	c.waiting = append(c.waiting, entry{stream: s})
	return true
}

// withdraw takes an ephemeral entry out of the queue. True: the client never gets it, now or because it was dropped before.
func (c *conn) withdraw(r *receipt) bool {
	switch r.state.Load() {
	case receiptDropped:
		r.state.Store(receiptNone)
		return true
	case receiptWaiting:
	default:
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.waiting) - 1; i >= 0; i-- {
		if c.waiting[i].note == r {
			c.uncountLocked(len(c.waiting[i].data))
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			r.state.Store(receiptNone)
			return true
		}
	}
	return false
}

// roomLocked makes room for n more bytes, or closes the socket.
func (c *conn) roomLocked(n int) bool {
	if c.state != connOpen {
		return false
	}
	if c.fitsLocked(n) {
		return true
	}
	c.dropEphemeralLocked()
	if c.fitsLocked(n) {
		return true
	}
	c.met.slow.Inc()
	c.finishLocked(byeSlow.close, byeSlow.detail, true, c.lastWords(byeSlow))
	c.flush()
	return false
}

func (c *conn) fitsLocked(n int) bool {
	switch {
	case len(c.waiting) == 0:
		return true
	case c.large(n):
		return c.largeBytes+n <= c.limits.LargeBytes
	}
	return c.bytes+n <= c.limits.QueueBytes
}

// large frames are those that are counted apart.
func (c *conn) large(n int) bool { return n > c.limits.QueueBytes }

func (c *conn) countLocked(n int) {
	if c.large(n) {
		c.largeBytes += n
	} else {
		c.bytes += n
	}
}

func (c *conn) uncountLocked(n int) {
	if c.large(n) {
		c.largeBytes -= n
	} else {
		c.bytes -= n
	}
}

func (c *conn) dropEphemeralLocked() {
	kept := c.waiting[:0]
	for _, e := range c.waiting {
		if e.note == nil {
			kept = append(kept, e)
			continue
		}
		e.note.dropped()
		c.uncountLocked(len(e.data))
		c.met.dropped.Inc()
	}
	clear(c.waiting[len(kept):])
	c.waiting = kept
}

// dropLocked throws away everything that waits. It calls ended of streams under the lock: ended must not come back to the conn.
func (c *conn) dropLocked(err error) {
	for _, e := range c.waiting {
		if e.note != nil {
			e.note.dropped()
		}
		if e.stream != nil {
			e.stream.ended(err)
		}
	}
	c.waiting, c.bytes, c.largeBytes = nil, 0, 0
}

// take moves entries of about batchBytes from the queue to list; a stream comes alone. ended: nothing will come any more.
func (c *conn) take(list [][]byte) (batch [][]byte, s stream, ended bool) {
	batch = list
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == connClosed:
		return batch, nil, true
	case c.busy == busyDirect: // it wakes the writer when it is through
		return batch, nil, false
	}
	defer func() {
		c.busy = busyNone
		if len(batch) > 0 || s != nil {
			c.busy = busyWriter
		}
	}()
	if len(c.rest) > 0 {
		batch = append(batch, c.rest)
		c.rest = nil
		return batch, nil, false
	}
	size := len(c.control)
	if size > 0 {
		batch = append(batch, c.control)
		c.control = nil
	}
	n := 0
	for ; n < len(c.waiting) && size < batchBytes; n++ {
		e := &c.waiting[n]
		if e.stream != nil {
			if len(batch) == 0 {
				s = e.stream
				n++
			}
			break
		}
		batch = append(batch, e.data)
		size += len(e.data)
		c.uncountLocked(len(e.data))
		if e.note != nil {
			e.note.state.Store(receiptWritten)
		}
	}
	c.waiting = shift(c.waiting, n)
	return batch, s, len(batch) == 0 && s == nil && c.state == connClosing
}

// shift removes the first n entries. A large, emptied queue gives its memory back.
func shift[T any](q []T, n int) []T {
	if n == len(q) {
		if cap(q) > 64 {
			return nil
		}
		clear(q)
		return q[:0]
	}
	k := copy(q, q[n:])
	clear(q[k:])
	return q[:k]
}
