package realtime

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/domain"
)

// Buffers of the library: it reads through one, and writes nothing but control frames through the other.
const (
	readBuffer  = 1 << 10
	writeBuffer = 2 + maxControl + 1
)

// socket is an upgraded connection and its reader. Both protocols build on it: a protocol's serve function runs in the reader's
// goroutine, and when it returns the socket is over.
type socket struct {
	hub      *Hub
	ws       *websocket.Conn
	conn     *conn
	protocol string
	address  string
	token    string               // that came with the handshake (Authorization, or the session cookie); never logged
	onPong   func(payload []byte) // set before reading starts; runs in the reader

	mu       sync.Mutex
	peer     *peer // once it is in a room
	draining bool
	user     string // counted by the gate

	goodbye bool // the client's close frame was read
	late    bool // it was told to go, and its time to answer is up
}

// open checks what can be checked without knowing who it is, and upgrades. Where it refuses it has answered, and returns nil.
func (h *Hub) open(w http.ResponseWriter, r *http.Request, protocol string, subprotocols ...string) *socket {
	if !h.cfg.AllowOrigin(r) {
		h.refuse(w, domain.CodeForbidden, "origin", "this origin may not open sockets")
		return nil
	}
	address := h.cfg.Address(r)
	switch reason := h.gate.enter(address); reason {
	case "":
	case "draining", "sockets":
		h.refuse(w, domain.CodeReadOnly, reason, "no more sockets here now")
		return nil
	default:
		h.refuse(w, domain.CodeRateLimited, reason, "too many sockets from this address")
		return nil
	}
	s := &socket{hub: h, protocol: protocol, address: address, token: h.handshakeToken(r)}
	up := &upgrader{ResponseWriter: w, hub: h}
	ws, err := websocket.Accept(up, r, &websocket.AcceptOptions{
		Subprotocols: subprotocols, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
		OnPongReceived: func(_ context.Context, p []byte) {
			if s.onPong != nil {
				s.onPong(p)
			}
		},
	})
	if err != nil { // the library has answered
		h.met.refused.WithLabelValues("upgrade").Inc()
		if up.conn != nil {
			_ = up.conn.Conn.Close()
		}
		h.gate.leave(address)
		return nil
	}
	ws.SetReadLimit(-1) // sizes are checked in read, for the contract's close code
	s.ws, s.conn = ws, up.conn
	h.mu.Lock()
	h.sockets[s] = struct{}{}
	draining := h.draining
	h.mu.Unlock()
	if draining {
		s.drain()
	}
	h.met.sockets.WithLabelValues(protocol).Inc()
	return s
}

func (h *Hub) refuse(w http.ResponseWriter, code domain.Code, reason, detail string) {
	h.met.refused.WithLabelValues(reason).Inc()
	w.Header().Set("Content-Type", wire.ProblemType)
	w.WriteHeader(wire.Status(code))
	_, _ = w.Write(wire.AppendProblem(nil, code, detail, "")) // nobody to tell where the client is gone
}

// handshakeToken is the token that came with the upgrade. The session cookie counts only together with a listed Origin.
func (h *Hub) handshakeToken(r *http.Request) string {
	const bearer = "Bearer "
	if a := r.Header.Get("Authorization"); len(a) > len(bearer) && a[:len(bearer)] == bearer {
		return a[len(bearer):]
	}
	if h.cfg.AllowCookie(r) {
		if c, err := r.Cookie("__session"); err == nil {
			return c.Value
		}
	}
	return ""
}

// upgrader hands the library our conn in place of the server's.
type upgrader struct {
	http.ResponseWriter
	hub  *Hub
	conn *conn
}

func (u *upgrader) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, brw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	_ = nc.SetDeadline(time.Time{}) // the server's own
	ahead, _ := brw.Reader.Peek(brw.Reader.Buffered())
	u.conn = newConn(nc, append([]byte(nil), ahead...), &u.hub.limits, u.hub.met, u.hub.cfg.Clock)
	return u.conn, bufio.NewReadWriter(bufio.NewReaderSize(u.conn, readBuffer), bufio.NewWriterSize(u.conn, writeBuffer)), nil
}

// start runs serve in the reader's goroutine and returns at once. The goroutines belong to the hub: Drain waits for them.
func (s *socket) start(serve func()) {
	go s.conn.run(s.hub.ctx)
	go func() {
		defer s.end()
		serve()
	}()
}

// startInTwo is start for a reader that greets first: what comes after it, where it returns true, runs in a goroutine of its own, whose stack
// is small: authentication and joining grow one that most sockets never need again.
func (s *socket) startInTwo(greet func() bool, rest func()) {
	go s.conn.run(s.hub.ctx)
	go func() {
		if !greet() {
			s.end()
			return
		}
		go func() {
			defer s.end()
			rest()
		}()
	}()
}

