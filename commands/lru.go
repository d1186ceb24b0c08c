package commands

import (
	"container/list"
	"sync"
	"time"
)

// lru keeps at most size values, each for at most fresh (0: without end), dropping those used least recently. Safe for concurrent use.
type lru[K comparable, V any] struct {
	size  int
	fresh time.Duration

	mu    sync.Mutex
	m     map[K]*list.Element
	order list.List // of entry[K, V], newest use first
}

type entry[K comparable, V any] struct {
	key  K
	v    V
	made time.Time
}

func newLRU[K comparable, V any](size int, fresh time.Duration) *lru[K, V] {
	return &lru[K, V]{size: size, fresh: fresh, m: map[K]*list.Element{}}
}

func (c *lru[K, V]) get(k K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.m[k]
	if e == nil {
		return v, false
	}
	it := e.Value.(entry[K, V])
	if c.fresh > 0 && time.Since(it.made) > c.fresh {
		c.order.Remove(e)
		delete(c.m, k)
		return v, false
	}
	c.order.MoveToFront(e)
	return it.v, true
}

func (c *lru[K, V]) put(k K, v V) { c.update(k, func(V) V { return v }) }

// update puts what f makes of the value that is kept, or of none.
func (c *lru[K, V]) update(k K, f func(V) V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var v V
	if e := c.m[k]; e != nil {
		v = e.Value.(entry[K, V]).v
	}
	v = f(v)
	it := entry[K, V]{k, v, time.Now()}
	if e := c.m[k]; e != nil {
		e.Value = it
		c.order.MoveToFront(e)
		return
	}
	c.m[k] = c.order.PushFront(it)
	if c.order.Len() > c.size {
		last := c.order.Remove(c.order.Back()).(entry[K, V])
		delete(c.m, last.key)
	}
}

func (c *lru[K, V]) drop(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.m[k]; e != nil {
		c.order.Remove(e)
		delete(c.m, k)
	}
}
