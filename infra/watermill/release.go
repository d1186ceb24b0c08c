package watermill

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/infinite-kanvas/kanvas/events"
)

// ErrNotParked: the handler follows the stream.
var ErrNotParked = errors.New("handlers: the stream is not parked")

// ErrNoHandler: no handler of that name runs here.
var ErrNoHandler = errors.New("handlers: no such handler")

// Parked lists the streams that handlers gave up on, in no order.
func (r *Runner) Parked() []Parked { return r.parked.list() }

// Release gives the handler the records of the stream that it missed, beginning with the one that failed, in order, and then lets
// it follow the stream again: no record is left out and none comes before an earlier one. Where one fails again, the
// stream stays parked at that one, and its error is returned. The rest of the partition goes on meanwhile.
func (r *Runner) Release(ctx context.Context, handler string, s events.Stream) error {
	l, h := r.find(handler, r.store.Partition(s))
	if h == nil {
		return fmt.Errorf("%w: %s", ErrNoHandler, handler)
	}
	select {
	case r.freeing <- struct{}{}: // one release at a time: two of one stream would mix their records
		defer func() { <-r.freeing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	v, ok := r.parked.get(handler, s)
	if !ok {
		return fmt.Errorf("%w: %s, for %s", ErrNotParked, s, handler)
	}
	next := v.Seq
	for {
		// What is beyond the lane's position will be delivered to it by the log.
		target := l.position.Load()
		if err := l.replay(ctx, h, &v, &next, target); err != nil {
			return err
		}
		if err := l.take(ctx); err != nil {
			return err
		}
		if l.position.Load() == target {
			err := r.parked.remove(ctx, handler, s)
			l.give()
			return err
		}
		l.give() // records of the stream may have been skipped meanwhile
	}
}

// find returns the handler and its lane in the partition, or nil.
func (r *Runner) find(name string, partition int) (*lane, *Handler) {
	for _, l := range r.lanes {
		for _, h := range l.handlers {
			if h.Name == name && l.partition == partition {
				return l, h
			}
		}
	}
	return nil, nil
}

// replay handles the stream's records from *next to target and moves *next behind them.
func (l *lane) replay(ctx context.Context, h *Handler, v *Parked, next *uint64, target uint64) error {
	var failed error
	err := l.r.store.Read(ctx, v.Stream, *next, func(rec events.Record) bool {
		if rec.Seq > target {
			return false
		}
		msg := message.NewMessage(v.Stream.String(), rec.Payload)
		msg.Metadata.Set(metaSubject, "kanvas."+strconv.Itoa(l.partition)+"."+string(rec.Stream.Kind)+"."+rec.Stream.ID)
		msg.Metadata.Set(metaSeq, strconv.FormatUint(rec.Seq, 10))
		msg.SetContext(ctx)
		if failed = l.try(h, rec, msg); failed == nil {
			*next = rec.Seq + 1
			return true
		}
		failed = fmt.Errorf("handlers: %s still fails at %d of %s: %w", h.Name, rec.Seq, rec.Stream, failed)
		if v.Seq != rec.Seq {
			v.Seq, v.Reason, v.At = rec.Seq, reasonOf(failed), time.Now().UTC()
			failed = errors.Join(failed, l.r.parked.put(ctx, *v))
		}
		return false
	})
	return errors.Join(failed, err)
}
