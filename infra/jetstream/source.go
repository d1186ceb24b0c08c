package jetstream

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/infinite-kanvas/kanvas/events"
)

// lookEvery is how long Next trusts that it would have been told of news.
const lookEvery = time.Second

// head is what this process knows of a partition's last sequence, and who waits for more. Safe for concurrent use.
type head struct {
	mu     sync.Mutex
	seq    uint64
	news   chan struct{} // closed and replaced at news
	closed bool
}

func newHead() *head { return &head{news: make(chan struct{})} }

// advance notes a stored commit.
func (h *head) advance(seq uint64) {
	h.mu.Lock()
	if seq > h.seq {
		h.seq = seq
		h.wakeLocked()
	}
	h.mu.Unlock()
}

// wake makes everybody look who waits.
func (h *head) wake() {
	h.mu.Lock()
	h.wakeLocked()
	h.mu.Unlock()
}

func (h *head) wakeLocked() {
	if !h.closed {
		close(h.news)
		h.news = make(chan struct{})
	}
}

// close leaves news closed: Next looks, and fails.
func (h *head) close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.news)
	}
	h.mu.Unlock()
}

func (h *head) get() (seq uint64, news <-chan struct{}, closed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seq, h.news, h.closed
}

func (s *Store) loadHeads(ctx context.Context) error {
	for p, h := range s.heads {
		_, last, err := s.Bounds(ctx, p)
		if err != nil {
			return err
		}
		h.advance(last)
	}
	return nil
}

// subscribeWakes listens for commits of other processes. With the embedded server there are none: Append says it all.
func (s *Store) subscribeWakes() error {
	for p, h := range s.heads {
		sub, err := s.live.Subscribe(livePrefix+strconv.Itoa(p)+".>", func(msg *nats.Msg) {
			h.advance(headerNumber(msg, "Nats-Sequence"))
		})
		if err != nil {
			return fmt.Errorf("jetstream: subscription to partition %d: %w", p, err)
		}
		s.wakes = append(s.wakes, sub)
	}
	return nil
}

// Bounds implements projections.Source.
func (s *Store) Bounds(ctx context.Context, partition int) (first, last uint64, err error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	info, err := s.streamInfo(ctx, partition)
	if err != nil {
		return 0, 0, err
	}
	if info == nil {
		return 0, 0, fmt.Errorf("jetstream: no stream %s", StreamName(partition))
	}
	if info.State.Msgs == 0 {
		return 0, 0, nil
	}
	return info.State.FirstSeq, info.State.LastSeq, nil
}

// Next implements projections.Source. On a replicated external log it may be behind the leader for a moment.
func (s *Store) Next(ctx context.Context, partition int, after uint64, limit, maxBytes int) ([]events.Record, error) {
	if partition < 0 || partition >= len(s.heads) || limit < 1 {
		return nil, fmt.Errorf("jetstream: no partition %d, or limit %d < 1", partition, limit)
	}
	look := time.NewTimer(lookEvery)
	defer look.Stop()
	h := s.heads[partition]
	seq, news, _ := h.get()
	for ready := seq > after; ; ready = true {
		if ready {
			recs, err := s.next(ctx, partition, after, limit, maxBytes)
			if err != nil || len(recs) > 0 {
				return recs, err
			}
		}
		select {
		case <-news:
		case <-look.C:
			look.Reset(lookEvery)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		var closed bool
		if _, news, closed = h.get(); closed {
			return nil, fmt.Errorf("jetstream: %w", nats.ErrConnectionClosed)
		}
	}
}

func (s *Store) next(ctx context.Context, p int, after uint64, limit, maxBytes int) ([]events.Record, error) {
	if recs := s.tails[p].after(after, limit, maxBytes); recs != nil {
		return recs, nil
	}
	bctx, cancel := withDeadline(ctx)
	defer cancel()
	recs, _, err := s.batch(bctx, p, "", after+1, limit, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("next of partition %d after %d: %w", p, after, err)
	}
	if n := len(recs); n > 0 {
		s.heads[p].advance(recs[n-1].Seq)
	}
	return recs, nil
}
