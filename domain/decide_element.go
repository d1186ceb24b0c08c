package domain

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/infinite-kanvas/kanvas/events"
)

// contentBytes is what counts against MaxElementBytes: the canonical JSON without z, so that moving something in paint order is
// never refused for its size.
func (e *Element) contentBytes() int {
	if e.z == "" {
		return len(e.json)
	}
	return len(e.json) - len(`,"z":""`) - len(e.z)
}

func (d *decider) add(c AddElement) error {
	r, e := d.room, c.Element
	if e == nil {
		return Errorf(CodeInvalidCommand, "element: missing")
	}
	if is := r.canvas.byID[e.id]; is != nil {
		if !SameContent(is, e) {
			return Errorf(CodeConflict, "the element's id is taken by another element")
		}
		return nil
	}
	if err := fits(e.contentBytes()); err != nil {
		return err
	}
	at := len(r.canvas.order)
	if before := r.canvas.byID[c.Before]; before != nil {
		at = r.canvas.place(before)
	}
	z := d.makePlace(at)
	e = e.apply([]part{{key: "z", value: quotedZ(z)}})
	if err := d.roomFor(1, len(e.json)); err != nil {
		return err
	}
	d.emit(events.ElementAdded, &events.ElementAddedData{Element: e.json})
	return nil
}

func fits(bytes int) error {
	if bytes > MaxElementBytes {
		return Errorf(CodeTooLarge, "an element of %d bytes; at most %d", bytes, MaxElementBytes)
	}
	return nil
}

// roomFor refuses elements and bytes more than the room may hold.
func (d *decider) roomFor(elements, bytes int) error {
	c := &d.room.canvas
	if elements > 0 && len(c.order)+elements > MaxElements {
		return Errorf(CodeRoomFull, "a room holds at most %d elements", MaxElements)
	}
	if bytes > 0 && c.bytes+bytes > MaxRoomBytes {
		return Errorf(CodeRoomFull, "a room holds at most %d bytes of elements", MaxRoomBytes)
	}
	return nil
}

func quotedZ(z string) []byte {
	b := make([]byte, 0, len(z)+2)
	return append(append(append(b, '"'), z...), '"')
}

func (d *decider) patch(c PatchElement) error {
	set, unset := c.Set, c.Unset
	if !c.sound {
		var err error
		if set, err = checkSet(set); err != nil {
			return err
		}
		if unset, err = checkUnset(unset, set); err != nil {
			return err
		}
	}
	e := d.room.canvas.byID[c.ID]
	if e == nil {
		d.dropped(c.ID)
		return nil
	}
	set, unset, grows := e.news(set, unset)
	if len(set) == 0 && len(unset) == 0 {
		return nil
	}
	if grows > 0 {
		if err := fits(e.contentBytes() + grows); err != nil {
			return err
		}
		if err := d.roomFor(0, grows); err != nil {
			return err
		}
	}
	d.emit(events.ElementPatched, &events.ElementPatchedData{ID: e.id, Set: set, Unset: unset})
	return nil
}

// news leaves of a patch what changes e, and says by how many bytes e grows. set and unset may be the caller's and are not modified.
func (e *Element) news(set events.Members, unset []string) (events.Members, []string, int) {
	grows := 0
	set = leave(set, func(m *events.Member) bool {
		old, ok := e.Get(m.Key)
		switch {
		case !ok:
			grows += memberBytes(m.Key, m.Value)
		case sameValue(old, m.Value):
			return false
		default:
			grows += len(m.Value) - len(old)
		}
		return true
	})
	unset = leave(unset, func(key *string) bool {
		old, ok := e.Get(*key)
		if ok {
			grows -= memberBytes(*key, old)
		}
		return ok
	})
	return set, unset, grows
}

// leave returns the items that keep says yes to, in a list of their own unless it is all.
func leave[T any](list []T, keep func(*T) bool) []T {
	var left []T
	own := false
	for i := range list {
		switch ok := keep(&list[i]); {
		case !ok && !own:
			left, own = append(make([]T, 0, len(list)-1), list[:i]...), true
		case ok && own:
			left = append(left, list[i])
		}
	}
	if own {
		return left
	}
	return list
}

// memberBytes is what a member adds to an element that has others.
func memberBytes(key string, value []byte) int {
	n := len(key) + 2
	if !plainKey(key) {
		n = len(events.AppendString(nil, key))
	}
	return n + len(`:,`) + len(value)
}

// checkSet refuses members that a patch can't set, and returns the others sorted and compact. set is not modified.
func checkSet(set events.Members) (events.Members, error) {
	own := false
	for i := range set {
		form, err := events.InspectJSON(set[i].Value, MaxJSONDepth-1)
		if err != nil {
			return nil, jsonError(err)
		}
		if form.Space {
			if !own {
				set, own = slices.Clone(set), true
			}
			set[i].Value = events.Compact(nil, set[i].Value)
		}
	}
	byKey := func(a, b events.Member) int { return strings.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(set, byKey) {
		set = slices.Clone(set)
		set.Sort()
	}
	return set, checkMembers(set)
}

// checkMembers refuses members that a patch can't set. set is sorted, its values are compact JSON.
func checkMembers(set events.Members) error {
	for i := range set {
		if err := checkKey(set[i].Key); err != nil {
			return err
		}
		if err := checkMember(set[i].Key, set[i].Value); err != nil {
			return err
		}
		if i > 0 && set[i-1].Key == set[i].Key {
			return Errorf(CodeInvalidCommand, "set: a member is there twice")
		}
	}
	return nil
}

// checkUnset refuses members that a patch can't unset, and returns the others, each once.
func checkUnset(unset []string, set events.Members) ([]string, error) {
	if len(unset) == 0 {
		return nil, nil
	}
	for _, key := range unset {
		if err := checkKey(key); err != nil {
			return nil, err
		}
		if _, both := set.Get(key); both {
			return nil, Errorf(CodeInvalidCommand, "a member is in both set and unset")
		}
	}
	list := slices.Clone(unset)
	slices.Sort(list)
	return slices.Compact(list), nil
}

func checkKey(key string) error {
	switch {
	case key == "id", key == "type", key == "z":
		return Errorf(CodeInvalidCommand, "%s can't be patched", key)
	case key == "__proto__", !utf8.ValidString(key), strings.IndexByte(key, 0) >= 0:
		return Errorf(CodeInvalidCommand, "a member has a name that is not allowed")
	}
	return nil
}

func (d *decider) remove(c RemoveElements) error {
	if len(c.IDs) > MaxIDsPerCommand {
		return Errorf(CodeTooLarge, "more than %d ids", MaxIDsPerCommand)
	}
	ids := d.present(c.IDs)
	if len(ids) > 0 {
		d.emit(events.ElementRemoved, &events.ElementRemovedData{IDs: ids})
	}
	return nil
}

// present returns the ids of elements that exist, each once; the others are dropped, each once.
func (d *decider) present(ids []string) []string {
	if len(ids) == 1 {
		if d.room.canvas.byID[ids[0]] == nil {
			d.dropped(ids[0])
			return nil
		}
		return []string{ids[0]}
	}
	seen := make(map[string]bool, len(ids))
	var here []string
	for _, id := range ids {
		switch {
		case seen[id]:
		case d.room.canvas.byID[id] == nil:
			d.dropped(id)
		default:
			here = append(here, id)
		}
		seen[id] = true
	}
	return here
}
