package watermill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/infinite-kanvas/kanvas/events"
)

const (
	parkedBucket  = "KANVAS_PARKED"
	poisonStream  = "KANVAS_POISON"
	poisonMaxAge  = 90 * 24 * time.Hour
	poisonMaxSize = 256 << 20 // bytes; the oldest go first, the log has them all
	poisonMaxBody = 1 << 20   // bytes; of larger records only the headers are kept
	maxReason     = 2048      // bytes
	storeTimeout  = 10 * time.Second
)

// Parked is a stream that a handler does not follow any more, since the record at Seq failed.
type Parked struct {
	Handler   string        `json:"handler"`
	Stream    events.Stream `json:"stream"`
	Partition int           `json:"partition"`
	Seq       uint64        `json:"seq"`
	Reason    string        `json:"reason"`
	At        time.Time     `json:"at"`
}

// parkedSet is kept in a JetStream KV bucket in files and, whole, in memory. Safe for concurrent use.
type parkedSet struct {
	js jetstream.JetStream
	kv jetstream.KeyValue
	mu sync.RWMutex
	m  map[string]Parked
}

// parkedKey is handler/kind/id; ":" can't be in a KV key and "=" is not in ids.
func parkedKey(handler string, s events.Stream) string {
	return handler + "/" + string(s.Kind) + "/" + strings.ReplaceAll(s.ID, ":", "=")
}

func openParked(ctx context.Context, js jetstream.JetStream, replicas int) (*parkedSet, error) {
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: parkedBucket, Description: "Kanvas: streams that handlers gave up on",
		Storage: jetstream.FileStorage, Replicas: replicas, History: 1})
	if err != nil {
		return nil, fmt.Errorf("handlers: bucket %s: %w", parkedBucket, err)
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: poisonStream, Description: "Kanvas: records that handlers gave up on",
		Subjects: []string{"poison.>"}, Storage: jetstream.FileStorage, Replicas: replicas, Discard: jetstream.DiscardOld,
		MaxAge: poisonMaxAge, MaxBytes: poisonMaxSize, Duplicates: time.Hour})
	if err != nil {
		return nil, fmt.Errorf("handlers: stream %s: %w", poisonStream, err)
	}
	p := &parkedSet{js: js, kv: kv, m: map[string]Parked{}}
	return p, p.load(ctx)
}

func (p *parkedSet) load(ctx context.Context) error {
	w, err := p.kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("handlers: parked streams: %w", err)
	}
	var bad error
	for e := range w.Updates() {
		if e == nil {
			break // that was all
		}
		var v Parked
		if err := json.Unmarshal(e.Value(), &v); err != nil {
			bad = errors.Join(bad, fmt.Errorf("handlers: parked entry %s: %w", e.Key(), err))
			continue
		}
		p.m[e.Key()] = v
	}
	return errors.Join(bad, w.Stop(), ctx.Err())
}

func (p *parkedSet) get(handler string, s events.Stream) (Parked, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if len(p.m) == 0 {
		return Parked{}, false // as always, nearly
	}
	v, ok := p.m[parkedKey(handler, s)]
	return v, ok
}

func (p *parkedSet) list() []Parked {
	p.mu.RLock()
	defer p.mu.RUnlock()
	all := make([]Parked, 0, len(p.m))
	for _, v := range p.m {
		all = append(all, v)
	}
	return all
}

// put stores the entry, durably.
func (p *parkedSet) put(ctx context.Context, v Parked) error {
	if len(v.Reason) > maxReason {
		v.Reason = strings.ToValidUTF8(v.Reason[:maxReason], "")
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	key := parkedKey(v.Handler, v.Stream)
	if _, err := p.kv.Put(ctx, key, b); err != nil {
		return fmt.Errorf("parking %s for %s: %w", v.Stream, v.Handler, err)
	}
	p.mu.Lock()
	p.m[key] = v
	p.mu.Unlock()
	return nil
}

func (p *parkedSet) remove(ctx context.Context, handler string, s events.Stream) error {
	key := parkedKey(handler, s)
	if err := p.kv.Purge(ctx, key); err != nil {
		return fmt.Errorf("releasing %s for %s: %w", s, handler, err)
	}
	p.mu.Lock()
	delete(p.m, key)
	p.mu.Unlock()
	return nil
}

// poison stores the record that failed with its reason: poison.{handler}.{partition}.{kind}.{id}. Storing it again within an
// hour (because parking failed half-way) makes no second copy.
func (p *parkedSet) poison(ctx context.Context, v Parked, payload []byte) error {
	reason := strings.Map(func(r rune) rune { // a header value is one line
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, v.Reason)
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "")
	}
	part, seq := strconv.Itoa(v.Partition), strconv.FormatUint(v.Seq, 10)
	msg := &nats.Msg{Subject: "poison." + v.Handler + "." + part + "." + string(v.Stream.Kind) + "." + v.Stream.ID, Data: payload, Header: nats.Header{
		"Kanvas-Handler": {v.Handler}, "Kanvas-Sequence": {seq}, "Kanvas-Reason": {reason},
	}}
	if len(payload) > poisonMaxBody { // the log has it, and there must be room for the headers
		msg.Data = nil
		msg.Header.Set("Kanvas-Left-Out", strconv.Itoa(len(payload)))
	}
	if _, err := p.js.PublishMsg(ctx, msg, jetstream.WithMsgID(v.Handler+"-"+part+"-"+seq)); err != nil {
		return fmt.Errorf("keeping the poison record %d of %s: %w", v.Seq, v.Stream, err)
	}
	return nil
}
