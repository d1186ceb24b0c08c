package realtime

import (
	"context"
	"net"
	"sync"
	"time"
)

// streamTimeout bounds the IO that one step of a stream may do.
const streamTimeout = 30 * time.Second

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 0, copyBytes); return &b }}

// run is the socket's one writer. It ends after the close frame, after a failed write, or when the reader cuts the connection.
func (c *conn) run(ctx context.Context) {
	if c.write(ctx) {
		go c.run(ctx) // on a small stack again: encoding a snapshot grew this one, and most sockets are idle afterwards
		return
	}
	close(c.written)
}

// write writes until the end, or until a stream was written (again: there may be more).
func (c *conn) write(ctx context.Context) (again bool) {
	batch := make([][]byte, 0, 4)
	for {
		var s stream
		var ended bool
		batch, s, ended = c.take(batch[:0])
		switch {
		case ended:
			// The client has as long to answer the close as it had to read it.
			_ = c.Conn.SetReadDeadline(time.Now().Add(c.limits.CloseLinger))
			return false
		case s != nil:
			if c.writeStream(ctx, s) != nil {
				c.fail()
				return false
			}
			return true
		case len(batch) == 0:
			if cap(batch) > 64 {
				batch = make([][]byte, 0, 4)
			}
			<-c.wake
		default:
			err := c.writeAll(batch)
			clear(batch)
			if err != nil {
				c.fail()
				return false
			}
		}
	}
}

// fail ends the connection after a write that didn't go through; the reader sees the closed connection and cleans up.
func (c *conn) fail() {
	c.mu.Lock()
	if c.state == connOpen {
		close(c.closing)
	}
	c.state = connClosed
	c.dropLocked(errConnClosed)
	c.mu.Unlock()
	_ = c.Conn.Close()
}

// writeStream writes all of s; control frames of the library go out between its parts. An error is of a write: the connection is of no
// use. Where s itself fails, or the socket is closing, what is queued next is the close frame.
func (c *conn) writeStream(ctx context.Context, s stream) error {
	for c.open() {
		step, cancel := context.WithTimeout(ctx, streamTimeout)
		part, err := s.next(step)
		cancel()
		if err != nil {
			s.ended(err)
			c.finish(byeReadOnly.close, byeReadOnly.detail, true, c.lastWords(byeReadOnly))
			return nil
		}
		if len(part) == 0 {
			s.ended(nil)
			return nil
		}
		if err := c.writeAll(c.withControl(part)); err != nil {
			s.ended(err)
			return err
		}
	}
	s.ended(errConnClosed)
	return nil
}

func (c *conn) withControl(part [][]byte) [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.control) > 0 && c.state == connOpen {
		part = append([][]byte{c.control}, part...)
		c.control = nil
	}
	return part
}

// writeAll writes the slices as one: small ones are copied together, large ones go to the kernel as they are.
func (c *conn) writeAll(batch [][]byte) error {
	size := 0
	for _, b := range batch {
		size += len(b)
	}
	c.setDeadline()
	c.met.written(len(batch), size)
	if len(batch) == 1 {
		_, err := c.Conn.Write(batch[0])
		return err
	}
	if _, tcp := c.Conn.(*net.TCPConn); tcp && size > copyBytes {
		bufs := net.Buffers(batch)
		_, err := bufs.WriteTo(c.Conn)
		return err
	}
	return c.writeCopied(batch)
}

func (c *conn) writeCopied(batch [][]byte) error {
	p := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(p)
	buf := (*p)[:0]
	for _, b := range batch {
		for len(b) > 0 {
			n := copy(buf[len(buf):cap(buf)], b)
			buf, b = buf[:len(buf)+n], b[n:]
			if len(buf) < cap(buf) {
				continue
			}
			if _, err := c.Conn.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	if len(buf) == 0 {
		return nil
	}
	_, err := c.Conn.Write(buf)
	return err
}

// setDeadline bounds the next write. Moving a deadline costs about as much as a small write, so it is moved only when it is near.
func (c *conn) setDeadline() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != connOpen {
		_ = c.Conn.SetWriteDeadline(c.deadline)
		return
	}
	if c.writeBy.Sub(now) < c.limits.WriteTimeout/2 {
		c.writeBy = now.Add(c.limits.WriteTimeout)
		_ = c.Conn.SetWriteDeadline(c.writeBy)
	}
}
