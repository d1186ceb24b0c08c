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
	wait := 2 * time.Millisecond
	for try := 1; ; try++ {
		err := s.try(ctx, stream, done, decide)
		again := errors.Is(err, ErrSequence) || errors.Is(err, ErrUnknownOutcome)
		if !again || try == maxTries {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: after %d tries: %w", ctx.Err(), try, err)
		case <-time.After(wait/2 + time.Duration(rand.Int64N(int64(wait)))):
			wait *= 2
		}
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
	c := &events.Commit{First: 1, At: s.clock(), Events: es}
	var after uint64
	if n := len(commits); n > 0 {
		last := commits[n-1]
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
