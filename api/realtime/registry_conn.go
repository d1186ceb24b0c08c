package realtime

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode"

	"golang.org/x/time/rate"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// Rooms that one socket of the registry may create.
const (
	createRate  = 1 // a second
	createBurst = 20
)

// registryFrame bounds one message to the registry, in bytes.
const registryFrame = 64 << 10

// registryConn is a socket of the registry party.
type registryConn struct {
	*socket
	who  Identity
	rate *rate.Limiter // nil: no limit
	bad  int
	over bool
}

func (g *Registry) serve(w http.ResponseWriter, r *http.Request) {
	h := g.hub
	ctx, cancel := context.WithTimeout(r.Context(), authTimeout)
	defer cancel()
	who, _, err := h.partiesIdentity(ctx, r)
	if err != nil {
		h.refuseParties(w, r, err)
		return
	}
	s := h.open(w, r, protocolRegistry)
	if s == nil {
		return
	}
	s.conn.mute = true
	c := &registryConn{socket: s, who: who}
	if !h.limits.RatesOff {
		c.rate = rate.NewLimiter(createRate, createBurst)
	}
	s.start(c.serve)
}

func (c *registryConn) serve() {
	g := c.hub.registry
	expire := time.AfterFunc(c.hub.limits.MaxSession, func() { c.finish(byeExpired) })
	defer expire.Stop()
	g.enter(c.conn)
	defer g.leave(c.conn)
	for !c.over && c.conn.open() {
		err := c.read(func() int { return registryFrame }, func(b []byte) {
			c.hub.met.framesIn.WithLabelValues(protocolRegistry).Inc()
			c.frame(b)
		})
		if err == errFrameTooLarge {
			c.finish(closing{CloseTooLarge, "", "frame too large"})
		}
		if err != nil {
			break
		}
	}
}

// enter sends the list and has the socket told of everything after it.
func (g *Registry) enter(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.send(roomsFrame(g.roomsLocked()))
	c.flush()
	g.watchers[c] = struct{}{}
}

func (g *Registry) leave(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.watchers, c)
}

// created is a client's message that it has made a room.
type created struct {
	Type        string `json:"type"`
	RoomID      string `json:"roomId"`
	Name        string `json:"name"`
	IsPublic    bool   `json:"isPublic"`
	CreatorName string `json:"creatorName"`
}

// frame handles one message. Only room-created means anything: what the others say of rooms the server knows better.
func (c *registryConn) frame(b []byte) {
	var m created
	_, err := checkFrame(b)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		c.hub.met.refusals.WithLabelValues(string(domain.CodeBadRequest)).Inc()
		if c.bad++; c.bad > c.hub.limits.BadFrames {
			c.over = true
			c.finish(closing{CloseBadMessage, "", "too many bad messages"})
		}
		return
	}
	c.bad = 0
	if m.Type != "room-created" {
		return
	}
	if err := c.create(&m); err != nil {
		code, detail := reason(err)
		c.hub.refusedFrame(m.RoomID, c.who.UserID, m.Type, code, detail)
	}
}

// create makes an unknown room, or changes the caller's own.
func (c *registryConn) create(m *created) error {
	if !domain.ValidRoomID(m.RoomID) {
		m.RoomID = "" // not for the log
		return domain.Errorf(domain.CodeInvalidCommand, "roomId: out of form")
	}
	if c.rate != nil && !c.rate.Allow() {
		return domain.Errorf(domain.CodeRateLimited, "more than %d rooms a second", createRate)
	}
	ctx, cancel := context.WithTimeout(c.hub.ctx, lookupRoom)
	defer cancel()
	actor := domain.Actor{ID: c.who.UserID}
	visibility := domain.Private
	switch {
	case m.IsPublic:
		visibility = domain.Public
	case actor.Anonymous(): // nobody could get in otherwise
		visibility = domain.Unlisted
	}
	name := strings.TrimSpace(m.Name)
	cmd := birthOf(m.RoomID)
	cmd.Visibility = visibility
	if name != "" {
		cmd.Name = name
	}
	g := c.hub.registry
	v, err := c.hub.cfg.Rooms.View(ctx, m.RoomID)
	code, _ := reason(err)
	switch {
	case err == nil:
		return c.update(ctx, actor, v, name, visibility)
	case code != domain.CodeNotFound:
		return err
	}
	if err := c.hub.mayMake(ctx, c.address); err != nil {
		return err
	}
	if actor.Anonymous() {
		g.named(m.RoomID, m.CreatorName)
	}
	_, err = c.hub.cfg.Rooms.Do(ctx, m.RoomID, commands.Request{Actor: actor, Commands: []domain.Command{cmd}})
	if err != nil {
		return err
	}
	g.look(m.RoomID)
	return nil
}

// update gives the caller's own room the name and visibility of the message; rooms of others stay as they are.
func (c *registryConn) update(ctx context.Context, actor domain.Actor, v *commands.View, name string, visibility domain.Visibility) error {
	if v.Room.OwnerID != actor.ID {
		return domain.Errorf(domain.CodeForbidden, "the room is somebody else's")
	}
	up := domain.UpdateRoom{Visibility: &visibility}
	if name != "" {
		up.Name = &name
	}
	_, err := c.hub.cfg.Rooms.Do(ctx, v.Room.ID, commands.Request{Actor: actor, Commands: []domain.Command{up}})
	if err != nil {
		return err
	}
	c.hub.registry.look(v.Room.ID)
	return nil
}

// named notes what an anonymous creator calls himself. It is shown with the room while it is listed and stored nowhere.
func (g *Registry) named(room, name string) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > domain.MaxPersonName || strings.ContainsFunc(name, unicode.IsControl) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.names) < maxListed {
		g.names[room] = name
	}
}
