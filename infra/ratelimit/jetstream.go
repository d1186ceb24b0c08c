package ratelimit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/infinite-kanvas/kanvas/commands"
)

const (
	ratesStream    = "KANVAS_RATES"    // in memory; the oldest counts go first where it is full
	spendingStream = "KANVAS_SPENDING" // in files; refuses new counts where it is full
	ratesBytes     = 32 << 20
	spendingBytes  = 256 << 20
	lastKept       = 20_000 // keys whose newest counts a node remembers
)

// JetStream error codes of a stream that has moved on, as the log knows them.
const (
	codeWrongLastSeq         = 10071
	codeWrongLastSeqConstant = 10164
	codeLastSeqNotReady      = 10163
)

var _ commands.Limiter = (*JetStream)(nil)

// JetStream counts in streams beside the log, for all nodes together. Safe for concurrent use.
type JetStream struct {
	js       jetstream.JetStream
	replicas int
	now      func() time.Time

	mu   sync.Mutex
	last *simplelru.LRU[string, *slot] // by subject
}

// slot is what this node knows of one key. Its holder has turn; nobody else reads or writes the rest.
type slot struct {
	turn chan struct{} // capacity 1: full while somebody holds it
	read bool          // seq and tally are what was stored at some time
	seq  uint64        // 0: nothing is stored
	tally
}

// tally is what is stored: the counts of one caller and action.
type tally struct {
	At      int64    `json:"at"` // of the last count, milliseconds: time does not run backwards where nodes' clocks differ
	Windows []stored `json:"windows"`
}

type stored struct {
	Per      int64 `json:"per"` // milliseconds
	Number   int64 `json:"n"`
	Current  int64 `json:"c"`
	Previous int64 `json:"p"`
}

// OpenJetStream makes or finds the streams; replicas are those of the log. now nil is the system's clock.
func OpenJetStream(ctx context.Context, js jetstream.JetStream, replicas int, now func() time.Time) (*JetStream, error) {
	if now == nil {
		now = time.Now
	}
	last, err := simplelru.NewLRU[string, *slot](lastKept, nil)
	if err != nil {
		panic(err) // a size under 1
	}
	s := &JetStream{js: js, replicas: replicas, now: now, last: last}
	for _, spends := range []bool{false, true} {
		if err := s.ensure(ctx, spends); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func streamOf(spends bool) string {
	if spends {
		return spendingStream
	}
	return ratesStream
}

// ensure makes a stream. There is no direct get: a follower that is behind must not answer.
func (s *JetStream) ensure(ctx context.Context, spends bool) error {
	name := streamOf(spends)
	c := jetstream.StreamConfig{
		Name: name, Description: "Kanvas: counts of limits", Subjects: []string{name + ".>"}, Replicas: s.replicas, MaxMsgsPerSubject: 1,
		MaxMsgs: -1, MaxConsumers: -1, MaxMsgSize: 4096, AllowMsgTTL: true,
		Storage: jetstream.MemoryStorage, Discard: jetstream.DiscardOld, MaxBytes: ratesBytes,
	}
	if spends {
		c.Storage, c.Discard, c.MaxBytes = jetstream.FileStorage, jetstream.DiscardNew, spendingBytes
	}
	if _, err := s.js.CreateOrUpdateStream(ctx, c); err != nil {
		return fmt.Errorf("ratelimit: stream %s: %w", name, err)
	}
	return nil
}

// Take implements commands.Limiter. It fails where the log's engine can't be asked; after a count whose answer was lost, it may stand.
func (s *JetStream) Take(ctx context.Context, limit commands.Limit, who commands.Caller, n int) (commands.Taken, error) {
	stream := streamOf(limit.Spends)
	subject := stream + "." + limit.Action + "." + base64.RawURLEncoding.EncodeToString([]byte(who.ID))
	k := s.slot(subject)
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return commands.Taken{}, fmt.Errorf("ratelimit: waiting for others of the same caller: %w", ctx.Err())
	}
	for fresh := false; ; fresh = true {
		if !k.read {
			if err := s.load(ctx, stream, subject, k); err != nil {
				return commands.Taken{}, fmt.Errorf("ratelimit: read %s: %w", limit.Action, err)
			}
		}
		now := max(s.now().UnixMilli(), k.At)
		got := k.counts(limit.Windows, now)
		t := decide(limit.Windows, got, now, n)
		if !t.OK || n == 0 && fresh {
			return t, nil // counts only grow, so what this node knows to be full is
		}
		if n == 0 { // what was last seen here says too little
			k.read = false
			continue
		}
		next := tallyOf(limit.Windows, got, now, n)
		err := s.store(ctx, limit, subject, k, next)
		switch {
		case err == nil:
			return t, nil
		case conflict(err):
			k.read = false // another node was first
		case ctx.Err() == nil && streamGone(err):
			if err := s.ensure(ctx, limit.Spends); err != nil {
				return commands.Taken{}, err
			}
			k.read = false
		default:
			k.read = false
			return commands.Taken{}, fmt.Errorf("ratelimit: count %s: %w", limit.Action, err)
		}
	}
}

func (s *JetStream) slot(subject string) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.last.Get(subject)
	if !ok {
		k = &slot{turn: make(chan struct{}, 1)}
		s.last.Add(subject, k)
	}
	return k
}

func (s *JetStream) load(ctx context.Context, stream, subject string, k *slot) error {
	st, err := s.js.Stream(ctx, stream)
	var msg *jetstream.RawStreamMsg
	if err == nil {
		msg, err = st.GetLastMsgForSubject(ctx, subject)
	}
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound), errors.Is(err, jetstream.ErrStreamNotFound): // store makes the stream again
		k.read, k.seq, k.tally = true, 0, tally{}
		return nil
	case err != nil:
		return err
	}
	var t tally
	if err := json.Unmarshal(msg.Data, &t); err != nil {
		return fmt.Errorf("not what Kanvas stores: %w", err)
	}
	k.read, k.seq, k.tally = true, msg.Sequence, t
	return nil
}

// store replaces what is stored, where nobody else has since it was read.
func (s *JetStream) store(ctx context.Context, limit commands.Limit, subject string, k *slot, next tally) error {
	data, err := json.Marshal(next)
	if err != nil {
		return err
	}
	ttl := keep(longest(limit.Windows)).Round(time.Second)
	ack, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}},
		jetstream.WithExpectLastSequencePerSubject(k.seq), jetstream.WithMsgTTL(ttl), jetstream.WithRetryAttempts(0))
	if err != nil {
		return err
	}
	k.seq, k.tally = ack.Sequence, next
	return nil
}

// counts are those of the windows at now; a window that nothing is stored for has none.
func (t *tally) counts(windows []commands.Window, now int64) []counts {
	got := make([]counts, len(windows))
	for i, w := range windows {
		for _, st := range t.Windows {
			if st.Per == w.Per.Milliseconds() {
				got[i] = counts{st.Number, st.Current, st.Previous}
			}
		}
		got[i] = got[i].at(now, w.Per)
	}
	return got
}

func tallyOf(windows []commands.Window, got []counts, now int64, n int) tally {
	t := tally{At: now, Windows: make([]stored, len(windows))}
	for i, w := range windows {
		t.Windows[i] = stored{w.Per.Milliseconds(), got[i].number, got[i].current + int64(n), got[i].previous}
	}
	return t
}

func conflict(err error) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	return api.ErrorCode == codeWrongLastSeq || api.ErrorCode == codeWrongLastSeqConstant || api.ErrorCode == codeLastSeqNotReady
}

func streamGone(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrStreamNotFound)
}
