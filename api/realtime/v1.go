package realtime

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

const (
	protocolV1    = "v1"
	subprotocolV1 = "kanvas.v1"
)

// authTimeout bounds finding out who a token belongs to; prepareTimeout preparing one frame's commands, pictures included.
const (
	authTimeout    = 5 * time.Second
	prepareTimeout = 60 * time.Second
)

// ServeV1 upgrades the request to a socket of the v1 protocol in the room and returns; the socket belongs to the hub from then on.
// Where it is refused before the upgrade the answer is problem details (403, 429, 503); what is wrong after it has a close code.
func (h *Hub) ServeV1(w http.ResponseWriter, r *http.Request, roomID string) {
	s := h.open(w, r, protocolV1, subprotocolV1)
	if s == nil {
		return
	}
	c := &v1Conn{socket: s, roomID: roomID}
	s.startInTwo(c.begin, c.serve)
}

// v1Conn is the reader's side of a v1 socket.
type v1Conn struct {
	*socket
	roomID string
	peer   *peer
	hello  hello
	rate   *rate.Limiter // of durable commands; nil: no limit
	seq    uint64        // of the last command read
	bad    int           // bad frames in a row
	over   bool          // nothing more is read
}

// begin finds out who it is and takes the socket into its room.
func (c *v1Conn) begin() bool {
	who, ok := c.greet()
	return ok && c.enter(who)
}

func (c *v1Conn) serve() {
	expire := time.AfterFunc(c.hub.limits.MaxSession, func() { c.finish(byeExpired) })
	defer expire.Stop()
	c.readAll()
}

// greet reads the hello and finds out who it is.
func (c *v1Conn) greet() (who Identity, ok bool) {
	_ = c.conn.SetReadDeadline(time.Now().Add(c.hub.limits.HelloTimeout))
	var problem error
	err := c.read(func() int { return c.hub.limits.HandshakeBytes }, func(b []byte) { c.hello, problem = parseHello(b) })
	switch {
	case err != nil:
		c.lost(err, true)
		return who, false
	case problem != nil:
		c.finish(byeErr(problem))
		return who, false
	}
	_ = c.conn.SetReadDeadline(time.Time{})
	token := c.hello.Token
	if token == "" {
		token = c.token
	}
	c.token, c.hello.Token = "", ""
	ctx, cancel := context.WithTimeout(c.hub.ctx, authTimeout)
	defer cancel()
	if who, err = c.hub.cfg.Authenticator.Authenticate(ctx, token); err != nil {
		c.finish(byeErr(err))
		return who, false
	}
	if !c.hub.gate.enterUser(who.UserID) {
		c.finish(closing{CloseTooMany, domain.CodeRateLimited, "too many sockets of this user"})
		return who, false
	}
	c.user = who.UserID
	return who, true
}

// enter takes the socket into the room.
func (c *v1Conn) enter(who Identity) bool {
	if !domain.ValidRoomID(c.roomID) {
		c.finish(byeNotFound)
		return false
	}
	l := &c.hub.limits
	if !l.RatesOff {
		c.rate = rate.NewLimiter(rate.Limit(l.CommandRate), l.CommandBurst)
	}
	c.peer = newPeer(who, c.hello.Client)
	c.peer.ext = &v1Peer{resume: c.hello.Resume, blurs: c.hello.Assets && c.hub.cfg.Pictures != nil}
	ctx, cancel := context.WithTimeout(c.hub.ctx, watchTimeout)
	defer cancel()
	if err := c.join(ctx, c.roomID, c.peer, newV1Half); err != nil {
		c.finish(byeErr(err))
		return false
	}
	return c.conn.open()
}

// lost ends the socket after an error of reading.
func (c *v1Conn) lost(err error, handshake bool) {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, errFrameTooLarge):
		c.finish(closing{CloseTooLarge, domain.CodeTooLarge, "frame too large"})
	case errors.Is(err, errNoPlace):
		c.finish(byeReadOnly)
	case errors.Is(err, errNoText):
		c.finish(closing{CloseBadMessage, domain.CodeBadRequest, "text frames only"})
	case handshake && errors.As(err, &timeout) && timeout.Timeout():
		c.finish(byeLate)
	}
}

func (c *v1Conn) frameLimit() int {
	if c.peer.mayEdit() {
		return c.hub.limits.EditorFrame
	}
	return c.hub.limits.OtherFrame
}

func (c *v1Conn) readAll() {
	in := c.hub.met.framesIn.WithLabelValues(protocolV1)
	for !c.over && c.conn.open() {
		err := c.read(c.frameLimit, func(b []byte) {
			in.Inc()
			if c.conn.open() {
				c.frame(b)
			}
		})
		if err != nil {
			c.lost(err, false)
			return
		}
	}
}

// stop closes the socket for abuse and reads no more.
func (c *v1Conn) stop(b closing) {
	c.over = true
	c.finish(b)
}

// frame handles one frame: a message, or an array of messages.
func (c *v1Conn) frame(b []byte) {
	form, err := checkFrame(b)
	if err != nil {
		c.garbage(domain.CodeBadRequest, err.Error())
		return
	}
	n := 0
	err = eachMessage(b, func(m []byte) bool {
		if n++; n > c.hub.limits.FrameMessages {
			c.garbage(domain.CodeTooLarge, "too many messages in a frame")
			return false
		}
		c.message(m, ready(form))
		return !c.over && c.conn.open()
	})
	if err != nil {
		c.garbage(domain.CodeBadRequest, err.Error())
	}
}

