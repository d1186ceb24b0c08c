package realtime

import (
	"sync"
	"syscall"
)

// Two shortcuts below net.Conn, for TCP alone. Measured with 50 sockets in a room: waking 50 writers costs about as much again as the writes
// themselves, so the room's goroutine writes by itself what the kernel takes at once; and a busy client's frames are read many at a
// time without every idle socket holding a large buffer.

// busy says who is writing to the connection.
type busy uint8

const (
	busyNone busy = iota
	busyWriter
	busyDirect
)

// direct is one write that doesn't wait.
type direct struct {
	raw  syscall.RawConn // nil: not possible
	fn   func(fd uintptr) bool
	data []byte
	n    int
}

func (d *direct) open(raw syscall.RawConn) {
	d.raw = raw
	d.fn = func(fd uintptr) bool {
		n, err := syscall.Write(int(fd), d.data)
		if err != nil {
			n = 0 // full, or broken: the writer finds out which
		}
		d.n = n
		return true
	}
}

// write hands b to the kernel and returns how much of it was taken.
func (d *direct) write(b []byte) int {
	d.data, d.n = b, 0
	err := d.raw.Write(d.fn)
	d.data = nil
	if err != nil {
		return 0
	}
	return d.n
}

// flushDirect writes what waits, as far as the kernel takes it at once, and leaves the rest to the writer. It never blocks. One caller at
// a time: the room's goroutine.
func (c *conn) flushDirect() {
	if c.direct.raw == nil {
		c.flush()
		return
	}
	batch, pooled := c.takeDirect()
	if batch == nil {
		c.flush()
		return
	}
	c.setDeadline()
	n := c.direct.write(batch)
	c.met.written(1, n)
	c.mu.Lock()
	c.busy = busyNone
	if n < len(batch) {
		c.rest = batch[n:]
		if pooled != nil {
			c.rest = append([]byte(nil), c.rest...)
		}
	}
	more := len(c.rest)+len(c.waiting)+len(c.control) > 0 || c.state != connOpen
	c.mu.Unlock()
	if pooled != nil {
		copyBuffers.Put(pooled)
	}
	if more {
		c.flush()
	}
}

// takeDirect takes all that waits, up to copyBytes or one frame of batchBytes; pooled is the buffer it was copied to, if it was. Nil: this is the
// writer's to do.
func (c *conn) takeDirect() (batch []byte, pooled *[]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != connOpen || c.busy != busyNone || len(c.rest)+len(c.control) > 0 || len(c.waiting) == 0 {
		return nil, nil
	}
	n, size := 0, 0
	for n < len(c.waiting) && c.waiting[n].stream == nil && size+len(c.waiting[n].data) <= copyBytes {
		size += len(c.waiting[n].data)
		n++
	}
	switch {
	case n == 1 || n == 0 && c.waiting[0].stream == nil && len(c.waiting[0].data) <= batchBytes:
		n = 1
		batch = c.waiting[0].data
	case n == 0:
		return nil, nil
	default:
		pooled = copyBuffers.Get().(*[]byte)
		batch = (*pooled)[:0]
		for i := range n {
			batch = append(batch, c.waiting[i].data...)
		}
	}
	for i := range n {
		c.uncountLocked(len(c.waiting[i].data))
		if r := c.waiting[i].note; r != nil {
			r.state.Store(receiptWritten)
		}
	}
	c.waiting = shift(c.waiting, n)
	c.busy = busyDirect
	return batch, pooled
}

// aheadBytes is how much of a busy client is read at once.
const aheadBytes = 32 << 10

var aheadBuffers = sync.Pool{New: func() any { b := make([]byte, aheadBytes); return &b }}

// inbound is what was read from the connection and not by the library.
type inbound struct {
	raw    syscall.RawConn
	fn     func(fd uintptr) bool
	n      int
	ahead  []byte  // not read by the library yet
	buffer *[]byte // that ahead is of, from the pool; nil: ahead is its own
	eager  bool    // there is likely more: the last read was filled
}

func (in *inbound) open(raw syscall.RawConn) {
	in.raw = raw
	in.fn = func(fd uintptr) bool {
		n, err := syscall.Read(int(fd), *in.buffer)
		if err != nil {
			n = 0 // nothing there, or broken: the ordinary read finds out which
		}
		in.n = n
		return true
	}
}

// reader is the part of net.Conn that inbound needs.
type reader interface{ Read([]byte) (int, error) }

func (in *inbound) read(from reader, p []byte) (int, error) {
	if len(in.ahead) == 0 && in.eager && in.raw != nil {
		in.readAhead()
	}
	if len(in.ahead) > 0 {
		n := copy(p, in.ahead)
		if in.ahead = in.ahead[n:]; len(in.ahead) == 0 {
			in.release()
		}
		return n, nil
	}
	n, err := from.Read(p)
	in.eager = n == readBuffer && n == len(p)
	return n, err
}

// readAhead takes what is there, without waiting.
func (in *inbound) readAhead() {
	in.buffer = aheadBuffers.Get().(*[]byte)
	in.n = 0
	if err := in.raw.Read(in.fn); err != nil || in.n <= 0 {
		in.eager = false
		in.release()
		return
	}
	in.ahead = (*in.buffer)[:in.n]
	in.eager = in.n == aheadBytes
}

func (in *inbound) release() {
	in.ahead = nil
	if in.buffer != nil {
		aheadBuffers.Put(in.buffer)
		in.buffer = nil
	}
}
