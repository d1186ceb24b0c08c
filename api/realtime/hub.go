package realtime

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/commands"
)

// watchTimeout bounds opening a room for its first socket.
const watchTimeout = 20 * time.Second

// Identity is who a token belongs to.
type Identity struct {
	UserID, Name, Color string
	ExpiresAt           time.Time // of the token; a socket lives on past it, up to Limits.MaxSession
}

// Authenticator knows tokens. Errors are *domain.Error; CodeUnauthenticated where the token is no good. Called concurrently.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Identity, error)
}

// Config of a Hub. Rooms, Users, Preparer, Authenticator, AllowOrigin, AllowCookie and Address are needed; the rest has defaults.
type Config struct {
	Rooms         commands.Rooms
	Users         commands.Users
	Preparer      commands.Preparer
	Authenticator Authenticator

	// AssetURL is the absolute address under which old clients load an asset of a room: it holds a capability of the room, under the room's key of
	// that number.
	AssetURL func(room, asset string, key uint64) string
	// Pictures knows the blurs of pictures; nil: nobody is sent any.
	Pictures Pictures
	// PublicRooms fills the registry of old clients at the start; nil: it starts empty.
	PublicRooms func(context.Context) ([]ListedRoom, error)

	AllowOrigin func(*http.Request) bool   // whether a browser's page may open sockets here: the rule of CORS
	AllowCookie func(*http.Request) bool   // whether the session cookie may say who it is
	Address     func(*http.Request) string // what per-address limits count by
	// MayMake counts a room that is made by connecting to it, or in the registry, by somebody at an address; nil: nothing is counted. An error is a
	// *domain.Error with the reason against it.
	MayMake    func(ctx context.Context, address string) error
	Limits     Limits                // zero fields: DefaultLimits
	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: metrics are counted and not shown
	Clock      commands.Clock        // Unix ms; default: the system's
}

// Hub is the realtime layer of one process: all sockets of all rooms. Its methods may be called concurrently.
type Hub struct {
	cfg     Config
	limits  Limits
	log     *slog.Logger
	met     *metrics
	gate    *gate
	encoder wire.Encoder

	ctx  context.Context // of everything the hub starts; ends with Drain
	stop context.CancelFunc
	work sync.WaitGroup // rooms; sockets are counted by the gate

	mu       sync.Mutex
	rooms    map[string]*room
	sockets  map[*socket]struct{}
	draining bool // sockets that passed the gate before it closed are told as they come

	activity activities

	held     heldStore // of old clients
	began    int64     // Unix ms
	registry *Registry
	blurs    *blurs
}

// New makes a hub. Drain ends it.
func New(cfg Config) *Hub {
	cfg.Limits = cfg.Limits.filled()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = func() int64 { return time.Now().UnixMilli() }
	}
	h := &Hub{cfg: cfg, limits: cfg.Limits, log: cfg.Logger, met: newMetrics(cfg.Registerer), rooms: map[string]*room{}, sockets: map[*socket]struct{}{}}
	h.gate = newGate(&h.limits)
	h.encoder = wire.Encoder{Users: cfg.Users}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.began = cfg.Clock()
	h.registry = newRegistry(h)
	h.blurs = newBlurs(h)
	h.work.Go(h.registry.run)
	h.work.Go(h.blurs.run)
	return h
}

// acquire returns the room, watched, and keeps it until release. Its first caller opens it; the others wait for that.
func (h *Hub) acquire(ctx context.Context, id string) (*room, error) {
	h.mu.Lock()
	r := h.rooms[id]
	if r == nil {
		r = newRoom(h, id)
		h.rooms[id] = r
		h.met.rooms.Set(float64(len(h.rooms)))
		h.work.Add(1)
		go r.run()
	}
	r.users++
	h.mu.Unlock()
	select {
	case <-r.ready:
	case <-ctx.Done():
		r.release()
		return nil, ctx.Err()
	}
	if r.err != nil {
		r.release()
		return nil, r.err
	}
	return r, nil
}

// release undoes acquire.
func (r *room) release() {
	r.hub.mu.Lock()
	r.users--
	idle := r.users == 0
	r.hub.mu.Unlock()
	if idle {
		r.wakeUp()
	}
}

// retire takes the room off the hub where nobody uses it (force: in any case) and reports whether it did.
func (h *Hub) retire(r *room, force bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.users > 0 && !force {
		return false
	}
	if h.rooms[r.id] == r {
		delete(h.rooms, r.id)
		h.met.rooms.Set(float64(len(h.rooms)))
	}
	return true
}

func (h *Hub) allSockets() []*socket {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*socket, 0, len(h.sockets))
	for s := range h.sockets {
		list = append(list, s)
	}
	return list
}

// Drain closes all sockets: no new ones, commands that were taken are answered first, then 1001 (parties: 1012). It returns when all
// goroutines of the hub have ended; when ctx ends before, sockets are cut without further ado and ctx's error is returned.
func (h *Hub) Drain(ctx context.Context) error {
	idle := h.gate.close()
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	for _, s := range h.allSockets() {
		s.drain()
	}
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = ctx.Err()
		h.stop()
		for _, s := range h.allSockets() {
			_ = s.conn.Conn.Close()
		}
		<-idle
	}
	h.stop() // rooms that linger
	h.work.Wait()
	return err
}

// CloseUser ends the sockets that a user has here, as not authenticated any more.
func (h *Hub) CloseUser(userID string) {
	for _, s := range h.allSockets() {
		s.mu.Lock()
		p := s.peer
		s.mu.Unlock()
		if p != nil && p.who.UserID == userID {
			s.finish(byeDeletedUser)
		}
	}
}