// end gives everything back. It runs in the reader, last of all.
func (s *socket) end() {
	s.waitClose()
	s.conn.cut()
	_ = s.ws.CloseNow()
	code := CloseCode(s.conn.code.Load())
	s.hub.met.closed(code)
	s.hub.log.Debug("socket_closed", "userId", s.user, "protocol", s.protocol, "code", int(code))
	s.hub.met.sockets.WithLabelValues(s.protocol).Dec()
	if s.user != "" {
		s.hub.gate.leaveUser(s.user)
	}
	s.hub.mu.Lock()
	delete(s.hub.sockets, s)
	s.hub.mu.Unlock()
	s.hub.gate.leave(s.address)
}

// drain asks the socket to end; in a room the room's goroutine does it, once the commands taken are answered.
func (s *socket) drain() {
	s.mu.Lock()
	s.draining = true
	p := s.peer
	s.mu.Unlock()
	if p == nil {
		s.finish(s.goingAway())
		return
	}
	p.room.post(drainMail{p})
}

// finish closes the socket after what waits.
func (s *socket) finish(c closing) { s.conn.bye(c, false) }

// bye queues the last words. drop: without what waits.
func (c *conn) bye(b closing, drop bool) { c.finish(b.close, b.detail, drop, c.lastWords(b)) }

// lastWords is the error message before a close frame, where there is one.
func (c *conn) lastWords(b closing) []byte {
	if b.code == "" || c.mute {
		return nil
	}
	return errorFrame(b.code, b.detail)
}

// goingAway is how a socket outside of rooms is told that the server stops.
func (s *socket) goingAway() closing {
	if s.protocol == protocolV1 {
		return byeGoingAway
	}
	return byeRestart
}

var (
	errFrameTooLarge = errors.New("realtime: frame too large")
	errNoPlace       = errors.New("realtime: too many large frames at once")
	errNoText        = errors.New("realtime: not a text frame")
)

var messageBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// keptBuffer is the largest buffer that goes back to the pool.
const keptBuffer = 64 << 10

// read waits for the next text frame and gives it to handle; the bytes are good until handle returns. limit is in bytes, asked for when the
// frame has begun. Errors: errFrameTooLarge, errNoText, and those of the connection.
func (s *socket) read(limit func() int, handle func([]byte)) error {
	typ, r, err := s.ws.Reader(context.Background()) // ends by deadline or by closing the connection
	if err != nil {
		s.goodbye = websocket.CloseStatus(err) != -1
		s.late = !s.conn.open() && errors.Is(err, os.ErrDeadlineExceeded)
		return err
	}
	if typ != websocket.MessageText {
		return errNoText
	}
	p := messageBuffers.Get().(*[]byte)
	big := false
	b, err := readMessage(r, (*p)[:0], limit(), func() error {
		if big = s.hub.gate.enterBig(s.address, s.conn.closing); !big {
			return errNoPlace
		}
		if s.conn.open() { // a closing socket has a shorter one
			return s.conn.SetReadDeadline(time.Now().Add(bigFrameTimeout))
		}
		return nil
	})
	if big {
		defer s.hub.gate.leaveBig(s.address)
		if err == nil && s.conn.open() {
			err = s.conn.SetReadDeadline(time.Time{})
		}
	}
	if err == nil {
		s.hub.met.bytesIn.Add(float64(len(b)))
		handle(b)
	}
	if cap(b) <= keptBuffer {
		*p = b[:0]
		messageBuffers.Put(p)
	}
	return err
}

// readMessage appends all of r to b. grow is called once, before b becomes larger than keptBuffer.
func readMessage(r io.Reader, b []byte, limit int, grow func() error) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			if len(b) >= keptBuffer && grow != nil {
				if err := grow(); err != nil {
					return b, err
				}
				grow = nil
			}
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if len(b) > limit {
			return b, errFrameTooLarge
		}
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// waitClose discards what the client still sends until it has answered the close or its time is up. Nothing to wait for where the
// connection broke. Before it the socket leaves its room.
func (s *socket) waitClose() {
	if s.peer != nil {
		s.peer.leave()
	}
	if s.conn.open() || s.late {
		return
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(s.hub.limits.CloseLinger))
	for !s.goodbye {
		if s.read(func() int { return s.hub.limits.EditorFrame }, func([]byte) {}) != nil {
			break
		}
	}
	<-s.conn.written // bounded by the deadline of a closing socket
	var left [512]byte
	for !s.goodbye { // closing with bytes unread would reset the connection and lose the last frames
		if _, err := s.conn.Conn.Read(left[:]); err != nil {
			return
		}
	}
}
