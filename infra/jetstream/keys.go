package jetstream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/infinite-kanvas/kanvas/commands"
)

const (
	keysBucket  = "KANVAS_KEYS"
	keysStream  = "KV_" + keysBucket
	metaKeyID   = "kanvas-master-key" // which master key the bucket was last opened with
	keysCached  = 4096                // people
	keysTrusted = time.Minute         // how long a cached key is believed where another node may destroy it
)

var _ commands.Keys = (*Keys)(nil)

// Keys holds the keys of people in a JetStream KV bucket in files, as durable as the log. Safe for concurrent use.
// On one node a destroyed key is gone for everybody when Destroy returns; other nodes that follow (FollowDestroyed) drop it as they hear of it, and
// in any case after a minute.
type Keys struct {
	s       *Store
	kv      jetstream.KeyValue
	stream  jetstream.Stream
	masters masterKeys
	cache   *keyCache
	gone    destroyedHooks
}

// OpenKeys makes or finds the bucket. Keys are made under master; those wrapped under one of old can still be read.
// It fails where the bucket was used with a master key that is neither: a lost key file must be restored, not replaced.
// OpenKeysOf takes them from files.
func (s *Store) OpenKeys(ctx context.Context, master MasterKey, old ...MasterKey) (*Keys, error) {
	k := &Keys{s: s}
	k.masters.use(master, old...)
	trusted := time.Duration(0) // for ever
	if s.ns == nil {
		trusted = keysTrusted
	}
	k.cache = newKeyCache(keysCached, trusted)
	if err := k.open(ctx); err != nil {
		return nil, fmt.Errorf("jetstream: keys: %w", err)
	}
	return k, nil
}

func (k *Keys) open(ctx context.Context) error {
	st, err := k.s.js.Stream(ctx, keysStream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
	case err != nil:
		return err
	default:
		was := st.CachedInfo().Config.Metadata[metaKeyID]
		if was != "" && !k.masters.has(was) {
			return fmt.Errorf("people's keys are wrapped under master key %s, the one given is %s: restore the right key file", was, k.masters.newest().ID())
		}
	}
	if err := k.stamp(ctx); err != nil {
		return err
	}
	k.kv, err = k.s.js.KeyValue(ctx, keysBucket)
	return err
}

// stamp makes the bucket where there is none, and notes in it the master key that is used now.
func (k *Keys) stamp(ctx context.Context) (err error) {
	// Two values are kept a key, so that Destroy can overwrite the wrapped key's bytes after the tombstone is stored.
	// No direct get: a follower that is behind must not answer.
	k.stream, err = k.s.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: keysStream, Description: "Kanvas: keys of people, wrapped", Subjects: []string{keySubject(">")},
		Storage: jetstream.FileStorage, Replicas: k.s.cfg.Replicas, Discard: jetstream.DiscardNew,
		MaxMsgsPerSubject: 2, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: 4096, MaxConsumers: -1, AllowRollup: true, DenyPurge: false,
		Metadata: map[string]string{metaKeyID: k.masters.newest().ID()},
	})
	return err
}

func keySubject(key string) string { return "$KV." + keysBucket + "." + key }

// Key implements commands.Keys. Nodes that make a person's key at the same time agree on one.
func (k *Keys) Key(ctx context.Context, person string, create bool) ([]byte, bool, error) {
	if key, ok, known := k.cache.get(person); known {
		return slices.Clone(key), ok, nil
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	generation := k.cache.generation()
	key, ok, err := k.load(ctx, person)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		if !create {
			return nil, false, nil
		}
		key, ok, err = k.create(ctx, person)
	}
	if err != nil {
		return nil, false, fmt.Errorf("key of %q: %w", person, err)
	}
	k.cache.put(person, key, ok, generation)
	return slices.Clone(key), ok, nil
}

