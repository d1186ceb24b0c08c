package commands

import "sync"

// Cache holds values made once from an immutable owner, by key. The zero Cache is ready; safe for concurrent use.
type Cache struct {
	mu sync.Mutex
	m  map[any]*cacheEntry
}

type cacheEntry struct {
	once sync.Once
	v    any
}

// Get returns the value under key, making it with make the first time; concurrent callers of one key share one call.
func (c *Cache) Get(key any, make func() any) any {
	c.mu.Lock()
	if c.m == nil {
		c.m = map[any]*cacheEntry{}
	}
	e := c.m[key]
	if e == nil {
		e = &cacheEntry{}
		c.m[key] = e
	}
	c.mu.Unlock()
	e.once.Do(func() { e.v = make() })
	return e.v
}
