package projections

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/events"
)

// Keys and times of the cache, as in the guide. Keys without a TTL are replaced when their room or asset changes.
const (
	registryKey = "rooms:registry"
	registryTTL = 300 * time.Second
	canvasTTL   = 300 * time.Second
	presenceTTL = 60 * time.Second

	registryRefresh = registryTTL / 2 // written again even if nothing changed
	presenceEvery   = 30 * time.Second

	keyEvery     = time.Second      // at most one write of a key in this time
	statsEvery   = 5 * time.Second  // of statistics, which nobody waits for
	putTimeout   = 60 * time.Second // of a round: a few calls, where the cache is elsewhere
	roundKeys    = 1000             // written at once
	failurePause = 10 * time.Second // after a round in which no write succeeded
)

// DefaultCacheKeys is how many keys may wait to be written; what changes beyond it is not written, and counted. About 200 bytes each.
const DefaultCacheKeys = 10_000

// ActiveRoom is an entry of the list of active public rooms, as old clients know it. Times are Unix milliseconds.
type ActiveRoom struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	IsPublic     bool   `json:"isPublic"`
	CreatedAt    int64  `json:"createdAt"`
	LastActivity int64  `json:"lastActivity"`
	UserCount    int    `json:"userCount"`
	CreatorName  string `json:"creatorName,omitempty"`
}

// Presence says where a person is. LastSeen is Unix milliseconds.
type Presence struct {
	UserID   string `json:"userId"`
	RoomID   string `json:"roomId"`
	LastSeen int64  `json:"lastSeen"`
}

// Active is what the realtime layer knows and no log holds. Methods must not block, and may be called concurrently.
type Active interface {
	// ActiveRooms returns the public rooms that are on the list, in a stable order.
	ActiveRooms() []ActiveRoom
	// Online returns everybody with a socket here, once.
	Online() []Presence
	// RoomChanged hears that a room was made, deleted, or changed in what the list shows, once the tables say so. It may hear of it again.
	RoomChanged(room string)
	// PictureReady hears that the smaller pictures of an asset were made, once the tables say so. It may hear of it again.
	PictureReady(asset string)
}

// CacheConfig of Caches. KV and Queries are needed.
type CacheConfig struct {
	KV         KV
	Queries    Queries
	Active     Active // nil: no list of rooms, no presence
	Peers      Peers  // nil: this node alone writes to KV
	Keys       int    // see DefaultCacheKeys
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	Now        func() time.Time
	// Gather is how long at least from one round of writes to the next: more go in one call. 0: what is due is written at once.
	Gather time.Duration
	// RegistryEvery is how often the list of active rooms is looked at: 5 s by default, at least 1 s.
	RegistryEvery time.Duration
}

// Caches writes cache entries for what projectors applied. It never blocks them: what is due is only marked, a value is made when it is
// written, so the newest wins. Failures are counted, and the key is tried again later while there is room. Safe for concurrent use.
type Caches struct {
	cfg     CacheConfig
	metrics cacheMetrics
	wake    chan struct{} // capacity 1

	mu    sync.Mutex
	due   map[cacheKey]string    // value: the sum for canvases; "" else
	stand stand                  // of a node that lets another one write
	wrote map[cacheKey]time.Time // when a key was last tried; forgotten once older than its interval
}

// cacheKind is what an entry is about.
type cacheKind int

const (
	cacheCanvas cacheKind = iota
	cacheStats
	cacheParticipants
	cacheAsset
	cacheGone // not an entry: all entries of a deleted room are to go
)

type cacheKey struct {
	kind cacheKind
	id   string
}

func (k cacheKey) every() time.Duration {
	if k.kind == cacheStats {
		return statsEvery
	}
	return keyEvery
}

