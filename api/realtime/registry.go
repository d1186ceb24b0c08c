package realtime

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// ListedRoom is a room as the registry party of old clients shows it. Times are Unix milliseconds.
type ListedRoom struct {
	ID           string
	Name         string
	IsPublic     bool
	CreatedAt    int64
	LastActivity int64
	UserCount    int
	OwnerID      string // "": born of a connection without an identity
	CreatorName  string // "" unknown
}

// How long a room that nobody is in stays on the list. It is the list it leaves, not the store.
const (
	publicEmptyFor  = 30 * time.Minute
	privateEmptyFor = 10 * time.Minute
)

const (
	registryTick  = time.Second      // between two updates of a room
	registrySweep = 10 * time.Second // between two looks for rooms that leave
	lookupRoom    = 10 * time.Second // bounds reading one room
	maxListed     = 20_000           // rooms on the list; more are not listed until others have left
	maxLookups    = 50_000           // rooms that wait to be read
)

// Registry is the list of rooms that old clients see. What a room is called, and whether it is public, is read from the room itself
// whenever a commit says that it may have changed, so that it doesn't matter how often or in which order it is told. Its methods may be called
// concurrently.
type Registry struct {
	hub  *Hub
	wake chan struct{} // capacity 1

	mu       sync.Mutex
	rooms    map[string]*registered
	lookups  map[string]struct{} // to be read
	names    map[string]string   // by room: the creator's name as an anonymous creator said it
	dirty    map[string]struct{} // with something new to tell
	renamed  map[string]struct{} // of those: the name too
	watchers map[*conn]struct{}
}

type registered struct {
	ListedRoom
	emptySince int64 // Unix ms; 0: somebody is here
}

func newRegistry(h *Hub) *Registry {
	return &Registry{
		hub: h, wake: make(chan struct{}, 1), rooms: map[string]*registered{}, lookups: map[string]struct{}{}, names: map[string]string{},
		dirty: map[string]struct{}{}, renamed: map[string]struct{}{}, watchers: map[*conn]struct{}{},
	}
}

// Registry is the list of rooms of old clients.
func (h *Hub) Registry() *Registry { return h.registry }

// Rooms returns the public rooms on the list, newest first: what a new client is sent, and the cache entry `rooms:registry`.
func (g *Registry) Rooms() []ListedRoom {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.roomsLocked()
}

