package realtime

import (
	"context"
	"sync"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// What old clients held when their connections ended, so that frames they queued offline don't undo what others did meanwhile.
//
// A connection leaves behind the room's revision of that moment and what its client may have held beside it: values on their way, previews
// that weren't stored. When the same (user, _pk) comes back within ten minutes the room as of that revision is read from the log, and only where
// it sends an element before it has proved to have seen sync:full. Anonymous people count as one user here: it only makes their
// edits more careful.
//
// After a restart nobody's revision is known. In the first ten minutes of the process a client may then have held whatever a member was in
// the ten minutes before, but for what the same user has changed since: those values are read from the log, once a room.

const (
	heldFor     = 10 * time.Minute
	maxHeld     = 20_000 // connections remembered by one process
	maxKept     = 512    // values kept of one connection beside its revision
	maxHeldRevs = 4      // revisions of one client that came back and left again before it had seen sync:full
	heldTimeout = 20 * time.Second
	pastValues  = 100_000 // values of a room read from the log after a restart; past them anything may have been held
)

// heldKey names a client across its connections.
type heldKey struct{ room, user, pk string }

// heldStore remembers what clients held. Safe for concurrent use; the zero value is ready.
type heldStore struct {
	mu    sync.Mutex
	m     map[heldKey]heldRecord
	swept time.Time

	refusals refusals
}

type heldRecord struct {
	l  *lastHeld
	at time.Time
}

// keep notes what a client held whose connection has ended.
func (s *heldStore) keep(k heldKey, l *lastHeld) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[heldKey]heldRecord{}
	}
	if now.Sub(s.swept) > heldFor/10 || len(s.m) >= maxHeld {
		s.swept = now
		for key, r := range s.m {
			if now.Sub(r.at) > heldFor {
				delete(s.m, key)
			}
		}
	}
	for key := range s.m {
		if len(s.m) < maxHeld {
			break
		}
		delete(s.m, key) // any: there are far too many
	}
	s.m[k] = heldRecord{l, now}
}

// take returns what the client held when its last connection ended, nil where that isn't known.
func (s *heldStore) take(k heldKey) *lastHeld {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.m[k]
	delete(s.m, k)
	if !ok || time.Since(r.at) > heldFor {
		return nil
	}
	return r.l
}

// lastOf is what the client of x held before it came; nil: nothing.
func (h *partiesHalf) lastOf(x *partiesPeer, revision uint64) *lastHeld {
	hub := h.room.hub
	for _, q := range h.list { // a client may come back before its last socket is found to be gone
		if y := partiesOf(q); y.key == x.key {
			return h.heldBy(y)
		}
	}
	if l := hub.held.take(x.key); l != nil {
		return l
	}
	if revision > 0 && hub.cfg.Clock()-hub.began < heldFor.Milliseconds() {
		return &lastHeld{restart: true}
	}
	return nil
}

// heldBy is what the client of x may hold beside the stored room, now that its connection has ended.
func (h *partiesHalf) heldBy(x *partiesPeer) *lastHeld {
	l := x.last.unmoved()
	if len(l.revisions) >= maxHeldRevs {
		l.revisions = l.revisions[1:]
	}
	if h.room.head > 0 {
		l.revisions = append(l.revisions, h.room.head)
	}
	n := 0
	for it := range h.remembered {
		for i := range it.past {
			s := &it.past[i]
			if n < maxKept && x.mayHold(it, s.key, s.value) {
				l.add(it.id, s.key, s.value)
				n++
			}
		}
		for i := range it.over {
			l.add(it.id, it.over[i].key, it.over[i].value)
		}
	}
	return l
}

// loaded is what has to be read from the log to know what a client held. It is immutable.
type loaded struct {
	at   []map[string]*domain.Element // the canvas at each revision
	past *lastHeld                    // after a restart
}

func (b *loaded) mayHold(id, key string, value []byte) bool {
	if b == nil {
		return true // not known yet, or it can't be read: careful
	}
	for _, m := range b.at {
		if e := m[id]; e != nil {
			v, _ := e.Get(key)
			if sameJSON(v, value) {
				return true
			}
		}
	}
	return b.past.mayHold(id, key, value)
}

// load reads what l needs. The reader's goroutine.
func (h *Hub) load(room, user string, l *lastHeld) (*loaded, error) {
	ctx, cancel := context.WithTimeout(h.ctx, heldTimeout)
	defer cancel()
	b := &loaded{}
	for _, rev := range l.revisions {
		v, err := h.cfg.Rooms.ViewAt(ctx, room, rev)
		if err != nil {
			return nil, err
		}
		m := make(map[string]*domain.Element, len(v.Elements))
		for _, e := range v.Elements {
			m[e.ID()] = e
		}
		b.at = append(b.at, m)
	}
	if !l.restart {
		return b, nil
	}
	var err error
	b.past, err = h.heldBeforeRestart(ctx, room, user)
	return b, err
}

// heldBeforeRestart is every value that a member had in the ten minutes before this process began, but for what user has moved on from.
func (h *Hub) heldBeforeRestart(ctx context.Context, room, user string) (*lastHeld, error) {
	l := &lastHeld{}
	now := map[string]*domain.Element{}
	var after uint64
	v, err := h.cfg.Rooms.ViewAtTime(ctx, room, h.began-heldFor.Milliseconds())
	if code, _ := reason(err); err != nil && code != domain.CodeNotFound {
		return nil, err
	}
	if err == nil {
		after = v.Revision
		for _, e := range v.Elements {
			now[e.ID()] = e
		}
	}
	n := 0
	err = h.cfg.Rooms.Commits(ctx, room, after, func(c *events.Commit) bool {
		if c.At > h.began {
			return false
		}
		for i := range c.Events {
			n += l.past(now, &c.Events[i], user)
		}
		return n < pastValues
	})
	if n >= pastValues {
		return nil, domain.Errorf(domain.CodeTooLarge, "too much has happened before the restart")
	}
	return &lastHeld{values: l.values, any: l.any, base: &loaded{at: []map[string]*domain.Element{now}}}, err
}

// past notes the values that one event supersedes and brings now up to it. It returns how many they are.
func (l *lastHeld) past(now map[string]*domain.Element, e *events.Event, user string) (n int) {
	switch d := e.Payload.(type) {
	case *events.ElementAddedData:
		if el, err := domain.ParseElement(d.Element); err == nil {
			now[el.ID()] = el
		}
	case *events.ElementRemovedData:
		for _, id := range d.IDs {
			delete(now, id)
		}
	case *events.ElementPatchedData:
		el := now[d.ID]
		if el == nil {
			return 0
		}
		note := func(key string) {
			n++
			if e.Actor == user {
				delete(l.values[d.ID], key)
				return
			}
			v, _ := el.Get(key)
			l.add(d.ID, key, v)
		}
		for i := range d.Set {
			note(d.Set[i].Key)
		}
		for _, key := range d.Unset {
			note(key)
		}
		now[d.ID] = el.With(d.Set, d.Unset, 0)
	}
	return n
}
