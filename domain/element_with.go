package domain

import (
	"cmp"
	"slices"

	"github.com/infinite-kanvas/kanvas/events"
)

// With returns a copy with members set and unset by the change of revision rev. set must be sorted and its values compact JSON;
// both must leave id and type alone, and no key may be there twice. Values are copied.
func (e *Element) With(set events.Members, unset []string, rev uint64) *Element {
	return e.with(set, unset, provenance{rev: rev})
}

func (e *Element) with(set events.Members, unset []string, by provenance) *Element {
	var buf [12]part
	changes := buf[:0]
	for _, m := range set {
		changes = append(changes, part{m.Key, m.Value, by})
	}
	for _, key := range unset {
		changes = append(changes, part{key, nil, by})
	}
	return e.apply(changes)
}

// apply returns a copy with the changes made; a part without value unsets. It sorts changes in place; no key may be there twice.
func (e *Element) apply(changes []part) *Element {
	sortParts(changes)
	var buf [24]part
	ps, j := buf[:0], 0
	for i := range e.members {
		m := &e.members[i]
		order := 1
		for j < len(changes) {
			if order = compareKeys(changes[j].key, m.key); order > 0 {
				break
			}
			if changes[j].value != nil {
				ps = append(ps, changes[j])
			}
			if j++; order == 0 {
				break
			}
		}
		if order != 0 {
			ps = append(ps, part{m.key, e.json[m.start:m.end], m.by})
		}
	}
	for ; j < len(changes); j++ {
		if changes[j].value != nil {
			ps = append(ps, changes[j])
		}
	}
	c := &Element{id: e.id, typ: e.typ, z: e.z, gone: e.goneAfter(changes)}
	c.build(ps)
	for i := range changes {
		if changes[i].key == "z" {
			c.z, _ = c.text("z")
		}
	}
	return c
}

func sortParts(ps []part) {
	slices.SortFunc(ps, func(a, b part) int { return compareKeys(a.key, b.key) })
}

// goneAfter is who unset members once the changes are made. It shares e's list where that stays as it is.
func (e *Element) goneAfter(changes []part) []tombstone {
	list, own := e.gone, false
	for _, c := range changes {
		if c.value != nil && len(list) == 0 {
			continue
		}
		i, found := slices.BinarySearchFunc(list, c.key, func(t tombstone, k string) int { return cmp.Compare(t.key, k) })
		if !found && (c.value != nil || c.by == provenance{}) {
			continue
		}
		if !own {
			list, own = slices.Clone(list), true
		}
		switch {
		case c.value != nil || c.by == provenance{}:
			list = slices.Delete(list, i, i+1)
		case found:
			list[i].by = c.by
		default:
			list = slices.Insert(list, i, tombstone{c.key, c.by})
		}
	}
	if len(list) > maxGone {
		list = newestGone(list)
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// newestGone keeps the maxGone newest, in order. list is the caller's own.
func newestGone(list []tombstone) []tombstone {
	byAge := slices.Clone(list)
	slices.SortFunc(byAge, func(a, b tombstone) int {
		return cmp.Or(-cmp.Compare(a.by.rev, b.by.rev), cmp.Compare(a.key, b.key))
	})
	byAge = byAge[:maxGone]
	slices.SortFunc(byAge, func(a, b tombstone) int { return cmp.Compare(a.key, b.key) })
	return byAge
}
