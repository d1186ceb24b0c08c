package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
)

const hdrExpectedLastSubjSeq = "Nats-Expected-Last-Subject-Sequence"

// JetStream error codes that Append tells apart.
const (
	codeWrongLastSeq         = 10071
	codeWrongLastSeqConstant = 10164 // replicated streams
	codeLastSeqNotReady      = 10163 // replicated: another append to this subject is under way
	codeMessageTooLarge      = 10054
	codeStoreFailed          = 10077
)

// errWriteFailed: the embedded server could not write to its disk.
var errWriteFailed = errors.New("jetstream: the embedded server failed to write")

// Append implements commands.Log. It makes one attempt: no retries of its own, and none of nats.go's.
func (s *Store) Append(ctx context.Context, st events.Stream, after uint64, payload []byte) (uint64, error) {
	start := time.Now()
	seq, err := s.append(ctx, st, after, payload)
	s.metrics.appended(time.Since(start), len(payload), err)
	if err != nil {
		return 0, err
	}
	return seq, nil
}

func (s *Store) append(ctx context.Context, st events.Stream, after uint64, payload []byte) (uint64, error) {
	if err := checkStream(st); err != nil {
		return 0, err
	}
	if len(payload) > s.payload {
		return 0, fmt.Errorf("append to %s: %w: %d bytes, the most is %d", st, commands.ErrCommitTooLarge, len(payload), s.payload)
	}
	if s.guard != nil {
		if reason := s.guard.reason(); reason != nil {
			return 0, fmt.Errorf("append to %s: %w: %w", st, commands.ErrLogReadOnly, reason)
		}
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("append to %s: nothing sent: %w: %w", st, commands.ErrUnknownOutcome, err)
	}
	p := s.Partition(st)
	msg := &nats.Msg{
		Subject: subjectOf(p, st), Data: payload,
		Header: nats.Header{hdrExpectedLastSubjSeq: []string{strconv.FormatUint(after, 10)}},
	}
	w, sent, err := s.writes.send(msg, 1)
	if err != nil {
		return 0, fmt.Errorf("append to %s: %w", st, sendError(sent, err))
	}
	defer s.writes.done(w)
	answer, err := w.receive(ctx)
	if err != nil {
		s.heads[p].wake() // it may be stored: let readers look
		s.maybeAppended(st)
		return 0, fmt.Errorf("append to %s: %w: %w", st, commands.ErrUnknownOutcome, err)
	}
	seq, err := parseAck(answer)
	if err != nil {
		return 0, fmt.Errorf("append to %s after %d: %w", st, after, err)
	}
	s.appended(events.Record{Stream: st, Partition: p, Seq: seq, Payload: payload}, after)
	s.heads[p].advance(seq)
	return seq, nil
}

func sendError(sent bool, err error) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", commands.ErrCommitTooLarge, err)
	case sent:
		return fmt.Errorf("%w: %w", commands.ErrUnknownOutcome, err)
	default:
		return fmt.Errorf("%w: %w", commands.ErrLogReadOnly, err)
	}
}

var ackSeq = []byte(`"seq":`)

// parseAck reads {"stream":"KANVAS_3","seq":12} or an error. Every error reply means that nothing was stored.
func parseAck(msg *nats.Msg) (uint64, error) {
	if status(msg) == "503" {
		return 0, fmt.Errorf("%w: no stream answers (no leader, or JetStream is down)", commands.ErrLogReadOnly)
	}
	if !bytes.Contains(msg.Data, []byte(`"error"`)) {
		if i := bytes.Index(msg.Data, ackSeq); i >= 0 {
			if seq, ok := leadingNumber(msg.Data[i+len(ackSeq):]); ok {
				return seq, nil
			}
		}
	}
	var ack struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &ack); err != nil || ack.Error == nil {
		return 0, fmt.Errorf("%w: the server's answer is not an ack", commands.ErrUnknownOutcome)
	}
	return 0, fmt.Errorf("%w: %s (%d)", ackError(ack.Error.Code, ack.Error.Description), ack.Error.Description, ack.Error.Code)
}

func ackError(code int, description string) error {
	switch code {
	case codeWrongLastSeq, codeWrongLastSeqConstant, codeLastSeqNotReady:
		return commands.ErrSequence
	case codeMessageTooLarge:
		return commands.ErrCommitTooLarge
	case codeStoreFailed:
		if description == "message too large" {
			return commands.ErrCommitTooLarge
		}
	}
	return commands.ErrLogReadOnly
}

func leadingNumber(b []byte) (n uint64, ok bool) {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		n, ok = n*10+uint64(c-'0'), true
	}
	return n, ok
}
