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
// Members that stay are copied in runs.
func (e *Element) apply(changes []part) *Element {
	sortParts(changes)
	n := len(e.json)
	for i := range changes {
		n += len(changes[i].key) + len(changes[i].value) + len(`"":,`)
	}
	c := &Element{id: e.id, typ: e.typ, z: e.z, gone: e.goneAfter(changes)}
	c.json = append(make([]byte, 0, n), '{')
	c.members = make([]member, 0, len(e.members)+len(changes))
	run, i := 0, 0 // e.members[run:i] stay and are not copied yet
	for j := range changes {
		order := 1
		for ; i < len(e.members); i++ {
			if order = compareKeys(e.members[i].key, changes[j].key); order >= 0 {
				break
			}
		}
		c.appendRun(e, run, i)
		if i < len(e.members) && order == 0 {
			i++
		}
		run = i
		c.appendPart(&changes[j])
	}
	c.appendRun(e, run, len(e.members))
	c.json = append(c.json, '}')
	return c
}

// appendRun copies e.members[from:to] to the end of an element in the making.
func (c *Element) appendRun(e *Element, from, to int) {
	if from >= to {
		return
	}
	start := uint32(1)
	if from > 0 {
		start = e.members[from-1].end + 1
	}
	if len(c.json) > 1 {
		c.json = append(c.json, ',')
	}
	shift := uint32(len(c.json)) - start // wraps around where it is less than 0
	c.json = append(c.json, e.json[start:e.members[to-1].end]...)
	for _, m := range e.members[from:to] {
		c.members = append(c.members, member{m.key, m.start + shift, m.end + shift, m.by})
	}
}

// appendPart sets a member at the end of an element in the making; a part without value does nothing.
func (c *Element) appendPart(p *part) {
	if p.value == nil {
		return
	}
	if len(c.json) > 1 {
		c.json = append(c.json, ',')
	}
	c.json = append(events.AppendString(c.json, p.key), ':')
	start := uint32(len(c.json))
	c.json = append(c.json, p.value...)
	c.members = append(c.members, member{p.key, start, uint32(len(c.json)), p.by})
	if p.key == "z" {
		c.z = unquote(p.value)
	}
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