func (g *Registry) roomsLocked() []ListedRoom {
	list := make([]ListedRoom, 0, len(g.rooms))
	for _, r := range g.rooms {
		if r.IsPublic {
			list = append(list, r.ListedRoom)
		}
	}
	slices.SortFunc(list, func(a, b ListedRoom) int {
		if a.CreatedAt != b.CreatedAt {
			return int(min(1, max(-1, b.CreatedAt-a.CreatedAt)))
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// Changed says that a room was made, renamed, shown, hidden or deleted. It may be said more than once, and doesn't block.
func (g *Registry) Changed(room string) { g.look(room) }

// Committed takes a commit of a room that is open here.
func (g *Registry) Committed(room string, c *events.Commit) {
	for i := range c.Events {
		switch c.Events[i].Payload.(type) {
		case *events.RoomCreatedData, *events.RoomUpdatedData, *events.RoomDeletedData:
			g.look(room)
			return
		}
	}
}

// look has the room read. Where far too many wait it isn't: its next change or visitor brings it back.
func (g *Registry) look(room string) {
	g.mu.Lock()
	if len(g.lookups) < maxLookups {
		g.lookups[room] = struct{}{}
	}
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// run is the registry's goroutine, until the hub ends.
func (g *Registry) run() {
	stop := g.hub.OnActivity(g.activity)
	defer stop()
	g.fill()
	tick := time.NewTicker(registryTick)
	defer tick.Stop()
	var swept time.Time
	for {
		select {
		case <-g.hub.ctx.Done():
			return
		case <-g.wake:
			g.readAll()
		case now := <-tick.C:
			g.readAll()
			g.tellUpdates()
			if now.Sub(swept) >= registrySweep {
				swept = now
				g.sweep()
			}
		}
	}
}

// fill takes the list from the projections.
func (g *Registry) fill() {
	if g.hub.cfg.PublicRooms == nil {
		return
	}
	ctx, cancel := context.WithTimeout(g.hub.ctx, watchTimeout)
	defer cancel()
	list, err := g.hub.cfg.PublicRooms(ctx)
	if err != nil {
		g.hub.log.Error("registry_not_filled", "error", err.Error())
		return
	}
	now := g.hub.cfg.Clock()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range list {
		if g.rooms[r.ID] == nil && len(g.rooms) < maxListed && now-r.LastActivity < publicEmptyFor.Milliseconds() {
			g.addLocked(&registered{ListedRoom: r, emptySince: max(1, r.LastActivity)})
		}
	}
}

// activity takes what a room says of the people in it. It is called by the rooms' goroutines.
func (g *Registry) activity(a Activity) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.rooms[a.RoomID]
	if r == nil {
		if a.Users > 0 && len(g.lookups) < maxLookups {
			g.lookups[a.RoomID] = struct{}{}
		}
		return
	}
	g.countLocked(r, a)
}

func (g *Registry) countLocked(r *registered, a Activity) {
	if r.UserCount == a.Users && r.LastActivity >= a.LastActive {
		return
	}
	r.UserCount, r.LastActivity = a.Users, max(r.LastActivity, a.LastActive)
	switch {
	case a.Users > 0:
		r.emptySince = 0
	case r.emptySince == 0:
		r.emptySince = g.hub.cfg.Clock()
	}
	g.dirty[r.ID] = struct{}{}
}

// readAll reads the rooms that wait for it.
func (g *Registry) readAll() {
	g.mu.Lock()
	todo := g.lookups
	g.lookups = map[string]struct{}{}
	g.mu.Unlock()
	for id := range todo {
		if g.hub.ctx.Err() != nil {
			return
		}
		g.read(id)
	}
}

func (g *Registry) read(id string) {
	ctx, cancel := context.WithTimeout(g.hub.ctx, lookupRoom)
	defer cancel()
	v, err := g.hub.cfg.Rooms.View(ctx, id)
	if err != nil {
		if code, _ := reason(err); code == domain.CodeNotFound {
			g.remove(id)
			return
		}
		g.hub.log.Warn("registry_room_unread", "roomId", id, "error", err.Error())
		g.mu.Lock()
		g.lookups[id] = struct{}{} // with the next tick
		g.mu.Unlock()
		return
	}
	creator := ""
	if v.Room.OwnerID != "" {
		creator = g.hub.cfg.Users.Profile(ctx, v.Room.OwnerID).Name
	}
	g.put(v, creator)
}

// forget takes the person's name off their rooms. A room that is being read just now is read again.
func (g *Registry) forget(person string) {
	g.mu.Lock()
	var again []string
	for id, r := range g.rooms {
		if r.OwnerID == person {
			again = append(again, id)
			g.creatorLocked(r, commands.DeletedName)
		}
	}
	g.mu.Unlock()
	for _, id := range again {
		g.look(id)
	}
}

// creatorLocked names the creator. No update carries that, so the room is told of anew where another name was told before.
func (g *Registry) creatorLocked(r *registered, name string) {
	was := r.CreatorName
	if r.CreatorName = name; was != "" && was != name && r.IsPublic {
		g.tellLocked(roomRemoved(r.ID))
		g.tellLocked(roomAdded(&r.ListedRoom))
	}
}

// put brings a room's entry up to what the room says.
func (g *Registry) put(v *commands.View, creator string) {
	a, here := g.hub.activityOf(v.Room.ID)
	public := v.Room.Visibility == domain.Public
	g.mu.Lock()
	defer g.mu.Unlock()
	if creator == "" {
		creator = g.names[v.Room.ID]
	}
	r := g.rooms[v.Room.ID]
	fresh := r == nil
	if fresh {
		if len(g.rooms) >= maxListed {
			g.hub.log.Warn("registry_full", "roomId", v.Room.ID)
			return
		}
		r = &registered{ListedRoom: ListedRoom{ID: v.Room.ID, CreatedAt: v.Room.CreatedAt, LastActivity: v.At}, emptySince: g.hub.cfg.Clock()}
	}
	was := *r
	r.Name, r.IsPublic, r.OwnerID = v.Room.Name, public, v.Room.OwnerID
	r.LastActivity = max(r.LastActivity, v.At)
	if here {
		r.UserCount, r.emptySince = a.Users, 0
	}
	if fresh || !public || !was.IsPublic {
		r.CreatorName = creator
	} else {
		g.creatorLocked(r, creator)
	}
	switch {
	case fresh:
		g.addLocked(r)
	case public && !was.IsPublic:
		g.tellLocked(roomAdded(&r.ListedRoom))
	case !public && was.IsPublic:
		g.tellLocked(roomRemoved(r.ID))
	case r.Name != was.Name:
		g.dirty[r.ID], g.renamed[r.ID] = struct{}{}, struct{}{}
	}
}

func (g *Registry) addLocked(r *registered) {
	g.rooms[r.ID] = r
	if r.IsPublic {
		g.tellLocked(roomAdded(&r.ListedRoom))
	}
}

func (g *Registry) remove(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.removeLocked(id)
}

func (g *Registry) removeLocked(id string) {
	r := g.rooms[id]
	if r == nil {
		return
	}
	delete(g.rooms, id)
	delete(g.names, id)
	delete(g.dirty, id)
	delete(g.renamed, id)
	if r.IsPublic {
		g.tellLocked(roomRemoved(id))
	}
}

// sweep takes off the list the rooms that have been empty for too long.
func (g *Registry) sweep() {
	now := g.hub.cfg.Clock()
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, r := range g.rooms {
		limit := privateEmptyFor
		if r.IsPublic {
			limit = publicEmptyFor
		}
		if r.emptySince > 0 && now-r.emptySince >= limit.Milliseconds() {
			g.removeLocked(id)
		}
	}
	for id := range g.names {
		if g.rooms[id] == nil && len(g.names) > maxListed/2 {
			delete(g.names, id)
		}
	}
}

// tellUpdates tells what is new of rooms, at most once a tick each.
func (g *Registry) tellUpdates() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range g.dirty {
		if r := g.rooms[id]; r != nil && r.IsPublic {
			_, renamed := g.renamed[id]
			g.tellLocked(roomUpdated(&r.ListedRoom, renamed))
		}
	}
	clear(g.dirty)
	clear(g.renamed)
}

// tellLocked sends a frame to everybody. A client that doesn't read loses its socket.
func (g *Registry) tellLocked(frame []byte) {
	for c := range g.watchers {
		if c.send(frame) {
			c.flush()
		}
	}
}

// activityOf is the activity of a room that somebody has open here.
func (h *Hub) activityOf(id string) (Activity, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[id]
	if r == nil {
		return Activity{}, false
	}
	a := r.activity()
	return a, a.Users > 0
}
