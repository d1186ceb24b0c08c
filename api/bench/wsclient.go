package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// client is a bare WebSocket client (RFC 6455): the load must cost far less than what it measures, and a slow reader needs
// a socket whose buffer it controls. One goroutine may read while others write.
type client struct {
	c   net.Conn
	r   *bufio.Reader
	wmu sync.Mutex
	buf []byte
}

// closedError is a close frame from the server.
type closedError struct {
	code   int
	reason string
}

func (e *closedError) Error() string { return fmt.Sprintf("closed with %d %s", e.code, e.reason) }

// dialTimeout bounds connection and handshake.
const dialTimeout = 10 * time.Second

func dial(ctx context.Context, addr, path, protocol string, readBuffer int) (*client, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	if readBuffer > 0 {
		if err := conn.(*net.TCPConn).SetReadBuffer(readBuffer); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	} else {
		readBuffer = 64 << 10
	}
	var key [16]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	req := "GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
		base64.StdEncoding.EncodeToString(key[:]) + "\r\n"
	if protocol != "" {
		req += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if _, err := io.WriteString(conn, req+"\r\n"); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	cl := &client{c: conn, r: bufio.NewReaderSize(conn, readBuffer)}
	res, err := http.ReadResponse(cl.r, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("handshake: %w", err), conn.Close())
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, readErr := io.ReadAll(io.LimitReader(res.Body, 300))
		return nil, errors.Join(fmt.Errorf("handshake: %s %s", res.Status, body), readErr, conn.Close())
	}
	return cl, conn.SetDeadline(time.Time{})
}

func (c *client) Close() error { return c.c.Close() }

// read returns the next message. The slice is valid until the next read. Pings are answered.
func (c *client) read() ([]byte, error) {
	for {
		op, fin, payload, err := c.frame()
		if err != nil {
			return nil, err
		}
		switch op {
		case 0x1, 0x2:
			if fin {
				return payload, nil
			}
			message := append([]byte(nil), payload...)
			for !fin {
				if _, fin, payload, err = c.frame(); err != nil {
					return nil, err
				}
				message = append(message, payload...)
			}
			return message, nil
		case 0x8:
			e := &closedError{code: 1005}
			if len(payload) >= 2 {
				e.code, e.reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
			}
			return nil, e
		case 0x9:
			if err := c.write(0xA, payload); err != nil {
				return nil, err
			}
		}
	}
}

func (c *client) frame() (op byte, fin bool, payload []byte, err error) {
	var h [10]byte
	if _, err = io.ReadFull(c.r, h[:2]); err != nil {
		return
	}
	op, fin = h[0]&0x0F, h[0]&0x80 != 0
	n := uint64(h[1] & 0x7F)
	switch n {
	case 126:
		if _, err = io.ReadFull(c.r, h[2:4]); err != nil {
			return
		}
		n = uint64(binary.BigEndian.Uint16(h[2:4]))
	case 127:
		if _, err = io.ReadFull(c.r, h[2:10]); err != nil {
			return
		}
		n = binary.BigEndian.Uint64(h[2:10])
	}
	if n > 64<<20 {
		return 0, false, nil, fmt.Errorf("frame of %d bytes", n)
	}
	if int(n) <= c.r.Size() {
		if payload, err = c.r.Peek(int(n)); err != nil {
			return
		}
		_, err = c.r.Discard(int(n))
		return
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.r, payload)
	return
}

// text sends one text message.
func (c *client) text(message []byte) error { return c.write(0x1, message) }

func (c *client) write(op byte, payload []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	b := append(c.buf[:0], 0x80|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = append(b, 0x80|127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	// A mask of zeros is a mask: the load generator has no browser to protect.
	b = append(b, 0, 0, 0, 0)
	b = append(b, payload...)
	c.buf = b
	_, err := c.c.Write(b)
	return err
}
