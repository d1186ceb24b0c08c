package domain

import (
	"slices"

	"github.com/infinite-kanvas/kanvas/events"
)

// slot is a place in the paint order to come: e nil is an element that is yet to be added, z "" one that needs a key.
type slot struct {
	e *Element
	z string
}

// makePlace gives a key for a new element at index at of the paint order. Where there is no short key between its neighbours it
// emits patches that give them others.
func (d *decider) makePlace(at int) string {
	order := d.room.canvas.order
	var a, b string
	if at > 0 {
		a = order[at-1].z
	}
	if at < len(order) {
		b = order[at].z
	}
	if b == "" || a < b {
		if z := keyBetween(a, b); len(z) <= MaxZ {
			return z
		}
	}
	list := make([]slot, 0, len(order)+1)
	for _, e := range order[:at] {
		list = append(list, slot{e, e.z})
	}
	list = append(list, slot{})
	for _, e := range order[at:] {
		list = append(list, slot{e, e.z})
	}
	spread(list)
	d.emitOrder(list)
	return list[at].z
}

// spread gives a key to every slot that needs one, and new keys to as many of their neighbours as have no room between them.
func spread(list []slot) {
	for i := 0; i < len(list); i++ {
		if list[i].z != "" {
			continue
		}
		lo, hi := i, i
		for step, limit := 4, MaxZ; !fill(list, lo, &hi, limit); step, limit = step*2, MaxZ/4 {
			lo, hi = max(0, lo-step), min(len(list), hi+step)
		}
		i = hi - 1
	}
}

// fill gives keys to list[lo:hi], after hi was moved up to the next slot with a key. It changes nothing where there are none of at
// most limit bytes.
func fill(list []slot, lo int, hi *int, limit int) bool {
	for *hi < len(list) && list[*hi].z == "" {
		*hi++
	}
	var a, b string
	if lo > 0 {
		a = list[lo-1].z
	}
	if *hi < len(list) {
		b = list[*hi].z
	}
	keys, err := KeysBetween(a, b, *hi-lo)
	if err != nil { // the neighbours have one key
		return false
	}
	for _, k := range keys {
		if len(k) > limit {
			return false
		}
	}
	for i, k := range keys {
		list[lo+i].z = k
	}
	return true
}

// emitOrder patches the elements whose key is a new one.
func (d *decider) emitOrder(list []slot) {
	for _, s := range list {
		if s.e != nil && s.e.z != s.z {
			set := events.Members{{Key: "z", Value: quotedZ(s.z)}}
			d.emit(events.ElementPatched, &events.ElementPatchedData{ID: s.e.id, Set: set})
		}
	}
}

func (d *decider) reorder(c ReorderElements) error {
	if err := checkReorder(c); err != nil {
		return err
	}
	ids := d.present(c.IDs)
	for _, anchor := range [...]string{c.Before, c.After} {
		if anchor != "" && d.room.canvas.byID[anchor] == nil {
			d.dropped(anchor) // nobody knows any more where to
			return nil
		}
	}
	if len(ids) == 0 {
		return nil
	}
	moved := make(map[string]bool, len(ids))
	for _, id := range ids {
		moved[id] = true
	}
	rest := make([]*Element, 0, len(d.room.canvas.order))
	at := 0
	for _, e := range d.room.canvas.order {
		if moved[e.id] {
			continue
		}
		if e.id == c.Before {
			at = len(rest)
		}
		if rest = append(rest, e); e.id == c.After || c.To == "front" {
			at = len(rest)
		}
	}
	list := make([]slot, 0, len(d.room.canvas.order))
	for _, e := range rest[:at] {
		list = append(list, slot{e, e.z})
	}
	list = append(list, d.staying(ids, rest, at)...)
	for _, e := range rest[at:] {
		list = append(list, slot{e, e.z})
	}
	spread(list)
	d.emitOrder(list)
	return nil
}

func checkReorder(c ReorderElements) error {
	n := 0
	for _, s := range [...]string{c.Before, c.After, c.To} {
		if s != "" {
			n++
		}
	}
	switch {
	case n != 1:
		return Errorf(CodeInvalidCommand, "exactly one of before, after and to")
	case c.To != "" && c.To != "front" && c.To != "back":
		return Errorf(CodeInvalidCommand, "to: front or back")
	case len(c.IDs) > MaxIDsPerCommand:
		return Errorf(CodeTooLarge, "more than %d ids", MaxIDsPerCommand)
	case slices.Contains(c.IDs, c.Before+c.After) && c.To == "":
		return Errorf(CodeInvalidCommand, "an element can't be moved next to itself")
	}
	return nil
}

// staying lists the elements to be moved behind rest[:at], in the order asked for. Of those that are there already, as many keep
// their key as stand in that order.
func (d *decider) staying(ids []string, rest []*Element, at int) []slot {
	list := make([]slot, len(ids))
	var there []int
	for i, id := range ids {
		e := d.room.canvas.byID[id]
		list[i].e = e
		if (at == 0 || comparePaint(rest[at-1], e) < 0) && (at == len(rest) || comparePaint(e, rest[at]) < 0) {
			there = append(there, i)
		}
	}
	for _, i := range longestRising(there, func(a, b int) int { return comparePaint(list[a].e, list[b].e) }) {
		list[i].z = list[i].e.z
	}
	return list
}

// longestRising returns a longest subsequence of list that rises.
func longestRising(list []int, compare func(a, b int) int) []int {
	if len(list) == 0 {
		return nil
	}
	ends := make([]int, 0, len(list)) // ends[k] is the index of the lowest end of a rising one of k+1
	prev := make([]int, len(list))
	for i := range list {
		k, _ := slices.BinarySearchFunc(ends, i, func(end, i int) int { return compare(list[end], list[i]) })
		prev[i] = -1
		if k > 0 {
			prev[i] = ends[k-1]
		}
		if k == len(ends) {
			ends = append(ends, i)
		} else {
			ends[k] = i
		}
	}
	out := make([]int, len(ends))
	for k, i := len(ends)-1, ends[len(ends)-1]; k >= 0; k, i = k-1, prev[i] {
		out[k] = list[i]
	}
	return out
}
