package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/infinite-kanvas/kanvas/events"
)

// Size of one batch of Read: memory is bounded by about readBytes and one commit more.
const (
	readLimit = 512
	readBytes = 1 << 20

	// followerWait is how long a server may take for a batch where others have the same: a question to one that just died is never answered.
	followerWait = 2 * time.Second
)

// getRequest is a request of $JS.API.DIRECT.GET and $JS.API.STREAM.MSG.GET.
type getRequest struct {
	Seq      uint64 `json:"seq,omitempty"`
	NextFor  string `json:"next_by_subj,omitempty"`
	LastFor  string `json:"last_by_subj,omitempty"`
	Batch    int    `json:"batch,omitempty"`
	MaxBytes int    `json:"max_bytes,omitempty"`
}

// errLostAnswers: a batch came with holes (the connection was too slow or broke). It is asked for again.
var errLostAnswers = errors.New("jetstream: answers of a batch were lost")

// batch reads records of partition p with sequence ≥ from by direct get; filter "" means all of them. more says that the
// server has further ones. A replicated stream may be read from a follower that is behind.
func (s *Store) batch(ctx context.Context, p int, filter string, from uint64, limit, maxBytes int) (recs []events.Record, more bool, err error) {
	for try := 0; ; try++ {
		recs, more, err = s.tryBatch(ctx, p, filter, from, limit, maxBytes)
		if err == nil || try == 2 || !(errors.Is(err, errLostAnswers) || errors.Is(err, errOverflow)) {
			return recs, more, err
		}
	}
}

func (s *Store) tryBatch(ctx context.Context, p int, filter string, from uint64, limit, maxBytes int) ([]events.Record, bool, error) {
	body, err := json.Marshal(getRequest{Seq: max(from, 1), NextFor: filter, Batch: limit, MaxBytes: maxBytes})
	if err != nil {
		return nil, false, err
	}
	w, _, err := s.reads.send(&nats.Msg{Subject: "$JS.API.DIRECT.GET." + StreamName(p), Data: body}, limit+1)
	if err != nil {
		return nil, false, err
	}
	defer s.reads.done(w)
	var recs []events.Record
	var last uint64 // sequence of the record before, as the server counts
	for {
		msg, err := w.receive(ctx)
		if err != nil {
			return nil, false, err
		}
		switch code := status(msg); code {
		case "":
		case "404":
			return recs, false, nil
		case "204":
			if headerNumber(msg, "Nats-Last-Sequence") != last {
				return nil, false, errLostAnswers
			}
			return recs, headerNumber(msg, "Nats-Num-Pending") > 0, nil
		default:
			return nil, false, fmt.Errorf("jetstream: direct get of %s: %s %s", StreamName(p), code, msg.Header.Get("Description"))
		}
		if headerNumber(msg, "Nats-Last-Sequence") != last {
			return nil, false, errLostAnswers
		}
		rec, err := recordOf(msg)
		if err != nil {
			return nil, false, err
		}
		last = rec.Seq
		recs = append(recs, rec)
	}
}

// recordOf reads a commit delivered by direct get or republished.
func recordOf(msg *nats.Msg) (events.Record, error) {
	st, p, ok := ParseSubject(msg.Header.Get("Nats-Subject"))
	seq := headerNumber(msg, "Nats-Sequence")
	if !ok || seq == 0 {
		return events.Record{}, fmt.Errorf("jetstream: a message of subject %q and sequence %d is not a commit", msg.Header.Get("Nats-Subject"), seq)
	}
	return events.Record{Stream: st, Partition: p, Seq: seq, Payload: msg.Data}, nil
}

