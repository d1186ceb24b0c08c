package commands

import "time"

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

// evictOne makes place by unloading the room that was idle longest. The caller holds mu.
func (d *Dispatcher) evictOne() bool {
	var oldest *slot
	for _, s := range d.slots {
		if s.a != nil && s.holds == 0 && s.until.IsZero() && (oldest == nil || s.lastUsed.Before(oldest.lastUsed)) {
			oldest = s
		}
	}
	return oldest != nil && d.evict(oldest)
}
