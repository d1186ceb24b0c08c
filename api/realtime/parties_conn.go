package realtime

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"golang.org/x/time/rate"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// partiesConn is the reader's side of an old client's socket.
type partiesConn struct {
	*socket
	roomID string
	peer   *peer
	x      *partiesPeer
	rate   *rate.Limiter // of durable commands; nil: no limit
	bad    int           // bad frames in a row
	over   bool          // nothing more is read
	asked  bool          // what it held before was read

	sources map[string]source // by element
}

func (c *partiesConn) serve() {
	if c.enter() {
		expire := time.AfterFunc(c.hub.limits.MaxSession, func() { c.finish(byeExpired) })
		c.readAll()
		expire.Stop()
	}
}

func (c *partiesConn) enter() bool {
	l := &c.hub.limits
	if !l.RatesOff {
		c.rate = rate.NewLimiter(rate.Limit(l.CommandRate), l.CommandBurst)
		c.x.updates = rate.NewLimiter(rate.Limit(l.UpdateRate), int(l.UpdateRate))
	}
	if user := c.peer.who.UserID; c.x.key.user != "" {
		if !c.hub.gate.enterUser(user) {
			c.finish(closing{CloseTooMany, domain.CodeRateLimited, "too many sockets of this user"})
			return false
		}
		c.user = user
	}
	ctx, cancel := context.WithTimeout(c.hub.ctx, watchTimeout)
	defer cancel()
	if err := c.join(ctx, c.roomID, c.peer, newPartiesHalf); err != nil {
		c.finish(byeErr(err))
		return false
	}
	return c.conn.open()
}

func (c *partiesConn) readAll() {
	in := c.hub.met.framesIn.WithLabelValues(protocolParties)
	limit := func() int {
		if c.peer.mayEdit() {
			return c.hub.limits.EditorFrame
		}
		return c.hub.limits.OtherFrame
	}
	handle := func(b []byte) {
		in.Inc()
		if c.conn.open() {
			c.frame(b)
		}
	}
	for !c.over && c.conn.open() {
		if err := c.read(limit, handle); err != nil {
			switch {
			case errors.Is(err, errFrameTooLarge):
				c.finish(closing{CloseTooLarge, "", "frame too large"})
			case errors.Is(err, errNoPlace):
				c.finish(byeReadOnly)
			case errors.Is(err, errNoText):
				c.finish(closing{CloseBadMessage, "", "text frames only"})
			}
			return
		}
	}
}

// stop closes the socket for abuse and reads no more.
func (c *partiesConn) stop(b closing) {
	c.over = true
	c.finish(b)
}

// frame handles one frame. Whatever is wrong with it is noted here and concerns nobody else.
func (c *partiesConn) frame(b []byte) {
	m, err := parseParties(b)
	if err != nil || m.kind == "" {
		c.garbage(&m, err)
		return
	}
	c.bad = 0
	switch m.kind {
	case "cursor:move", "viewport:change":
		if !c.peer.may(partiesRights[m.kind]) {
			return // nobody is told of a position that nobody sees
		}
	}
	switch m.kind {
	case "cursor:move":
		c.peer.setCursor(m.cursor)
	case "viewport:change":
		c.peer.setViewport(m.viewport)
	case "image:update":
		c.update(&m, len(b))
	default:
		c.durable(&m, len(b))
	}
}

// garbage notes a frame that can't be read; too many in a row end the socket.
func (c *partiesConn) garbage(m *partiesMsg, err error) {
	c.hub.met.refusals.WithLabelValues(string(domain.CodeBadRequest)).Inc()
	if c.bad++; c.bad > c.hub.limits.BadFrames {
		c.stop(closing{CloseBadMessage, "", "too many bad messages"})
		return
	}
	if err != nil {
		c.hub.log.Debug("frame_refused", "roomId", c.roomID, "userId", c.peer.who.UserID, "kind", m.kind, "detail", err.Error())
	}
	if m.id != "" {
		c.refuse(m, domain.Errorf(domain.CodeBadRequest, "out of form"))
	}
}

// refuse has the client sent the truth in place of what it asked for.
func (c *partiesConn) refuse(m *partiesMsg, err error) {
	p, kind, id := c.peer, m.kind, m.id
	if !p.flight.acquire(0, &c.hub.limits, c.conn.closing) {
		return
	}
	p.room.post(funcMail(func(*room) {
		p.flight.release(0)
		if h, ok := p.half.(*partiesHalf); ok {
			h.refuse(p, kind, id, err)
		}
	}))
}

// update takes an image:update to the room.
func (c *partiesConn) update(m *partiesMsg, size int) {
	p := c.peer
	if !p.mayEdit() {
		c.refuse(m, domain.Errorf(domain.CodeForbidden, "a %s may not do this", p.Role()))
		return
	}
	if !p.flight.acquire(size, &c.hub.limits, c.conn.closing) {
		return
	}
	c.loadHeld()
	if err := c.prepareSource(m); err != nil {
		p.flight.release(size)
		c.refuse(m, err)
		return
	}
	p.room.post(&updateMail{p: p, id: m.id, members: m.members, size: size})
}

// loadHeld reads what the client held before this connection, where it sends elements before it has proved to have seen sync:full.
func (c *partiesConn) loadHeld() {
	l := c.x.toLoad
	if c.asked || l == nil || c.x.synced.Load() {
		return
	}
	c.asked = true
	b, err := c.hub.load(c.roomID, c.x.key.user, l)
	if err != nil {
		c.hub.log.Warn("baseline_unreadable", "roomId", c.roomID, "userId", c.peer.who.UserID, "error", err.Error())
		return // then nothing it sends before it has seen the room is taken for a change
	}
	c.peer.room.post(funcMail(func(*room) {
		if c.x.last != nil {
			c.x.last.base = b
		}
	}))
}