func headerNumber(msg *nats.Msg, name string) uint64 {
	v := msg.Header[name] // the server writes names in this case; Get would canonicalise for nothing
	if len(v) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(v[0], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Read implements commands.Log.
func (s *Store) Read(ctx context.Context, st events.Stream, from uint64, yield func(events.Record) bool) error {
	if err := checkStream(st); err != nil {
		return err
	}
	p := s.Partition(st)
	subject := subjectOf(p, st)
	var must uint64 // followers may be behind: read at least to here
	deadline := withDeadline
	if s.cfg.Replicas > 1 {
		last, ok, err := s.Last(ctx, st)
		if err != nil || !ok || last.Seq < from {
			return err
		}
		must = last.Seq
		deadline = func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, followerWait)
		}
	}
	for {
		bctx, cancel := deadline(ctx)
		recs, more, err := s.batch(bctx, p, subject, from, readLimit, readBytes)
		cancel()
		if err != nil && must > 0 && ctx.Err() == nil {
			break // the leader has all of it
		}
		if err != nil {
			return fmt.Errorf("read %s from %d: %w", st, from, err)
		}
		for _, r := range recs {
			if !yield(r) {
				return nil
			}
			from = r.Seq + 1
		}
		if !more {
			break
		}
	}
	return s.readLeader(ctx, p, st, from, must, yield)
}

// readLeader reads on to sequence must from the stream's leader, one by one: what a follower did not have yet.
func (s *Store) readLeader(ctx context.Context, p int, st events.Stream, from, must uint64, yield func(events.Record) bool) error {
	for from <= must {
		rec, ok, err := s.getFromLeader(ctx, p, getRequest{Seq: from, NextFor: subjectOf(p, st)})
		if err != nil {
			return fmt.Errorf("read %s from %d: %w", st, from, err)
		}
		if !ok || !yield(rec) {
			return nil
		}
		from = rec.Seq + 1
	}
	return nil
}

// Last implements commands.Log. On replicated streams it asks the leader.
func (s *Store) Last(ctx context.Context, st events.Stream) (events.Record, bool, error) {
	if err := checkStream(st); err != nil {
		return events.Record{}, false, err
	}
	p := s.Partition(st)
	get := s.getDirect
	if s.cfg.Replicas > 1 {
		get = s.getFromLeader
	}
	rec, ok, err := get(ctx, p, getRequest{LastFor: subjectOf(p, st)})
	if err != nil {
		return events.Record{}, false, fmt.Errorf("last of %s: %w", st, err)
	}
	return rec, ok, nil
}

func (s *Store) getDirect(ctx context.Context, p int, r getRequest) (events.Record, bool, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	body, err := json.Marshal(r)
	if err != nil {
		return events.Record{}, false, err
	}
	msg, err := s.reads.request(ctx, "$JS.API.DIRECT.GET."+StreamName(p), body)
	if err != nil {
		return events.Record{}, false, err
	}
	switch code := status(msg); code {
	case "":
		rec, err := recordOf(msg)
		return rec, err == nil, err
	case "404":
		return events.Record{}, false, nil
	default:
		return events.Record{}, false, fmt.Errorf("jetstream: direct get of %s: %s %s", StreamName(p), code, msg.Header.Get("Description"))
	}
}

const codeNoMessage = 10037

func (s *Store) getFromLeader(ctx context.Context, p int, r getRequest) (events.Record, bool, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	body, err := json.Marshal(r)
	if err != nil {
		return events.Record{}, false, err
	}
	msg, err := s.reads.request(ctx, "$JS.API.STREAM.MSG.GET."+StreamName(p), body)
	if err != nil {
		return events.Record{}, false, err
	}
	if code := status(msg); code != "" {
		return events.Record{}, false, fmt.Errorf("jetstream: get from %s: %s", StreamName(p), code)
	}
	var a struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Message struct {
			Subject string `json:"subject"`
			Seq     uint64 `json:"seq"`
			Data    []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(msg.Data, &a); err != nil {
		return events.Record{}, false, fmt.Errorf("jetstream: answer of %s: %w", StreamName(p), err)
	}
	if a.Error != nil {
		if a.Error.Code == codeNoMessage {
			return events.Record{}, false, nil
		}
		return events.Record{}, false, fmt.Errorf("jetstream: get from %s: %s (%d)", StreamName(p), a.Error.Description, a.Error.Code)
	}
	st, _, ok := ParseSubject(a.Message.Subject)
	if !ok {
		return events.Record{}, false, fmt.Errorf("jetstream: a message of subject %q is not a commit", a.Message.Subject)
	}
	return events.Record{Stream: st, Partition: p, Seq: a.Message.Seq, Payload: a.Message.Data}, true, nil
}
