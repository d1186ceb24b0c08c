package domain

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/infinite-kanvas/kanvas/events"
)

func (r *Room) foldAdded(e *events.Event, d *events.ElementAddedData, rev uint64) error {
	is, err := ParseElement(d.Element)
	switch {
	case err != nil:
		return err
	case is.z == "":
		return fmt.Errorf("the element has no z")
	case r.canvas.byID[is.id] != nil:
		return fmt.Errorf("the element exists")
	}
	r.beginChange(e)
	me := r.numberOf(Actor{e.Actor})
	en := entry{id: is.id, added: rev}
	back := (*Element)(nil)
	if p := r.change.doing; p != nil {
		back = p.target(is.id, nil, me)
	}
	if back != nil && bytes.Equal(back.json, is.json) {
		is = back
		en.added, en.base = is.provenanceOf("id").rev, is
	} else {
		is = is.stamped(provenance{rev, me})
	}
	r.putElement(nil, is)
	r.record(en, rev)
	return nil
}

func (r *Room) foldPatched(e *events.Event, d *events.ElementPatchedData, rev uint64) error {
	was := r.canvas.byID[d.ID]
	if was == nil {
		return fmt.Errorf("the element is gone")
	}
	var buf [8]part
	parts, err := partsOf(buf[:0], d)
	if err != nil {
		return err
	}
	r.beginChange(e)
	me := r.numberOf(Actor{e.Actor})
	for i := range parts {
		parts[i].by = provenance{rev, me}
	}
	if p := r.change.doing; p != nil {
		if target := p.target(d.ID, was, me); target != nil {
			takeBack(target, parts)
		}
	}
	is := was.apply(parts)
	r.putElement(was, is)
	if me != 0 && len(parts) > 0 {
		r.record(entry{id: was.id, members: reverts(was, parts)}, rev)
	}
	return nil
}

// partsOf reads a patch, and refuses what no command can ask for.
func partsOf(parts []part, d *events.ElementPatchedData) ([]part, error) {
	for _, m := range d.Set {
		if m.Key == "id" || m.Key == "type" || len(m.Value) == 0 {
			return nil, fmt.Errorf("member %q can't be set", m.Key)
		}
		if m.Key == "z" && (m.Value[0] != '"' || !ValidZ(unquote(m.Value))) {
			return nil, fmt.Errorf("no paint-order key")
		}
		parts = append(parts, part{key: m.Key, value: m.Value})
	}
	for _, key := range d.Unset {
		if key == "id" || key == "type" || key == "z" {
			return nil, fmt.Errorf("member %q can't be unset", key)
		}
		parts = append(parts, part{key: key})
	}
	sortParts(parts)
	for i := 1; i < len(parts); i++ {
		if parts[i-1].key == parts[i].key {
			return nil, fmt.Errorf("member %q is there twice", parts[i].key)
		}
	}
	return parts, nil
}

// reverts says how to take a patch back. Old values are copied: they must not keep whole old elements in memory.
func reverts(was *Element, parts []part) []revert {
	list := make([]revert, len(parts))
	n := 0
	for i := range parts {
		rv := &list[i]
		rv.key, rv.after = parts[i].key, parts[i].by
		if at, ok := was.find(rv.key); ok {
			m := &was.members[at]
			rv.old, rv.before = was.json[m.start:m.end], m.by
			n += len(rv.old)
		} else {
			rv.before = was.provenanceOf(rv.key)
		}
	}
	held := make([]byte, 0, n)
	for i := range list {
		if rv := &list[i]; rv.old != nil {
			from := len(held)
			held = append(held, rv.old...)
			rv.old = held[from:len(held):len(held)]
		}
	}
	return list
}

func (r *Room) foldRemoved(e *events.Event, d *events.ElementRemovedData, rev uint64) error {
	gone := make([]*Element, 0, len(d.IDs))
	for _, id := range d.IDs {
		el := r.canvas.byID[id]
		if el == nil {
			return fmt.Errorf("an element is gone already")
		}
		gone = append(gone, el)
	}
	if len(d.IDs) > 1 {
		ids := slices.Sorted(slices.Values(d.IDs))
		if len(slices.Compact(ids)) != len(d.IDs) {
			return fmt.Errorf("an id is there twice")
		}
	}
	r.beginChange(e)
	me := r.numberOf(Actor{e.Actor})
	r.dropElements(gone)
	if me == 0 {
		return nil
	}
	for _, el := range gone {
		r.record(entry{id: el.id, removed: el}, rev)
	}
	return nil
}
