package commands

import (
	"context"
	"slices"
	"time"
)

// janitor unloads idle rooms. A room that does not exist is not worth keeping: it goes after a tenth of the time.
func (d *Dispatcher) janitor() {
	t := time.NewTicker(max(d.cfg.IdleAfter/10, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-d.quit:
			return
		case now := <-t.C:
			d.sweep(now)
		}
	}
}

func (d *Dispatcher) sweep(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.slots {
		switch {
		case !s.until.IsZero():
			if now.After(s.until) && s.holds == 0 {
				delete(d.slots, s.room)
			}
		case s.holds > 0 || s.a == nil:
		case now.Sub(s.lastUsed) >= d.idleAfter(s):
			d.evict(s)
		}
	}
}

func (d *Dispatcher) idleAfter(s *slot) time.Duration {
	if s.a.revLast.Load() == 0 {
		return d.cfg.IdleAfter / 10
	}
	return d.cfg.IdleAfter
}

// evict unloads a room that nobody holds and in which nothing is pending. The caller holds mu.
func (d *Dispatcher) evict(s *slot) bool {
	if s.a == nil || s.holds > 0 || !s.a.box.closeIfIdle(errIdle) {
		return false
	}
	delete(d.slots, s.room)
	d.metrics.evicted.Inc()
	return true
}

// evictOne makes place by unloading the room that was idle longest. settling: there is none, but one that nobody holds is about to be: its
// actor is still on its way back from its last answer. The caller holds mu.
func (d *Dispatcher) evictOne() (done, settling bool) {
	var idle []*slot
	for _, s := range d.slots {
		if s.a != nil && s.holds == 0 && s.until.IsZero() {
			idle = append(idle, s)
		}
	}
	slices.SortFunc(idle, func(a, b *slot) int { return a.lastUsed.Compare(b.lastUsed) })
	for _, s := range idle {
		if d.evict(s) {
			return true, false
		}
	}
	return false, len(idle) > 0
}

// How long acquire waits for a room that settles, and how often it looks.
const (
	settleWithin = 100 * time.Millisecond
	settleEvery  = time.Millisecond
)

// makePlace unloads a room where MaxRooms are loaded; false: all of them are in use. The caller holds mu, which is let go of while it waits.
func (d *Dispatcher) makePlace(ctx context.Context) bool {
	for deadline := time.Now().Add(settleWithin); len(d.slots) >= d.cfg.MaxRooms; {
		done, settling := d.evictOne()
		if done {
			return true
		}
		if !settling || ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
		d.mu.Unlock()
		time.Sleep(settleEvery)
		d.mu.Lock()
	}
	return true
}
