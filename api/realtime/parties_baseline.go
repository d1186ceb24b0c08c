package realtime

import (
	"time"

	"github.com/infinite-kanvas/kanvas/events"
)

// What an old client means by an image:update, which always carries the whole element.
//
// Every message about an element has a number (seq), the same for all receivers, and a value that a member showed is remembered with the
// messages that began and ended it. So the values which a client may still hold follow from one number per client: up to which message
// it proved to have everything. A value is no change where it is the live one, or one that the client may hold:
//
//   - the one of when it proved what it has (unless it moved on from it since, by its own frame);
//   - any that was sent to it since and may still be on its way;
//   - its own, until it proved to have seen what superseded it.
//
// Where nothing about the element is on its way to the client, which is the usual case, only the live value is left to look at.
//
// Messages to a client and frames from it can cross: the client is then overwritten by what was sent before its frame came, and holds something
// else than the room shows. That is noted as a hold, which keeps older values in the set, and mended: when the client has proved to have
// seen the messages in question, it is sent the element as it is now.

// hold says that a client may hold older values of one element than it proved to have.
type hold struct {
	floor uint64    // what it may hold goes back to here
	need  uint64    // once this is proved the truth is sent
	until uint64    // once this is proved the hold is over; 0: the truth wasn't sent yet
	at    time.Time // of the client's last frame about it
}

// change is a member of an image:update that its client meant. value nil: unset.
type change struct {
	key        string
	value, old []byte
}

// floor is the message up to which x surely has everything about the item.
func (x *partiesPeer) floor(it *item) uint64 {
	if hd, ok := x.holds[it.id]; ok {
		return hd.floor
	}
	return x.proven
}

// diff appends to changes what the client meant by a whole element. stale: it holds some other value than the live one.
func (x *partiesPeer) diff(changes []change, it *item, members events.Members) (_ []change, stale bool) {
	quiet := x.quiet(it)
	optional := optionalKeys
	test := func(key string, value []byte) {
		live := it.live(key)
		switch {
		case sameJSON(live, value):
		case !quiet && x.mayHold(it, key, value):
			stale = true
		default:
			changes = append(changes, change{key, value, live})
		}
	}
	for i := range members {
		m := &members[i]
		for len(optional) > 0 && optional[0] < m.Key {
			test(optional[0], nil)
			optional = optional[1:]
		}
		if len(optional) > 0 && optional[0] == m.Key {
			optional = optional[1:]
		}
		if m.Key != "type" && m.Key != "z" {
			test(m.Key, m.Value)
		}
	}
	for _, key := range optional {
		test(key, nil)
	}
	return changes, stale
}

// quiet reports whether the client holds the live element for sure, but for what its own frame changes.
func (x *partiesPeer) quiet(it *item) bool {
	floor := x.floor(it)
	return x.last == nil && it.heard.to(x.author) <= floor && x.full <= floor
}

// mayHold reports whether the client may hold value, without having meant it.
func (x *partiesPeer) mayHold(it *item, key string, value []byte) bool {
	floor := x.floor(it)
	moved := false
	for i := len(it.past) - 1; i >= 0; i-- {
		s := &it.past[i]
		if s.key != key {
			continue
		}
		if s.until <= floor {
			break
		}
		moved = moved || s.by == x.author
		last := s.heard.to(x.author)
		coming := last >= s.from && last > floor || x.full >= s.from && x.full < s.until && x.full > floor
		held := !moved && (s.from <= floor || s.maker == x.author)
		if (coming || held) && sameJSON(s.value, value) {
			return true
		}
	}
	return it.cut > floor || x.last.mayHold(it.id, key, value)
}

// crossed notes that the client's frame about the item and a message to it may have crossed, or that the frame was not taken: once the client
// has proved to have all that was sent, it is sent the truth.
func (x *partiesPeer) crossed(it *item) {
	need := max(it.heard.to(x.author), x.full)
	if need <= x.proven {
		need = 0
	}
	hd, ok := x.holds[it.id]
	if !ok {
		hd.floor = x.proven
		if x.holds == nil {
			x.holds = map[string]hold{}
		}
	}
	hd.need, hd.until, hd.at = need, 0, time.Now()
	x.holds[it.id] = hd
}

// crossing reports whether something about the item may still be on its way to the client.
func (x *partiesPeer) crossing(it *item) bool {
	return it.heard.to(x.author) > x.proven || x.full > x.proven
}

// lastHeld is what a client held when its last connection ended, as far as it isn't what the room shows: its baseline until it has seen
// sync:full. It is read by the reader before the first frame that needs it and immutable then, but for moved. nil: nothing.
type lastHeld struct {
	values map[string]map[string][][]byte // element → member → values; nil value: absent
	any    map[string]bool                // elements of which anything may have been held
	moved  map[string]map[string]bool     // members that the client has changed since

	revisions []uint64 // whose canvas it may have held
	restart   bool     // nothing is known but that the process is new
	base      *loaded  // what the log says of both; nil: not read yet
}

func (l *lastHeld) mayHold(id, key string, value []byte) bool {
	if l == nil || l.moved[id][key] {
		return false
	}
	if l.any[id] {
		return true
	}
	for _, v := range l.values[id][key] {
		if sameJSON(v, value) {
			return true
		}
	}
	return (len(l.revisions) > 0 || l.restart || l.base != nil) && l.base.mayHold(id, key, value)
}

// unmoved is a copy for the client's next connection: what the client has changed since it may hold again, by the log's word.
func (l *lastHeld) unmoved() *lastHeld {
	c := &lastHeld{}
	if l == nil {
		return c
	}
	c.revisions, c.restart = append(c.revisions, l.revisions...), l.restart
	for id := range l.any {
		c.add(id, "", nil)
		c.any[id] = true
	}
	for id, m := range l.values {
		for key, values := range m {
			for _, v := range values {
				c.add(id, key, v)
			}
		}
	}
	return c
}

// changed notes that the client's own frame moved on from what it held.
func (l *lastHeld) changed(id, key string) {
	if l == nil || l.moved[id][key] {
		return
	}
	if l.moved == nil {
		l.moved = map[string]map[string]bool{}
	}
	if l.moved[id] == nil {
		l.moved[id] = map[string]bool{}
	}
	l.moved[id][key] = true
}

// add notes a value; what is over the bounds makes the element one of which anything may have been held.
func (l *lastHeld) add(id, key string, value []byte) {
	if l.any[id] {
		return
	}
	if l.values == nil {
		l.values, l.any = map[string]map[string][][]byte{}, map[string]bool{}
	}
	m := l.values[id]
	if m == nil {
		m = map[string][][]byte{}
		l.values[id] = m
	}
	for _, v := range m[key] {
		if sameJSON(v, value) {
			return
		}
	}
	if len(m[key]) >= maxHeldValues {
		l.any[id] = true
		delete(l.values, id)
		return
	}
	m[key] = append(m[key], value)
}

// maxHeldValues bounds the values of one member that a former connection may have held. Past it anything may have been.
const maxHeldValues = 64
