package realtime

import (
	"context"

	"github.com/infinite-kanvas/kanvas/commands"
)

// ForgetUser ends the sockets of a user who was forgotten, takes their name off the list of rooms, and gives others in rooms that are open here what
// these rooms are without it. commands.Users knows of it already: what was encoded before is made anew (Epoch).
func (h *Hub) ForgetUser(userID string) {
	h.CloseUser(userID)
	h.registry.forget(userID)
	h.mu.Lock()
	rooms := make([]*room, 0, len(h.rooms))
	for _, r := range h.rooms {
		rooms = append(rooms, r)
	}
	h.mu.Unlock()
	for _, r := range rooms {
		select {
		case <-r.ready:
		default:
			continue // nobody has been told anything
		}
		if r.err == nil {
			r.forget(userID)
		}
	}
}

// forget looks at the room as it is now. Any goroutine.
func (r *room) forget(userID string) {
	r.watch.View(func(v *commands.View) {
		r.post(funcMail(func(r *room) {
			if r.done || !tells(v, userID) {
				return
			}
			for _, h := range r.halves {
				h.forgotten(v)
			}
			r.wantFlush = true
		}))
	})
}

// tells reports whether the view names the person, or holds what they wrote.
func tells(v *commands.View, userID string) bool {
	for i := range v.Participants {
		if v.Participants[i].User == userID {
			return true
		}
	}
	for i := range v.Chat {
		if v.Chat[i].User == userID {
			return true
		}
	}
	for i := range v.Comments {
		if v.Comments[i].User == userID {
			return true
		}
	}
	for i := range v.Generations {
		if v.Generations[i].User == userID {
			return true
		}
	}
	return false
}

// forgotten implements half: everybody gets a snapshot, which takes the place of what they hold.
func (h *v1Half) forgotten(v *commands.View) {
	for _, p := range h.room.peers {
		x := v1Of(p)
		switch {
		case x == nil || p.gone:
		case x.live:
			h.renew(p, x, v)
		default:
			x.stale = true // what is being written to them may be of before
		}
	}
}

// renew sends a snapshot to somebody who is up to date.
func (h *v1Half) renew(p *peer, x *v1Peer, v *commands.View) {
	x.live, x.sent = false, v.Revision
	h.stream(p, &snapshotStream{h: h, p: p, view: v, role: p.Role(), online: len(h.room.people)})
}

// renewLater sends one to somebody who has got all of what may be of before.
func (h *v1Half) renewLater(p *peer, x *v1Peer) {
	x.stale = false
	h.room.watch.View(func(v *commands.View) {
		h.room.post(funcMail(func(*room) {
			if !p.gone && x.live {
				h.renew(p, x, v)
			}
		}))
	})
}

// forgotten implements half: old clients take chat:history in place of the chat that they show.
func (h *partiesHalf) forgotten(v *commands.View) {
	for _, p := range h.list {
		history := &chatStream{make: func(ctx context.Context) []byte { return h.room.historyFrame(ctx, v) }}
		if p.conn.sendStream(history) {
			p.touch()
		}
	}
}
