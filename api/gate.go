package api

import (
	"sync"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
)

// gate bounds what is under way at once. Safe for concurrent use.
type gate struct {
	what      string // in the plural, for who is refused
	perCaller int
	perNode   int
	retry     time.Duration

	mu    sync.Mutex
	total int
	by    map[string]int
}

// enter counts one in; leave must be called when it is over.
func (g *gate) enter(key string) (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by[key] >= g.perCaller {
		return nil, &httpError{reason: domain.Errorf(domain.CodeRateLimited, "at most %d %s at once", g.perCaller, g.what), retry: g.retry}
	}
	if g.total >= g.perNode {
		return nil, &httpError{reason: domain.Errorf(domain.CodeReadOnly, "too many %s here now", g.what), retry: g.retry}
	}
	if g.by == nil {
		g.by = map[string]int{}
	}
	g.total++
	g.by[key]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.total--
		if g.by[key]--; g.by[key] <= 0 {
			delete(g.by, key)
		}
	}, nil
}