// garbage answers a bad message; too many in a row end the socket.
func (c *v1Conn) garbage(code domain.Code, detail string) {
	if c.bad++; c.bad > c.hub.limits.BadFrames {
		c.stop(closing{CloseBadMessage, code, "too many bad messages"})
		return
	}
	c.tell(errorFrame(code, detail))
}

// tell queues a small frame from the reader.
func (c *v1Conn) tell(frame []byte) {
	c.conn.sendOwn(frame)
	c.conn.flush()
}

// message handles one message; ready goes with its data.
func (c *v1Conn) message(b []byte, ready bool) {
	m, err := parseMessage(b)
	if err != nil {
		c.garbage(domain.CodeBadRequest, err.Error())
		return
	}
	m.ready = ready
	right, known := v1Rights[string(m.typ)]
	switch {
	case !known:
		c.garbage(domain.CodeBadRequest, "unknown message type")
		return
	case right != "" && !c.peer.may(right):
		c.garbage(domain.CodeForbidden, "a "+string(m.typ)+" is not for your role")
		return
	}
	switch string(m.typ) {
	case "command", "commands":
		c.command(&m, len(b))
		return
	case "preview":
		err = c.preview(&m)
	case "cursor":
		err = c.cursor(&m)
	case "viewport":
		err = c.viewport(&m)
	case "ping":
		c.ping(&m)
	case "hello":
		err = domain.Errorf(domain.CodeBadRequest, "hello was said before")
	}
	if err != nil {
		code, detail := reason(err)
		c.garbage(code, detail)
		return
	}
	c.bad = 0
}

func (c *v1Conn) cursor(m *message) error {
	if m.x == nil || m.y == nil {
		return domain.Errorf(domain.CodeBadRequest, "a cursor has numbers x and y")
	}
	c.peer.setCursor(appendXY(make([]byte, 0, 64), m, false))
	return nil
}

func (c *v1Conn) viewport(m *message) error {
	if m.x == nil || m.y == nil || m.scale == nil {
		return domain.Errorf(domain.CodeBadRequest, "a viewport has numbers x, y and scale")
	}
	c.peer.setViewport(appendXY(make([]byte, 0, 96), m, true))
	return nil
}

func (c *v1Conn) preview(m *message) error {
	if !domain.ValidElementID(m.id) || m.set == nil {
		return domain.Errorf(domain.CodeBadRequest, "a preview has an element id and a set")
	}
	if len(m.set) > domain.MaxElementBytes {
		return domain.Errorf(domain.CodeTooLarge, "a preview has at most %d bytes", domain.MaxElementBytes)
	}
	set, ok := m.members()
	if !ok {
		return domain.Errorf(domain.CodeBadRequest, "set is an object")
	}
	for _, fixed := range []string{"id", "type", "z"} {
		if _, ok := set.Get(fixed); ok {
			return domain.Errorf(domain.CodeBadRequest, "%s can't be set", fixed)
		}
	}
	if !c.peer.setPreview(m.id, set, len(m.set), c.seq) {
		c.hub.met.dropped.Inc()
	}
	return nil
}

// ping is answered by the room, so that its revision is no lie: every commit up to it was sent before.
func (c *v1Conn) ping(m *message) {
	if !c.peer.flight.acquire(0, &c.hub.limits, c.conn.closing) {
		return
	}
	t := append([]byte(nil), m.t...)
	p := c.peer
	p.room.post(funcMail(func(r *room) {
		p.flight.release(0)
		defer p.settled()
		if x, ok := p.ext.(*v1Peer); ok && !p.gone {
			p.sendOwn(pongFrame(t, x.revision(r)))
		}
	}))
}

// command parses, prepares and hands in one durable request; whatever is wrong with it is answered by a reject with its seq.
func (c *v1Conn) command(m *message, size int) {
	if m.seq == 0 {
		c.garbage(domain.CodeBadRequest, "a command has a seq from 1")
		return
	}
	if c.hello.Client == "" {
		c.reject(m.seq, domain.Errorf(domain.CodeBadRequest, "hello named no client"))
		return
	}
	if c.rate != nil && !c.rate.Allow() {
		c.reject(m.seq, domain.Errorf(domain.CodeRateLimited, "more than %g commands a second", c.hub.limits.CommandRate))
		return
	}
	list, err := m.parseCommands()
	if err != nil {
		c.reject(m.seq, err)
		return
	}
	c.bad = 0
	p := c.peer
	if !p.flight.acquire(size, &c.hub.limits, c.conn.closing) {
		return
	}
	c.seq = max(c.seq, m.seq)
	actor := domain.Actor{ID: p.who.UserID}
	if !commands.Plain(list) { // most are: then there is nothing to wait for
		ctx, cancel := context.WithTimeout(c.hub.ctx, prepareTimeout)
		list, err = c.hub.cfg.Preparer.Prepare(ctx, c.roomID, actor, p.Role(), list)
		cancel()
		if err != nil {
			c.reject(m.seq, err)
			p.flight.release(size)
			p.room.post(funcMail(func(*room) { p.settled() }))
			return
		}
	}
	p.submit(commands.Request{Actor: actor, Commands: list, Client: p.client, Seq: m.seq}, size)
}

func (c *v1Conn) reject(seq uint64, err error) {
	code, detail := reason(err)
	if code == domain.CodeInternal {
		c.hub.log.Error("command_failed", "roomId", c.roomID, "userId", c.user, "error", err.Error())
	}
	c.tell(rejectFrame(seq, code, detail))
}

// reason is what a client is told of an error: never more than a domain.Error says.
func reason(err error) (domain.Code, string) {
	var e *domain.Error
	if errors.As(err, &e) {
		return e.Code, e.Detail
	}
	return domain.CodeInternal, "something went wrong here"
}