// source is a src that was prepared: old clients send it with every update, a data URL too until their upload is through.
type source struct {
	raw   uint64
	size  int
	value []byte
}

var sourceSeed = maphash.MakeSeed()

// maxSources bounds the prepared sources that a connection remembers.
const maxSources = 4096

// prepareSource puts an element's src as the log has it in its place.
func (c *partiesConn) prepareSource(m *partiesMsg) error {
	i := indexOf(m.members, "src")
	if i < 0 {
		return nil
	}
	value := m.members[i].Value
	raw := maphash.Bytes(sourceSeed, value)
	if s, ok := c.sources[m.id]; ok && s.raw == raw && s.size == len(value) {
		m.members[i].Value = s.value
		return nil
	}
	cs, err := c.prepare(domain.PatchElement{ID: m.id, Set: events.Members{{Key: "src", Value: value}}})
	if err != nil {
		return err
	}
	p, ok := cs.(domain.PatchElement)
	if !ok || len(p.Set) != 1 {
		return domain.Errorf(domain.CodeInternal, "a patch was prepared to %T", cs)
	}
	c.remember(m.id, raw, len(value), p.Set[0].Value)
	m.members[i].Value = p.Set[0].Value
	return nil
}

func (c *partiesConn) remember(id string, raw uint64, size int, value []byte) {
	if c.sources == nil || len(c.sources) >= maxSources {
		c.sources = map[string]source{}
	}
	c.sources[id] = source{raw, size, append([]byte(nil), value...)}
}

func indexOf(m events.Members, key string) int {
	for i := range m {
		if m[i].Key == key {
			return i
		}
	}
	return -1
}

func (c *partiesConn) prepare(cmd domain.Command) (domain.Command, error) {
	ctx, cancel := context.WithTimeout(c.hub.ctx, prepareTimeout)
	defer cancel()
	cs, err := c.hub.cfg.Preparer.Prepare(ctx, c.roomID, domain.Actor{ID: c.peer.who.UserID}, c.peer.Role(), []domain.Command{cmd})
	if err != nil {
		return nil, err
	}
	return cs[0], nil
}

// durable takes what is a command of its own, or a message to the others, to the room.
func (c *partiesConn) durable(m *partiesMsg, size int) {
	p := c.peer
	if !p.flight.acquire(size, &c.hub.limits, c.conn.closing) {
		return
	}
	mail, err := c.mailOf(m, size)
	if err != nil {
		p.flight.release(size)
		c.refuse(m, err)
		return
	}
	p.room.post(mail)
}

func (c *partiesConn) mailOf(m *partiesMsg, size int) (mail, error) {
	if c.rate != nil && !c.rate.Allow() {
		return nil, domain.Errorf(domain.CodeRateLimited, "more than %g commands a second", c.hub.limits.CommandRate)
	}
	switch m.kind {
	case "image:add":
		return c.addMail(m, size)
	case "image:remove":
		return c.inHalf(size, func(h *partiesHalf) { h.remove(c.peer, m.id, size) }), nil
	case "chat:send":
		return c.chatMail(m, size)
	default:
		if !c.peer.may(partiesRights[m.kind]) {
			return nil, domain.Errorf(domain.CodeForbidden, "a %s may not do this", c.peer.Role())
		}
		return c.inHalf(size, func(h *partiesHalf) {
			h.broadcast(c.peer, imageFrame(m.kind, m.id))
			c.peer.flight.release(size)
		}), nil
	}
}

// inHalf runs f in the room's goroutine, while the peer is in the room.
func (c *partiesConn) inHalf(size int, f func(*partiesHalf)) mail {
	p := c.peer
	return funcMail(func(*room) {
		h, ok := p.half.(*partiesHalf)
		if !ok || p.gone || h.items == nil {
			p.flight.release(size)
			return
		}
		f(h)
	})
}

func (c *partiesConn) addMail(m *partiesMsg, size int) (mail, error) {
	el, err := m.elementOf()
	if err != nil {
		return nil, err
	}
	if !shownType(el.Type()) {
		return nil, domain.Errorf(domain.CodeInvalidCommand, "image:add is for images and videos")
	}
	raw, _ := el.Get("src")
	hash, length := maphash.Bytes(sourceSeed, raw), len(raw)
	cmd, err := c.prepare(domain.AddElement{Element: el})
	if err != nil {
		return nil, err
	}
	add, ok := cmd.(domain.AddElement)
	if !ok {
		return nil, domain.Errorf(domain.CodeInternal, "an image:add was prepared to %T", cmd)
	}
	if src, ok := add.Element.Get("src"); ok {
		c.remember(m.id, hash, length, src)
		m.members[indexOf(m.members, "src")].Value = append([]byte(nil), src...)
	}
	c.loadHeld()
	return &addMail{p: c.peer, cmd: add, size: size, m: &updateMail{p: c.peer, id: m.id, members: m.members}}, nil
}

func (c *partiesConn) chatMail(m *partiesMsg, size int) (mail, error) {
	post := domain.PostChat{Text: m.text}
	if c.x.key.user == "" {
		post.Name, post.Color, post.UserID = c.peer.who.Name, c.peer.who.Color, c.x.userID
	}
	cmd, err := c.prepare(post)
	if err != nil {
		return nil, err
	}
	return c.inHalf(size, func(h *partiesHalf) {
		h.submit(c.peer, size, cmd, func(err error) {
			if err != nil {
				h.refuse(c.peer, "chat:send", "", err)
			}
		})
	}), nil
}
