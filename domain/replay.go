package domain

import "bytes"

// replay is a step on its way back: what each of its elements becomes. It is not modified once made.
type replay struct {
	step *step
	ids  []string         // elements in the order in which they are taken back
	byID map[string][]int // indices of the step's entries, rising
}

func newReplay(s *step) *replay {
	p := &replay{step: s, byID: make(map[string][]int, len(s.entries))}
	for i := range s.entries {
		id := s.entries[i].id
		p.byID[id] = append(p.byID[id], i)
	}
	for i := len(s.entries) - 1; i >= 0; i-- {
		if id := s.entries[i].id; p.byID[id][len(p.byID[id])-1] == i {
			p.ids = append(p.ids, id)
		}
	}
	return p
}

// target is what becomes of one element, now nil where it is absent, when the step of person number me is taken back; the same
// pointer where nothing is left to revert.
func (p *replay) target(id string, now *Element, me uint32) *Element {
	list := p.byID[id]
	for i := len(list) - 1; i >= 0; i-- {
		switch en := &p.step.entries[list[i]]; {
		case en.removed != nil:
			if now == nil {
				now = en.removed
			}
		case now == nil:
		case en.members == nil:
			if en.untouched(now, me) {
				now = nil
			}
		default:
			now = en.reverted(now)
		}
	}
	return now
}

// untouched reports whether nobody else changed the element since the entry added it.
func (en *entry) untouched(now *Element, me uint32) bool {
	if now.provenanceOf("id").rev != en.added {
		return false
	}
	ours := func(key string, by provenance) bool {
		return by.actor == me && me != 0 || en.base != nil && by == en.base.provenanceOf(key)
	}
	for i := range now.members {
		if m := &now.members[i]; !ours(m.key, m.by) {
			return false
		}
	}
	for i := range now.gone {
		if t := &now.gone[i]; !ours(t.key, t.by) {
			return false
		}
	}
	return true
}

// reverted gives members that nobody changed since their old values and provenances. An element that would grow beyond
// MaxElementBytes stays as it is.
func (en *entry) reverted(now *Element) *Element {
	var changes []part
	for i := range en.members {
		if m := &en.members[i]; now.provenanceOf(m.key) == m.after {
			changes = append(changes, part{m.key, m.old, m.before})
		}
	}
	if len(changes) == 0 {
		return now
	}
	then := now.apply(changes)
	if len(then.json) > MaxElementBytes && len(then.json) > len(now.json) {
		return now
	}
	return then
}

// takeBack gives the parts of a patch the provenance that target has for them, where the values are the target's.
func takeBack(target *Element, parts []part) {
	for i := range parts {
		p := &parts[i]
		if v, ok := target.Get(p.key); ok == (p.value != nil) && bytes.Equal(v, p.value) {
			p.by = target.provenanceOf(p.key)
		}
	}
}
