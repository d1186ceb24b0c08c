package realtime

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// item is an element that old clients see: what is stored, and the values on top of it that are not stored yet. What it shows, stored
// members under the values on top, is its live state. The room's goroutine owns it.
type item struct {
	id        string
	el        *domain.Element // stored; nil while adding
	adding    *adding
	over      []overlay // sorted by key
	queued    bool      // in lane.queue
	added     uint64    // seq of the message that showed it first
	unshown   bool      // a pending value was not shown yet
	unshownBy *peer     // whose it is; nil: of several
	gone      *peer     // its removal is on its way; who asked for it
	heard     heard
	past      []superseded // oldest first
	cut       uint64       // what was superseded up to here is forgotten

	asset, url string // the last asset shown and its address
	key        uint64 // under which the address was made
}

// adding is an image:add that isn't stored yet. Nobody else is shown it before.
type adding struct {
	p  *peer
	el *domain.Element
}

// overlay is a member whose value isn't stored: pending until the next window is committed, flying until that is answered. It may be both.
type overlay struct {
	key     string
	value   []byte // the live value; nil: unset
	actor   string // who it is of
	pending bool
	flying  bool
	flown   []byte // the value on its way, of flownBy
	flownBy string
}

// heard says which messages about an item were sent: every message goes to all but its author.
type heard struct {
	seq    uint64 // of the last one
	author uint32 // of the last one; 0: the room itself
	other  uint64 // the last one whose author was another
}

// note counts a message by author.
func (h *heard) note(seq uint64, author uint32) {
	if author != h.author {
		h.other = h.seq
	}
	h.seq, h.author = seq, author
}

// to is the last message that went to the peer with this author number.
func (h *heard) to(author uint32) uint64 {
	if h.author != author || author == 0 {
		return h.seq
	}
	return h.other
}

// superseded is a value that a member showed from one message until another.
type superseded struct {
	key         string
	value       []byte // nil: absent
	from, until uint64 // seqs
	maker, by   uint32 // who made it, who superseded it
	heard       heard  // before it was superseded
}

// base is the stored element, or the one on its way.
func (it *item) base() *domain.Element {
	if it.el != nil {
		return it.el
	}
	return it.adding.el
}

func (it *item) find(key string) (int, bool) {
	for i := range it.over { // few
		if it.over[i].key >= key {
			return i, it.over[i].key == key
		}
	}
	return len(it.over), false
}

// live returns the value that a member shows, nil where it has none.
func (it *item) live(key string) []byte {
	if len(it.over) > 0 {
		if i, ok := it.find(key); ok {
			return it.over[i].value
		}
	}
	return it.stored(key)
}

func (it *item) stored(key string) []byte {
	v, _ := it.base().Get(key)
	return v
}

// set puts a pending value on top.
func (it *item) set(key string, value []byte, actor string) {
	i, ok := it.find(key)
	if !ok {
		it.over = slices.Insert(it.over, i, overlay{key: key})
	}
	o := &it.over[i]
	o.value, o.actor, o.pending = value, actor, true
}

// pending reports whether values wait for the next window.
func (it *item) pending() bool {
	return slices.ContainsFunc(it.over, func(o overlay) bool { return o.pending })
}

// land takes a value that was on its way off: it is stored, or never will be.
func (it *item) land(i int) {
	o := &it.over[i]
	o.flying, o.flown, o.flownBy = false, nil, ""
	if !o.pending {
		it.over = slices.Delete(it.over, i, i+1)
	}
}

// each yields the members that old clients are shown, id first.
func (it *item) each(yield func(key string, value []byte)) {
	over := it.over
	for key, value := range it.base().Members {
		if key == "type" || key == "z" {
			continue
		}
		if key != "id" {
			for len(over) > 0 && over[0].key < key {
				if over[0].value != nil {
					yield(over[0].key, over[0].value)
				}
				over = over[1:]
			}
			if len(over) > 0 && over[0].key == key {
				if over[0].value != nil {
					yield(key, over[0].value)
				}
				over = over[1:]
				continue
			}
		}
		yield(key, value)
	}
	for _, o := range over {
		if o.value != nil {
			yield(o.key, o.value)
		}
	}
}

// remember keeps a value that author is about to supersede with message seq.
func (it *item) remember(key string, value []byte, seq uint64, author uint32) {
	s := superseded{key: key, value: value, until: seq, by: author, heard: it.heard}
	for i := len(it.past) - 1; i >= 0; i-- {
		if p := &it.past[i]; p.key == key {
			s.from, s.maker = p.until, p.by
			break
		}
	}
	it.past = append(it.past, s)
}

// forget drops what nobody can hold any more: superseded up to seq. It returns about how many bytes are left.
func (it *item) forget(seq uint64) (left int) {
	it.past = slices.DeleteFunc(it.past, func(s superseded) bool { return s.until <= seq })
	if len(it.past) == 0 {
		it.past = nil
	}
	for i := range it.past {
		left += supersededBytes + len(it.past[i].value)
	}
	return left
}

// cutPast drops the older half of what is remembered, where there is too much.
func (it *item) cutPast() {
	n := (len(it.past) + 1) / 2
	if n == 0 {
		return
	}
	it.cut = max(it.cut, it.past[n-1].until)
	it.past = slices.Clone(it.past[n:])
}

const supersededBytes = 128

// sameJSON compares two values of strict, compact JSON by what they mean; nil is absence and equals nothing else.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return (a == nil) == (b == nil)
	}
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	switch isNumber := number(a) != nil; {
	case isNumber != (number(b) != nil):
		return false
	case isNumber:
		x, errX := strconv.ParseFloat(string(a), 64)
		y, errY := strconv.ParseFloat(string(b), 64)
		return errX == nil && errY == nil && x == y
	case a[0] != b[0]:
		return false
	case a[0] == '"' && bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0:
		return false
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// setOf returns the pending values of one actor as a patch, and marks them as flying. size is in bytes, about.
func (it *item) setOf(actor string) (c domain.PatchElement, size int) {
	c.ID = it.id
	for i := range it.over {
		o := &it.over[i]
		if !o.pending || o.actor != actor {
			continue
		}
		if o.value == nil {
			c.Unset = append(c.Unset, o.key)
		} else {
			c.Set = append(c.Set, events.Member{Key: o.key, Value: o.value})
		}
		size += len(o.key) + len(o.value) + 64
		o.pending, o.flying, o.flown, o.flownBy = false, true, o.value, actor
	}
	return c, size
}
