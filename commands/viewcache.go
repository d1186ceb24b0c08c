package commands

import (
	"container/list"
	"sync"
)

// Bounds of the views of the past kept in memory.
const (
	pastViews = 64
	pastBytes = 64 << 20 // of their elements; a larger view is not kept
)

type viewKey struct {
	room     string
	revision uint64
}

// viewCache keeps the views of the past that were asked for last. The zero viewCache is ready; safe for concurrent use.
type viewCache struct {
	mu    sync.Mutex
	m     map[viewKey]*list.Element
	order list.List // of pastView, newest use first
	bytes int
}

type pastView struct {
	key   viewKey
	view  *View
	bytes int
}

func (c *viewCache) get(k viewKey) *View {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.m[k]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(pastView).view
}

func (c *viewCache) put(k viewKey, v *View, bytes int) {
	if bytes > pastBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[viewKey]*list.Element{}
	}
	if c.m[k] != nil {
		return
	}
	c.m[k] = c.order.PushFront(pastView{k, v, bytes})
	c.bytes += bytes
	for c.bytes > pastBytes || c.order.Len() > pastViews {
		last := c.order.Remove(c.order.Back()).(pastView)
		delete(c.m, last.key)
		c.bytes -= last.bytes
	}
}
