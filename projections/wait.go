package projections

import (
	"context"
	"fmt"
	"sync"

	"github.com/infinite-kanvas/kanvas/events"
)

// waiters are those who want to read their own writes.
type waiters struct {
	kick chan struct{} // capacity 1: apply what is gathered now

	mu      sync.Mutex
	streams map[events.Stream][]*waiter
	heads   int           // how many wait for the head
	applied chan struct{} // closed and replaced after each batch
}

type waiter struct {
	revision uint64
	done     chan struct{} // closed once it is reached
}

// any says whether somebody waits.
func (w *waiters) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.streams) > 0 || w.heads > 0
}

func (w *waiters) nudge() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

func (w *waiters) add(s events.Stream, revision uint64) *waiter {
	wt := &waiter{revision: revision, done: make(chan struct{})}
	w.mu.Lock()
	w.streams[s] = append(w.streams[s], wt)
	w.mu.Unlock()
	w.nudge()
	return wt
}

func (w *waiters) remove(s events.Stream, wt *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.streams[s]
	for i := range list {
		if list[i] == wt {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	w.put(s, list)
}

func (w *waiters) put(s events.Stream, list []*waiter) {
	if len(list) == 0 {
		delete(w.streams, s)
	} else {
		w.streams[s] = list
	}
}

// advance wakes those whose revision was reached by the batch.
func (w *waiters) advance(batch []*change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.applied)
	w.applied = make(chan struct{})
	if len(w.streams) == 0 {
		return
	}
	for _, ch := range batch {
		list, ok := w.streams[ch.stream]
		if !ok {
			continue
		}
		var rest []*waiter
		for _, wt := range list {
			if wt.revision <= ch.last {
				close(wt.done)
			} else {
				rest = append(rest, wt)
			}
		}
		w.put(ch.stream, rest)
	}
}

// WaitFor returns once the stream is in the tables up to revision, or with ErrBehind when ctx ends before.
func (r *Runner) WaitFor(ctx context.Context, s events.Stream, revision uint64) error {
	wt := r.wait.add(s, revision)
	defer r.wait.remove(s, wt)
	have, err := r.cfg.Store.Revision(ctx, s) // after add: what is applied from now on is told to wt
	if err == nil && have >= revision {
		return nil
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	select {
	case <-wt.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %s is at revision %d, not %d", ErrBehind, s, have, revision)
	}
}

// WaitHead returns once all that was in the log at the call is in the tables, or with ErrBehind when ctx ends before.
func (r *Runner) WaitHead(ctx context.Context) error {
	r.wait.mu.Lock()
	r.wait.heads++
	r.wait.mu.Unlock()
	defer func() {
		r.wait.mu.Lock()
		r.wait.heads--
		r.wait.mu.Unlock()
	}()
	targets := map[int]uint64{}
	for p := range r.cfg.Source.Partitions() {
		_, last, err := r.cfg.Source.Bounds(ctx, p)
		if err != nil {
			return fmt.Errorf("bounds of partition %d: %w", p, err)
		}
		if last > 0 {
			targets[p] = last
		}
	}
	for {
		r.wait.mu.Lock()
		applied := r.wait.applied
		r.wait.mu.Unlock()
		r.wait.nudge()
		at, err := r.cfg.Store.Checkpoints(ctx, Tables)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil && reached(at, targets) {
			return nil
		}
		select {
		case <-applied:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrBehind, ctx.Err())
		}
	}
}

func reached(at map[int]Checkpoint, targets map[int]uint64) bool {
	for p, last := range targets {
		if at[p].Seq < last {
			return false
		}
	}
	return true
}
