package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/commands"
)

const (
	cacheBucket   = "KANVAS_CACHE"
	cacheMaxBytes = 128 << 20 // the oldest entries go first
	cacheMaxValue = 8 << 20   // bytes
	putsAtOnce    = 8
)

var _ commands.KV = (*KV)(nil)

// KV is the cache: a JetStream KV bucket in memory, readable with the nats tool. It is empty after a restart of the server,
// and made again by the first call that misses it. Safe for concurrent use.
type KV struct {
	s  *Store
	kv jetstream.KeyValue
}

// OpenKV makes or finds the cache.
func (s *Store) OpenKV(ctx context.Context) (*KV, error) {
	k := &KV{s: s}
	if err := k.ensure(ctx); err != nil {
		return nil, err
	}
	kv, err := s.js.KeyValue(ctx, cacheBucket)
	if err != nil {
		return nil, fmt.Errorf("jetstream: cache: %w", err)
	}
	k.kv = kv
	return k, nil
}

// ensure makes the bucket's stream. It is not made by CreateKeyValue, whose buckets refuse new entries when they are full;
// a TTL on any put needs AllowMsgTTL and SubjectDeleteMarkerTTL.
func (k *KV) ensure(ctx context.Context) error {
	_, err := k.s.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "KV_" + cacheBucket, Description: "Kanvas: cache", Subjects: []string{cacheSubject(">")},
		Storage: jetstream.MemoryStorage, Replicas: 1, Discard: jetstream.DiscardOld,
		MaxMsgsPerSubject: 1, MaxBytes: cacheMaxBytes, MaxMsgSize: cacheMaxValue, MaxMsgs: -1, MaxConsumers: -1,
		AllowDirect: true, AllowRollup: true, AllowMsgTTL: true, SubjectDeleteMarkerTTL: time.Second,
	})
	if err != nil {
		return fmt.Errorf("jetstream: cache: %w", err)
	}
	return nil
}

func cacheSubject(key string) string { return "$KV." + cacheBucket + "." + key }

// do runs op, and once more after making the bucket where the server has lost it.
func (k *KV) do(ctx context.Context, name, key string, op func(ctx context.Context, escaped string) error) error {
	start := time.Now()
	defer func() { k.s.metrics.kv.WithLabelValues(name).Observe(time.Since(start).Seconds()) }()
	escaped, err := escapeKey(key)
	if err != nil {
		return fmt.Errorf("cache %s: %w", name, err)
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	err = op(ctx, escaped)
	if bucketGone(err) {
		if err := k.ensure(ctx); err != nil {
			return err
		}
		err = op(ctx, escaped)
	}
	if err != nil {
		return fmt.Errorf("cache %s of %q: %w", name, key, err)
	}
	return nil
}

func bucketGone(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) ||
		errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrBucketNotFound)
}

// Put implements commands.KV. The TTL counts from this put; an overwrite without one has none.
func (k *KV) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if ttl != 0 && ttl < time.Second {
		return fmt.Errorf("cache put of %q: a TTL of %s is under a second", key, ttl)
	}
	return k.do(ctx, "put", key, func(ctx context.Context, escaped string) error {
		msg := &nats.Msg{Subject: cacheSubject(escaped), Data: value}
		var opts []jetstream.PublishOpt
		if ttl > 0 {
			msg.Header = nats.Header{}
			opts = append(opts, jetstream.WithMsgTTL(ttl.Round(time.Second)))
		}
		_, err := k.s.js.PublishMsg(ctx, msg, opts...)
		return err
	})
}

// PutMany implements commands.KV: one by one, a few at the same time.
func (k *KV) PutMany(ctx context.Context, entries []commands.Entry) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(putsAtOnce)
	for _, e := range entries {
		g.Go(func() error { return k.Put(ctx, e.Key, e.Value, e.TTL) })
	}
	return g.Wait()
}

// Get implements commands.KV.
func (k *KV) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	err = k.do(ctx, "get", key, func(ctx context.Context, escaped string) error {
		e, err := k.kv.Get(ctx, escaped)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		value, ok = e.Value(), true
		return nil
	})
	result := "miss"
	switch {
	case err != nil:
		result = "error"
	case ok:
		result = "hit"
	}
	k.s.metrics.kvGets.WithLabelValues(result).Inc()
	return value, ok, err
}

// Delete implements commands.KV.
func (k *KV) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		err := k.do(ctx, "delete", key, func(ctx context.Context, escaped string) error {
			return k.kv.Purge(ctx, escaped, jetstream.PurgeTTL(time.Second))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// List implements commands.KV: the keys of the moment, sorted. Memory: all keys of the cache.
func (k *KV) List(ctx context.Context, prefix string, yield func(key string) bool) error {
	start := time.Now()
	defer func() { k.s.metrics.kv.WithLabelValues("list").Observe(time.Since(start).Seconds()) }()
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	keys, err := k.keys(ctx, prefix)
	if bucketGone(err) {
		return k.ensure(ctx) // lost, so empty
	}
	if err != nil {
		return fmt.Errorf("cache list of %q: %w", prefix, err)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if !yield(key) {
			return nil
		}
	}
	return nil
}

func (k *KV) keys(ctx context.Context, prefix string) ([]string, error) {
	lister, err := k.kv.ListKeys(ctx)
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var keys []string
	for escaped := range lister.Keys() {
		if key, ok := unescapeKey(escaped); ok && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys, ctx.Err() // the channel also ends with ctx
}
