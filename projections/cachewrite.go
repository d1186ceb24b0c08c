package projections

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// roomStats is the value of rooms:{roomId}:stats. Times are Unix milliseconds.
type roomStats struct {
	RoomID       string `json:"roomId"`
	Revision     uint64 `json:"revision"`
	Participants int    `json:"participants"`
	CreatedAt    int64  `json:"createdAt"`
	LastActivity int64  `json:"lastActivity"`
}

// roomParticipant is an entry of rooms:{roomId}:participants. It holds no names: entries outlive their forgetting.
type roomParticipant struct {
	UserID   string `json:"userId"`
	Role     string `json:"role"`
	JoinedAt int64  `json:"joinedAt"`
}

// assetMeta is the value of assets:{assetId}:meta.
type assetMeta struct {
	ID          string `json:"id"`
	UserID      string `json:"userId,omitempty"`
	RoomID      string `json:"roomId,omitempty"`
	ContentType string `json:"contentType"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256,omitempty"`
	Width       int    `json:"width,omitempty"`
	Height      int    `json:"height,omitempty"`
	Status      string `json:"status"`
	CreatedAt   int64  `json:"createdAt"`
}

// CanvasKey is the cache key of a room's state hash.
func CanvasKey(room string) string { return "canvas:" + room + ":latest" }

// CanvasTTL is how long it is kept.
const CanvasTTL = canvasTTL

func statsKey(room string) string        { return "rooms:" + room + ":stats" }
func participantsKey(room string) string { return "rooms:" + room + ":participants" }

// write makes the value of a key as it is now, and puts it.
func (c *Caches) write(ctx context.Context, k cacheKey, sum string) error {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	var err error
	switch k.kind {
	case cacheCanvas:
		return c.send(ctx, CanvasKey(k.id), []byte(sum), canvasTTL)
	case cacheStats:
		err = c.writeStats(ctx, k.id)
	case cacheParticipants:
		err = c.writeParticipants(ctx, k.id)
	case cacheAsset:
		err = c.writeAsset(ctx, k.id)
	case cacheGone:
		for _, key := range []string{CanvasKey(k.id), statsKey(k.id), participantsKey(k.id)} {
			if err := c.cfg.KV.Delete(ctx, key); err != nil {
				return fmt.Errorf("delete %s: %w", key, err)
			}
		}
	}
	if errors.Is(err, ErrNotFound) { // gone meanwhile
		return nil
	}
	return err
}

func (c *Caches) send(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	start := time.Now()
	if err := c.cfg.KV.Put(ctx, key, value, ttl); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	c.metrics.writes.Inc()
	c.metrics.seconds.Observe(time.Since(start).Seconds())
	return nil
}

func (c *Caches) sendJSON(ctx context.Context, key string, value any, ttl time.Duration) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	return c.send(ctx, key, b, ttl)
}

func (c *Caches) writeStats(ctx context.Context, room string) error {
	r, err := c.cfg.Queries.RoomByID(ctx, room)
	if err != nil {
		return err
	}
	n, err := c.cfg.Queries.CountParticipants(ctx, room)
	if err != nil {
		return err
	}
	return c.sendJSON(ctx, statsKey(room), roomStats{RoomID: room, Revision: r.Revision, Participants: n, CreatedAt: r.CreatedAt, LastActivity: r.UpdatedAt}, 0)
}

func (c *Caches) writeParticipants(ctx context.Context, room string) error {
	rows, err := c.cfg.Queries.Participants(ctx, room)
	if err != nil {
		return err
	}
	list := make([]roomParticipant, len(rows))
	for i, p := range rows {
		list[i] = roomParticipant{UserID: p.UserID, Role: p.Role, JoinedAt: p.JoinedAt}
	}
	return c.sendJSON(ctx, participantsKey(room), list, 0)
}

func (c *Caches) writeAsset(ctx context.Context, id string) error {
	a, err := c.cfg.Queries.AssetByID(ctx, id)
	if err != nil {
		return err
	}
	return c.sendJSON(ctx, "assets:"+id+":meta", assetMeta{ID: a.ID, UserID: a.UserID, RoomID: a.RoomID, ContentType: a.ContentType, Size: a.Size,
		SHA256: a.SHA256, Width: a.Width, Height: a.Height, Status: a.Status, CreatedAt: a.CreatedAt}, 0)
}

// runActive writes the list of active rooms when it changed or grows old, and everybody's presence every 30 s.
func (c *Caches) runActive(ctx context.Context) {
	t := time.NewTicker(c.cfg.RegistryEvery)
	defer t.Stop()
	var last []byte
	var listed, present time.Time
	for {
		now := c.cfg.Now()
		if list := c.registry(); !bytes.Equal(list, last) || now.Sub(listed) >= registryRefresh {
			if c.tryPut(ctx, registryKey, list, registryTTL) {
				last, listed = list, now
			}
		}
		if now.Sub(present) >= presenceEvery {
			present = now
			c.writePresence(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (c *Caches) registry() []byte {
	rooms := c.cfg.Active.ActiveRooms()
	if rooms == nil {
		rooms = []ActiveRoom{}
	}
	b, err := json.Marshal(rooms)
	if err != nil { // structs of strings and numbers always encode
		return []byte("[]")
	}
	return b
}

// writePresence stops at the first failure: the next bulk is only 30 s away.
func (c *Caches) writePresence(ctx context.Context) {
	for _, p := range c.cfg.Active.Online() {
		b, err := json.Marshal(p)
		if err != nil || !c.tryPut(ctx, "presence:"+p.UserID, b, presenceTTL) {
			return
		}
	}
}

func (c *Caches) tryPut(ctx context.Context, key string, value []byte, ttl time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	err := c.send(ctx, key, value, ttl)
	if err != nil && ctx.Err() == nil {
		c.metrics.failures.Inc()
		c.cfg.Logger.DebugContext(ctx, "cache: write failed", "event", "cache_failed", "error", err)
	}
	return err == nil
}

type cacheMetrics struct {
	writes, failures, dropped, pauses prometheus.Counter
	waiting                           prometheus.Gauge
	seconds                           prometheus.Histogram
}

func newCacheMetrics(r prometheus.Registerer) cacheMetrics {
	name := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "kanvas", Subsystem: "cache", Name: name, Help: help}
	}
	m := cacheMetrics{
		writes:   prometheus.NewCounter(prometheus.CounterOpts(name("writes_total", "Cache entries written."))),
		failures: prometheus.NewCounter(prometheus.CounterOpts(name("write_failures_total", "Cache writes that failed."))),
		dropped:  prometheus.NewCounter(prometheus.CounterOpts(name("dropped_total", "Changes that were not written to the cache because too many waited."))),
		pauses:   prometheus.NewCounter(prometheus.CounterOpts(name("pauses_total", "Pauses because no write to the cache succeeded."))),
		waiting:  prometheus.NewGauge(prometheus.GaugeOpts(name("waiting_keys", "Cache keys that wait to be written."))),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "kanvas", Subsystem: "cache", Name: "write_seconds",
			Help: "Time of a write to the cache.", Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12)}),
	}
	if r != nil {
		r.MustRegister(m.writes, m.failures, m.dropped, m.pauses, m.waiting, m.seconds)
	}
	return m
}