// load reads the stored key; ErrKeyNotFound where there never was one, ok false where it was destroyed.
func (k *Keys) load(ctx context.Context, person string) (key []byte, ok bool, err error) {
	escaped, err := escapeKey(person)
	if err != nil {
		return nil, false, err
	}
	e, err := k.kv.Get(ctx, escaped)
	if err != nil {
		return nil, false, err
	}
	return k.masters.unwrap(person, e.Value())
}

// create stores a new key unless there is one, and reads what is there then.
func (k *Keys) create(ctx context.Context, person string) ([]byte, bool, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, false, err
	}
	if err := k.put(ctx, person, key); err != nil && !errors.Is(err, commands.ErrSequence) {
		return nil, false, err
	}
	return k.load(ctx, person)
}

// put stores a key for somebody who never had one; ErrSequence where they have, or had.
func (k *Keys) put(ctx context.Context, person string, key []byte) error {
	value, err := wrap(k.masters.newest(), person, key)
	if err != nil {
		return err
	}
	_, err = k.store(ctx, person, value, 0)
	return err
}

// store puts value as the person's next one after revision; ErrSequence where there is another.
func (k *Keys) store(ctx context.Context, person string, value []byte, revision uint64) (uint64, error) {
	escaped, err := escapeKey(person)
	if err != nil {
		return 0, err
	}
	ack, err := k.s.js.PublishMsg(ctx, &nats.Msg{Subject: keySubject(escaped), Data: value, Header: nats.Header{}},
		jetstream.WithExpectLastSequencePerSubject(revision))
	var api *jetstream.APIError
	if errors.As(err, &api) && ackError(int(api.ErrorCode), "") == commands.ErrSequence {
		return 0, commands.ErrSequence
	}
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// Destroy makes the person's key unreadable for ever: a tombstone takes its place, then the wrapped key's bytes are
// overwritten on disk. It is also for people who have no key, and may be repeated.
func (k *Keys) Destroy(ctx context.Context, person string) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	if err := k.destroy(ctx, person); err != nil {
		return fmt.Errorf("destroying the key of %q: %w", person, err)
	}
	k.gone.tell(person)
	return nil
}

func (k *Keys) destroy(ctx context.Context, person string) error {
	escaped, err := escapeKey(person)
	if err != nil {
		return err
	}
	tombstone, err := json.Marshal(wrapped{V: 1, Destroyed: true})
	if err != nil {
		return err
	}
	for {
		var revision uint64
		switch e, err := k.kv.Get(ctx, escaped); {
		case errors.Is(err, jetstream.ErrKeyNotFound):
		case err != nil:
			return err
		case slices.Equal(e.Value(), tombstone):
			k.cache.destroy(person)
			return k.erase(ctx, escaped, e.Revision())
		default:
			revision = e.Revision()
		}
		// Somebody may be making the key just now: then look again.
		if _, err := k.store(ctx, person, tombstone, revision); err != nil && !errors.Is(err, commands.ErrSequence) {
			return err
		}
	}
}

// erase overwrites the person's values before the tombstone. A crash before it is made good by repeating Destroy.
func (k *Keys) erase(ctx context.Context, escaped string, tombstone uint64) error {
	for from := uint64(1); ; {
		msg, err := k.stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(keySubject(escaped)))
		if errors.Is(err, jetstream.ErrMsgNotFound) || (err == nil && msg.Sequence >= tombstone) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := k.stream.SecureDeleteMsg(ctx, msg.Sequence); err != nil {
			return err
		}
		from = msg.Sequence + 1
	}
}

// Destroyed yields the people whose keys were destroyed, sorted: the list that a restore applies again.
func (k *Keys) Destroyed(ctx context.Context, yield func(person string) bool) error {
	gone := map[string]bool{}
	err := k.each(ctx, func(person string, stored []byte) {
		var v wrapped
		gone[person] = json.Unmarshal(stored, &v) == nil && v.Destroyed
	})
	if err != nil {
		return err
	}
	for _, person := range slices.Sorted(maps.Keys(gone)) {
		if gone[person] && !yield(person) {
			return nil
		}
	}
	return nil
}