// NewCaches makes Caches; Run writes.
func NewCaches(cfg CacheConfig) *Caches {
	if cfg.Keys <= 0 {
		cfg.Keys = DefaultCacheKeys
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.RegistryEvery == 0 {
		cfg.RegistryEvery = 5 * time.Second
	}
	cfg.RegistryEvery = max(cfg.RegistryEvery, keyEvery)
	c := &Caches{cfg: cfg, metrics: newCacheMetrics(cfg.Registerer), wake: make(chan struct{}, 1), due: map[cacheKey]string{}, wrote: map[cacheKey]time.Time{}}
	c.stand = stand{by: cfg.Peers != nil && cfg.Active != nil, marks: map[cacheKey]keptMark{}}
	return c
}

// applied marks what a batch changed.
func (c *Caches) applied(batch []*change) {
	if len(batch) == 0 {
		return
	}
	c.mu.Lock()
	for _, ch := range batch {
		c.mark(ch)
	}
	c.mu.Unlock()
	c.poke()
	c.tellActive(batch)
}

// tellActive passes on what the realtime layer shows.
func (c *Caches) tellActive(batch []*change) {
	if c.cfg.Active == nil {
		return
	}
	for _, ch := range batch {
		for i := range ch.facts {
			switch ch.facts[i].event.Type {
			case events.RoomCreated, events.RoomUpdated, events.RoomDeleted:
				c.cfg.Active.RoomChanged(ch.stream.ID)
			case events.AssetProcessed:
				c.cfg.Active.PictureReady(ch.stream.ID)
			}
		}
	}
}

func (c *Caches) mark(ch *change) {
	put := c.put
	if c.stand.by {
		put = c.keep
	}
	id := ch.stream.ID
	switch ch.stream.Kind {
	case events.KindAsset:
		put(cacheKey{cacheAsset, id}, "")
	case events.KindRoom:
		put(cacheKey{cacheCanvas, id}, ch.commit.Sum)
		put(cacheKey{cacheStats, id}, "")
		for i := range ch.facts {
			switch ch.facts[i].event.Type {
			case events.RoomCreated, events.ParticipantJoined, events.ParticipantRoleChanged, events.ParticipantRemoved:
				put(cacheKey{cacheParticipants, id}, "")
			case events.RoomDeleted:
				for _, kind := range []cacheKind{cacheCanvas, cacheStats, cacheParticipants} {
					delete(c.due, cacheKey{kind, id})
					delete(c.stand.marks, cacheKey{kind, id})
				}
				put(cacheKey{cacheGone, id}, "")
			}
		}
	}
}

// PutCanvas has a room's entry written with a hash that a client gave, which this node alone knows of. It reports false where too many entries wait
// already.
func (c *Caches) PutCanvas(room, hash string) bool {
	c.mu.Lock()
	ok := c.put(cacheKey{cacheCanvas, room}, hash)
	c.mu.Unlock()
	c.poke()
	return ok
}

// put marks one key, with mu held; false where there is no room for it.
func (c *Caches) put(k cacheKey, value string) bool {
	if _, ok := c.due[k]; !ok && len(c.due) >= c.cfg.Keys {
		c.metrics.dropped.Inc()
		return false
	}
	c.due[k] = value
	return true
}

func (c *Caches) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends. What is marked then is not written any more: caches may lack anything.
func (c *Caches) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { c.runKeys(ctx); return nil })
	if c.cfg.Active != nil {
		g.Go(func() error { c.runActive(ctx); return nil })
	}
	return g.Wait()
}

// runKeys writes due keys in rounds.
func (c *Caches) runKeys(ctx context.Context) {
	for ctx.Err() == nil {
		ready, next := c.take()
		if len(ready) == 0 {
			c.sleep(ctx, next)
			continue
		}
		if ok := c.round(ctx, ready); !ok {
			c.metrics.pauses.Inc()
			pause(ctx, failurePause)
		} else if c.cfg.Gather > 0 {
			pause(ctx, c.cfg.Gather)
		}
	}
}

// take removes the keys that may be written now, at most a round of them; next is when another may be, 0: none is due.
func (c *Caches) take() (ready map[cacheKey]string, next time.Duration) {
	now := c.cfg.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, at := range c.wrote {
		if now.Sub(at) >= k.every() {
			delete(c.wrote, k)
		}
	}
	ready = map[cacheKey]string{}
	for k, v := range c.due {
		at, ok := c.wrote[k]
		if wait := k.every() - now.Sub(at); ok && wait > 0 {
			if next == 0 || wait < next {
				next = wait
			}
			continue
		}
		if len(ready) == roundKeys {
			break
		}
		ready[k] = v
		delete(c.due, k)
		c.wrote[k] = now
	}
	c.metrics.waiting.Set(float64(len(c.due)))
	return ready, next
}

func (c *Caches) sleep(ctx context.Context, d time.Duration) {
	var timer <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-c.wake:
	case <-timer:
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// round writes keys. ok is false where it wrote none of them.
func (c *Caches) round(ctx context.Context, ready map[cacheKey]string) (ok bool) {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	var entries []Entry
	var gone []string
	made := map[cacheKey]string{} // what the calls below write
	for k, v := range ready {
		if k.kind == cacheGone {
			gone = append(gone, CanvasKey(k.id), statsKey(k.id), participantsKey(k.id))
			made[k] = v
			continue
		}
		e, err := c.entry(ctx, k, v)
		switch {
		case errors.Is(err, ErrNotFound): // gone meanwhile
			ok = true
		case err != nil:
			c.failed(ctx, err)
			c.again(k, v)
		default:
			entries = append(entries, e)
			made[k] = v
		}
	}
	if len(made) == 0 {
		return ok || ctx.Err() != nil
	}
	err := c.delete(ctx, gone)
	if err == nil {
		err = c.send(ctx, entries)
	}
	if err == nil {
		return true
	}
	c.failed(ctx, err)
	for k, v := range made {
		c.again(k, v)
	}
	return ok || errors.Is(ctx.Err(), context.Canceled)
}

// failed counts an error, unless it is the end of ctx.
func (c *Caches) failed(ctx context.Context, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	c.metrics.failures.Inc()
	c.cfg.Logger.DebugContext(ctx, "cache: write failed", "event", "cache_failed", "error", err)
}

// again marks a key that could not be written, unless something newer is due.
func (c *Caches) again(k cacheKey, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.due[k]; !ok {
		c.put(k, value)
	}
}
