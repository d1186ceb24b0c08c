package domain

import (
	"slices"
	"strings"
)

// canvas holds a room's elements, by id and in paint order (z bytewise, ties by id).
type canvas struct {
	byID  map[string]*Element
	order []*Element
	bytes int // of canonical JSON
}

func (c *canvas) init() { c.byID = map[string]*Element{} }

func comparePaint(a, b *Element) int {
	if c := strings.Compare(a.z, b.z); c != 0 {
		return c
	}
	return strings.Compare(a.id, b.id)
}

// place is where e is in paint order, or would be.
func (c *canvas) place(e *Element) int {
	if n := len(c.order); n == 0 || comparePaint(c.order[n-1], e) < 0 {
		return n // most additions go to the front
	}
	i, _ := slices.BinarySearchFunc(c.order, e, comparePaint)
	return i
}

// put replaces was (nil: absent) by is (nil: absent); both have one id. was must be on the canvas.
func (c *canvas) put(was, is *Element) {
	switch {
	case was == nil && is == nil:
		return
	case was == nil:
		c.order = slices.Insert(c.order, c.place(is), is)
	case is == nil:
		i := c.place(was)
		c.order = slices.Delete(c.order, i, i+1)
		delete(c.byID, was.id)
		c.bytes -= len(was.json)
		return
	case was.z == is.z:
		c.order[c.place(was)] = is
		c.bytes -= len(was.json)
	default:
		i := c.place(was)
		c.order = slices.Delete(c.order, i, i+1)
		c.order = slices.Insert(c.order, c.place(is), is)
		c.bytes -= len(was.json)
	}
	c.byID[is.id] = is
	c.bytes += len(is.json)
}

// drop takes several elements away in one pass. The slice that held the order before stays as it was.
func (c *canvas) drop(gone []*Element) {
	for _, e := range gone {
		delete(c.byID, e.id)
		c.bytes -= len(e.json)
	}
	left := make([]*Element, 0, len(c.byID)+8)
	for _, e := range c.order {
		if c.byID[e.id] != nil {
			left = append(left, e)
		}
	}
	c.order = left
}

// Element returns the element with the id, nil where there is none.
func (r *Room) Element(id string) *Element { return r.canvas.byID[id] }

// Elements returns all elements in paint order. The slice is the caller's.
func (r *Room) Elements() []*Element { return slices.Clone(r.canvas.order) }

// ElementCount is how many elements there are.
func (r *Room) ElementCount() int { return len(r.canvas.order) }

// ElementBytes is the sum of the elements' canonical JSON in bytes.
func (r *Room) ElementBytes() int { return r.canvas.bytes }
