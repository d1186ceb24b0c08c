package realtime

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// batchBytes is about how much one write takes from the queue; copyBytes up to which frames are copied together for it.
const (
	batchBytes = 64 << 10
	copyBytes  = 16 << 10
)

// controlBytes bounds the control frames of the library (pongs) that wait behind a blocked write; older ones are dropped, as
// RFC 6455 allows to answer only the newest ping.
const controlBytes = 1 << 10

// conn is one socket's connection: the net.Conn below the library, the queue of what waits for the client, and the one writer.
// Methods may be called concurrently. The lock is never held while writing.
type conn struct {
	net.Conn
	in     inbound // the reader's
	pace   pace    // the reader's
	limits *Limits
	met    *metrics

	mu         sync.Mutex
	waiting    []entry
	bytes      int    // of waiting, but for streams and large frames
	largeBytes int    // of large frames in waiting
	control    []byte // of the library
	rest       []byte // of a frame that the room's goroutine could write in part; goes out before anything else
	busy       busy   // who is writing
	state      connState
	deadline   time.Time // for the writer once state is past open

	mute bool // no error messages before the close frame: old clients know none. Set before the writer starts

	wake    chan struct{} // capacity 1
	closing chan struct{} // closed when state leaves open
	written chan struct{} // closed when the writer has ended
	code    atomic.Uint32 // CloseCode that ended it; 0 while open
	writeBy time.Time     // deadline that is set on the Conn

	direct direct // for the room's goroutine
}

type connState uint8

const (
	connOpen    connState = iota
	connClosing           // the close frame is queued: nothing is added
	connClosed            // nothing is written any more
)

// entry is something that waits: whole frames, or a stream of them.
type entry struct {
	data   []byte
	stream stream
	note   *receipt // not nil: ephemeral
	own    bool     // data belongs to this queue and may be appended to
}

// stream is written at the socket's own pace and is not counted in the queue. next runs in the socket's writer, may do IO bounded by
// ctx, and returns slices that are written one after another; none: the end. ended is called once, when all of it was
// written or never will be.
type stream interface {
	next(ctx context.Context) ([][]byte, error)
	ended(err error)
}

func newConn(nc net.Conn, left []byte, l *Limits, m *metrics, now func() int64) *conn {
	c := &conn{
		Conn: nc, limits: l, met: m, pace: pace{limits: l, now: now},
		wake: make(chan struct{}, 1), closing: make(chan struct{}), written: make(chan struct{}),
	}
	c.in.ahead = left
	if tcp, ok := nc.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil { // else everything goes through the writer
			c.direct.open(raw)
			c.in.open(raw)
		}
	}
	return c
}

// Read gives the library what the HTTP server had read ahead, then the connection's bytes. More frames than are allowed, of any kind, close the
// socket here: the library works off pings and empty continuations without a word.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(c.Conn, p)
	if c.pace.tooFast(p[:n]) && c.open() {
		c.bye(byeTooMany, false)
		return 0, errTooFast
	}
	return n, err
}

// Write takes the control frames of the library, each a call of its own. It never blocks: they go out before what waits, as soon as
// the write in progress is through. A close frame ends the queue: the client said goodbye, or broke the protocol.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	switch {
	case c.state != connOpen:
	case len(p) > 0 && p[0] == opClose:
		c.dropLocked(errConnClosed)
		c.control = append(c.control[:0], p...)
		c.endLocked(time.Now().Add(c.limits.CloseLinger))
	case len(c.control)+len(p) > controlBytes:
		c.control = append(c.control[:0], p...)
	default:
		c.control = append(c.control, p...)
	}
	c.mu.Unlock()
	c.flush()
	return len(p), nil
}

// Close is the library's wish: what is in the queue still goes out, within the time that a closing socket has.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.state == connOpen {
		c.dropLocked(errConnClosed)
		c.endLocked(time.Now().Add(c.limits.CloseLinger))
	}
	c.mu.Unlock()
	c.flush()
	return nil
}

// endLocked leaves the open state; whatever is in the queue is the last.
func (c *conn) endLocked(deadline time.Time) {
	if c.state == connOpen {
		c.state = connClosing
		close(c.closing)
	}
	c.deadline = deadline
	_ = c.Conn.SetWriteDeadline(deadline) // also for a write that is blocked now
}

// finish queues the last frames and a close frame. drop throws away what waits before them.
func (c *conn) finish(code CloseCode, reason string, drop bool, last []byte) {
	c.mu.Lock()
	c.finishLocked(code, reason, drop, last)
	c.mu.Unlock()
	c.flush()
}

func (c *conn) finishLocked(code CloseCode, reason string, drop bool, last []byte) {
	if c.state != connOpen {
		return
	}
	if drop {
		c.dropLocked(errConnClosed)
	}
	if len(last) > 0 {
		c.waiting = append(c.waiting, entry{data: last})
	}
	c.waiting = append(c.waiting, entry{data: closeFrame(code, reason)})
	c.code.Store(uint32(code))
	c.endLocked(time.Now().Add(c.limits.CloseLinger))
}

// cut ends the connection at once and waits for the writer. Called by the reader, last of all.
func (c *conn) cut() {
	c.mu.Lock()
	if c.state == connOpen {
		close(c.closing)
	}
	c.state = connClosed
	c.dropLocked(errConnClosed)
	c.mu.Unlock()
	_ = c.Conn.Close()
	c.flush()
	<-c.written
}

// flush wakes the writer.
func (c *conn) flush() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// open reports whether frames can still be queued.
func (c *conn) open() bool {
	select {
	case <-c.closing:
		return false
	default:
		return true
	}
}
