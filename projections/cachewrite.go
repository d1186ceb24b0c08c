package projections

import (
	"bytes"
	"context"
	"encoding/json"
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

// entry makes the entry of a key as it is now.
func (c *Caches) entry(ctx context.Context, k cacheKey, sum string) (Entry, error) {
	switch k.kind {
	case cacheStats:
		return c.stats(ctx, k.id)
	case cacheParticipants:
		return c.participants(ctx, k.id)
	case cacheAsset:
		return c.asset(ctx, k.id)
	}
	return Entry{Key: CanvasKey(k.id), Value: []byte(sum), TTL: canvasTTL}, nil
}

func entryOf(key string, value any, ttl time.Duration) (Entry, error) {
	b, err := json.Marshal(value)
	if err != nil {
		return Entry{}, fmt.Errorf("encode %s: %w", key, err)
	}
	return Entry{Key: key, Value: b, TTL: ttl}, nil
}

func (c *Caches) stats(ctx context.Context, room string) (Entry, error) {
	r, err := c.cfg.Queries.RoomByID(ctx, room)
	if err != nil {
		return Entry{}, err
	}
	n, err := c.cfg.Queries.CountParticipants(ctx, room)
	if err != nil {
		return Entry{}, err
	}
	return entryOf(statsKey(room), roomStats{RoomID: room, Revision: r.Revision, Participants: n, CreatedAt: r.CreatedAt, LastActivity: r.UpdatedAt}, 0)
}

func (c *Caches) participants(ctx context.Context, room string) (Entry, error) {
	rows, err := c.cfg.Queries.Participants(ctx, room)
	if err != nil {
		return Entry{}, err
	}
	list := make([]roomParticipant, len(rows))
	for i, p := range rows {
		list[i] = roomParticipant{UserID: p.UserID, Role: p.Role, JoinedAt: p.JoinedAt}
	}
	return entryOf(participantsKey(room), list, 0)
}

func (c *Caches) asset(ctx context.Context, id string) (Entry, error) {
	a, err := c.cfg.Queries.AssetByID(ctx, id)
	if err != nil {
		return Entry{}, err
	}
	return entryOf("assets:"+id+":meta", assetMeta{ID: a.ID, UserID: a.UserID, RoomID: a.RoomID, ContentType: a.ContentType, Size: a.Size,
		SHA256: a.SHA256, Width: a.Width, Height: a.Height, Status: a.Status, CreatedAt: a.CreatedAt}, 0)
}

// send puts entries in one call.
func (c *Caches) send(ctx context.Context, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	start := time.Now()
	if err := c.cfg.KV.PutMany(ctx, entries); err != nil {
		return fmt.Errorf("put %d entries: %w", len(entries), err)
	}
	c.metrics.writes.Add(float64(len(entries)))
	c.metrics.batch.Observe(float64(len(entries)))
	c.metrics.seconds.Observe(time.Since(start).Seconds())
	return nil
}

func (c *Caches) delete(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	if err := c.cfg.KV.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("delete %d entries: %w", len(keys), err)
	}
	return nil
}

// runActive writes the list of active rooms when it changed or grows old, and everybody's presence every 30 s.
func (c *Caches) runActive(ctx context.Context) {
	t := time.NewTicker(c.cfg.RegistryEvery)
	defer t.Stop()
	var last []byte
	var listed, present time.Time
	for {
		now := c.cfg.Now()
		switch list, ok := c.registry(ctx); {
		case !ok:
			last = nil // once it is this node's turn it writes at once
		case !bytes.Equal(list, last) || now.Sub(listed) >= registryRefresh:
			if c.trySend(ctx, []Entry{{Key: registryKey, Value: list, TTL: registryTTL}}) {
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

// writePresence writes everybody's at once. What fails is left: the next is only 30 s away.
func (c *Caches) writePresence(ctx context.Context) {
	online := c.cfg.Active.Online()
	entries := make([]Entry, 0, len(online))
	for _, p := range online {
		e, err := entryOf("presence:"+p.UserID, p, presenceTTL)
		if err != nil {
			c.failed(ctx, err)
			continue
		}
		entries = append(entries, e)
	}
	for len(entries) > 0 {
		n := min(len(entries), roundKeys)
		if !c.trySend(ctx, entries[:n]) {
			return
		}
		entries = entries[n:]
	}
}

func (c *Caches) trySend(ctx context.Context, entries []Entry) bool {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	err := c.send(ctx, entries)
	if err != nil {
		c.failed(ctx, err)
	}
	return err == nil
}

type cacheMetrics struct {
	writes, failures, dropped, pauses prometheus.Counter
	waiting                           prometheus.Gauge
	seconds, batch                    prometheus.Histogram
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
			Help: "Time of a call that writes to the cache.", Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12)}),
	}
	m.batch = prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "kanvas", Subsystem: "cache", Name: "batch_entries",
		Help: "Entries written by a call.", Buckets: prometheus.ExponentialBuckets(1, 4, 6)})
	if r != nil {
		r.MustRegister(m.writes, m.failures, m.dropped, m.pauses, m.waiting, m.seconds, m.batch)
	}
	return m
}
