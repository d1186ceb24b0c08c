package realtime

import (
	"sync"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
)

// tellEvery is how often a room's last activity is told while its people stay the same.
const tellEvery = 10 * time.Second

// Activity is how busy a room is on this process.
type Activity struct {
	RoomID     string
	Users      int   // people, each counted once
	Sessions   int   // sockets
	LastActive int64 // Unix ms of the last commit, join or leave
}

// activities are the listeners of rooms' activity.
type activities struct {
	mu   sync.Mutex
	next int
	fns  map[int]func(Activity)
}

// OnActivity has fn called when people come or go, and at most every 10 s while a room is edited. It is called by the goroutines of the
// rooms and must not block. stop ends it; a call may still be under way then.
func (h *Hub) OnActivity(fn func(Activity)) (stop func()) {
	a := &h.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fns == nil {
		a.fns = map[int]func(Activity){}
	}
	a.next++
	id := a.next
	a.fns[id] = fn
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.fns, id)
	}
}

// Online says how many people have the room open here.
func (h *Hub) Online(roomID string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.rooms[roomID]; r != nil {
		return int(r.online.Load())
	}
	return 0
}

// Activities returns the rooms that somebody has open here, in no order.
func (h *Hub) Activities() []Activity {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Activity, 0, len(h.rooms))
	for _, r := range h.rooms {
		if a := r.activity(); a.Sessions > 0 {
			list = append(list, a)
		}
	}
	return list
}

// PersonAt is somebody who has a room open.
type PersonAt struct{ UserID, RoomID string }

// People returns who has which room open here, each person once a room, in no order. Visitors without an identity are left out.
func (h *Hub) People() []PersonAt {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []PersonAt
	for _, r := range h.rooms {
		if who := r.who.Load(); who != nil {
			for _, u := range *who {
				list = append(list, PersonAt{u, r.id})
			}
		}
	}
	return list
}

func (r *room) activity() Activity {
	return Activity{RoomID: r.id, Users: int(r.online.Load()), Sessions: int(r.sessions.Load()), LastActive: r.active.Load()}
}

// tell counts who is here and tells the listeners. The room's goroutine.
func (r *room) tell(changed bool) {
	now := time.Now()
	if changed {
		r.online.Store(int32(len(r.people)))
		who := make([]string, 0, len(r.people))
		for u := range r.people {
			if !(domain.Actor{ID: u}).Anonymous() {
				who = append(who, u)
			}
		}
		r.who.Store(&who)
		r.sessions.Store(int32(len(r.peers)))
		r.active.Store(r.hub.cfg.Clock())
	} else if now.Sub(r.told) < tellEvery {
		return
	}
	r.told = now
	a := r.activity()
	r.hub.activity.mu.Lock()
	defer r.hub.activity.mu.Unlock()
	for _, fn := range r.hub.activity.fns {
		fn(a)
	}
}
