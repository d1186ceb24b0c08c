package jetstream

import (
	"container/list"
	"sync"
	"time"
)

// keyCache remembers the keys that were used last. Safe for concurrent use.
type keyCache struct {
	limit   int
	trusted time.Duration // how long an entry is believed; 0: until it is pushed out

	mu  sync.Mutex
	gen uint64 // rises with every destruction
	m   map[string]*list.Element
	lru *list.List // of *keyEntry, newest first
}

type keyEntry struct {
	person string
	key    []byte // nil: destroyed
	until  time.Time
}

func newKeyCache(limit int, trusted time.Duration) *keyCache {
	return &keyCache{limit: limit, trusted: trusted, m: map[string]*list.Element{}, lru: list.New()}
}

func (c *keyCache) get(person string) (key []byte, ok, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.m[person]
	if el == nil {
		return nil, false, false
	}
	e := el.Value.(*keyEntry)
	if e.key != nil && c.trusted > 0 && time.Now().After(e.until) {
		c.dropLocked(el)
		return nil, false, false
	}
	c.lru.MoveToFront(el)
	return e.key, e.key != nil, true
}

// generation is for put: a key read before a destruction must not be remembered after it.
func (c *keyCache) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gen
}

func (c *keyCache) put(person string, key []byte, ok bool, generation uint64) {
	if !ok {
		key = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation == c.gen {
		c.putLocked(person, key)
	}
}

func (c *keyCache) destroy(person string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	c.putLocked(person, nil)
}

func (c *keyCache) putLocked(person string, key []byte) {
	if el := c.m[person]; el != nil {
		c.dropLocked(el)
	}
	c.m[person] = c.lru.PushFront(&keyEntry{person, key, time.Now().Add(c.trusted)})
	for c.lru.Len() > c.limit {
		c.dropLocked(c.lru.Back())
	}
}

// dropLocked forgets an entry.
func (c *keyCache) dropLocked(el *list.Element) {
	e := el.Value.(*keyEntry)
	delete(c.m, e.person)
	c.lru.Remove(el)
}
