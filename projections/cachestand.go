package projections

import "time"

// keptFor is how long a node that stands by keeps what changed: longer than it takes to see that the node that writes is gone, and than what was due
// there can have waited.
const keptFor = 2 * time.Minute

// stand is what a node knows while another one writes: all of them hear of all changes, and one alone writes them.
type stand struct {
	by     bool // another node writes, or is about to
	marks  map[cacheKey]keptMark
	tidied time.Time
}

type keptMark struct {
	value string
	at    time.Time
}

// keep marks a key for the case that this node has to take over, with mu held. What is old was written by the other; where there are too many the
// newest are not kept.
func (c *Caches) keep(k cacheKey, value string) bool {
	now := c.cfg.Now()
	if now.Sub(c.stand.tidied) > keptFor/4 {
		c.stand.tidied = now
		for k, m := range c.stand.marks {
			if now.Sub(m.at) > keptFor {
				delete(c.stand.marks, k)
			}
		}
	}
	if _, ok := c.stand.marks[k]; !ok && len(c.stand.marks) >= c.cfg.Keys {
		return false
	}
	c.stand.marks[k] = keptMark{value, now}
	return true
}

// lead says whether this node is the one that writes. One that begins to writes what the one before may not have come to; one that ends still writes
// what is due.
func (c *Caches) lead(first bool) {
	c.mu.Lock()
	began := first && c.stand.by
	c.stand.by = !first
	if began {
		now := c.cfg.Now()
		for k, m := range c.stand.marks {
			if _, newer := c.due[k]; !newer && now.Sub(m.at) <= keptFor {
				c.put(k, m.value)
			}
		}
		clear(c.stand.marks)
	}
	c.mu.Unlock()
	if began {
		c.poke()
	}
}
