package commands

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
)

// streamTimeout bounds one change of a small stream, retries included.
const streamTimeout = 10 * time.Second

// Streams writes the streams of people and assets, which are short and seldom written: each change reads the stream, decides and appends.
// Methods may be called concurrently, on several nodes too.
type Streams struct {
	log   Log
	clock Clock
	ids   *idSource
}

// NewStreams returns a writer over the log. clock nil is the system's.
func NewStreams(log Log, clock Clock) *Streams {
	clock = Config{Clock: clock}.withDefaults().Clock
	return &Streams{log: log, clock: clock, ids: newIDSource(clock)}
}

// change appends the events that decide makes of the stream's commits, as one commit; none is no change. After a conflict or an unknown outcome
// the stream is read and decide is called again, so it must see from the commits whether its own change is there already.
func (s *Streams) change(ctx context.Context, stream events.Stream, decide func([]*events.Commit) ([]events.Event, error)) error {
	return s.changeOnce(ctx, stream, events.Done{}, decide)
}

// changeOnce is change for something that may come again: the commit says that it completes done's key, where that is not empty, and nothing is
// decided where a commit said so before.
func (s *Streams) changeOnce(ctx context.Context, stream events.Stream, done events.Done, decide func([]*events.Commit) ([]events.Event, error)) error {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	for try := 1; ; try++ {
		err := s.try(ctx, stream, done, decide)
		again := errors.Is(err, ErrSequence) || errors.Is(err, ErrUnknownOutcome)
		if !again || try == maxTries {
			return err
		}
		if ended := pause(ctx, try); ended != nil {
			return fmt.Errorf("%w: after %d tries: %w", ended, try, err)
		}
	}
}

// pause waits before another try: 2 ms, doubled each time, give or take a half.
func pause(ctx context.Context, try int) error {
	wait := 2 * time.Millisecond << min(try-1, 12)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait/2 + time.Duration(rand.Int64N(int64(wait)))):
		return nil
	}
}

func (s *Streams) try(ctx context.Context, stream events.Stream, done events.Done, decide func([]*events.Commit) ([]events.Event, error)) error {
	commits, err := s.read(ctx, stream)
	if err != nil || completed(commits, done.Key) {
		return err
	}
	es, err := decide(commits)
	if err != nil || len(es) == 0 {
		return err
	}
	var last *events.Commit
	if n := len(commits); n > 0 {
		last = commits[n-1]
	}
	return s.append(ctx, stream, last, done, es)
}

// append appends a commit after the last one, nil where there is none.
func (s *Streams) append(ctx context.Context, stream events.Stream, last *events.Commit, done events.Done, es []events.Event) error {
	c := &events.Commit{First: 1, At: s.clock(), Events: es}
	var after uint64
	if last != nil {
		c.First, c.Prev, c.At, after = last.Last()+1, last.Sum, max(c.At, last.At), last.Seq
	}
	for i := range c.Events {
		if c.Events[i].ID == "" {
			c.Events[i].ID = s.ids.next()
		}
	}
	if done.Key != "" {
		done.First, done.Last = c.First, c.Last()
		c.Done = []events.Done{done}
	}
	payload, err := encode(c)
	if err != nil {
		return fmt.Errorf("encode commit of %s: %w", stream, err)
	}
	if _, err := s.log.Append(ctx, stream, after, payload); err != nil {
		if errors.Is(err, ErrLogReadOnly) {
			return errReadOnly
		}
		return fmt.Errorf("append to %s: %w", stream, err)
	}
	return nil
}

// add appends one event to a stream that only grows, whatever it holds: its last commit alone is read.
func (s *Streams) add(ctx context.Context, stream events.Stream, e events.Event) error {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	if e.ID == "" {
		e.ID = s.ids.next()
	}
	var unknown uint64 // sequence from which on it may stand; 0: it doesn't
	for try := 1; ; try++ {
		last, err := s.last(ctx, stream)
		if err != nil {
			return err
		}
		if unknown > 0 {
			if there, err := s.holds(ctx, stream, unknown, e.ID); there || err != nil {
				return err
			}
		}
		err = s.append(ctx, stream, last, events.Done{}, []events.Event{e})
		if again := errors.Is(err, ErrSequence) || errors.Is(err, ErrUnknownOutcome); !again || try == maxTries {
			return err
		}
		if unknown == 0 && errors.Is(err, ErrUnknownOutcome) {
			unknown = 1
			if last != nil {
				unknown = last.Seq + 1
			}
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

// last is the stream's last commit, nil where it has none.
func (s *Streams) last(ctx context.Context, stream events.Stream) (*events.Commit, error) {
	rec, ok, err := s.log.Last(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", stream, err)
	}
	if !ok {
		return nil, nil
	}
	c, err := decode(rec)
	if err != nil {
		return nil, fmt.Errorf("%s: bad commit at sequence %d: %w", stream, rec.Seq, err)
	}
	return c, nil
}

// holds reports whether the stream has the event, at or after a sequence.
func (s *Streams) holds(ctx context.Context, stream events.Stream, from uint64, id string) (there bool, err error) {
	var bad error
	err = s.log.Read(ctx, stream, from, func(rec events.Record) bool {
		c, err := decode(rec)
		if err != nil {
			bad = fmt.Errorf("%s: bad commit at sequence %d: %w", stream, rec.Seq, err)
			return false
		}
		there = slices.ContainsFunc(c.Events, func(e events.Event) bool { return e.ID == id })
		return !there
	})
	if bad != nil {
		return false, bad
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", stream, err)
	}
	return there, nil
}

// completed reports whether one of the commits completed the key.
func completed(commits []*events.Commit, key string) bool {
	return key != "" && slices.ContainsFunc(commits, func(c *events.Commit) bool {
		return slices.ContainsFunc(c.Done, func(d events.Done) bool { return d.Key == key })
	})
}

// read returns all commits of a stream, its chain verified.
func (s *Streams) read(ctx context.Context, stream events.Stream) ([]*events.Commit, error) {
	var commits []*events.Commit
	var bad error
	err := s.log.Read(ctx, stream, 1, func(rec events.Record) bool {
		c, err := decode(rec)
		if err == nil {
			var prev *events.Commit
			if len(commits) > 0 {
				prev = commits[len(commits)-1]
			}
			err = events.VerifyLink(prev, c)
		}
		if err != nil {
			bad = fmt.Errorf("%s: bad commit at sequence %d: %w", stream, rec.Seq, err)
			return false
		}
		commits = append(commits, c)
		return true
	})
	if bad != nil {
		return nil, bad
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", stream, err)
	}
	return commits, nil
}
