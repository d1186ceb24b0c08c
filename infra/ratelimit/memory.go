package ratelimit

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/infinite-kanvas/kanvas/commands"
)

// callersKept is how many callers of all actions together a process remembers; who was quiet longest is forgotten first.
const callersKept = 50_000

var _ commands.Limiter = (*Memory)(nil)

// Memory counts for this process alone. Safe for concurrent use.
type Memory struct {
	now func() time.Time

	mu    sync.Mutex
	known *simplelru.LRU[string, []counts]
}

// NewMemory makes an empty store; now nil is the system's clock.
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	known, err := simplelru.NewLRU[string, []counts](callersKept, nil)
	if err != nil {
		panic(err) // a size under 1
	}
	return &Memory{now: now, known: known}
}

// Take implements commands.Limiter. It never fails.
func (m *Memory) Take(_ context.Context, limit commands.Limit, who commands.Caller, n int) (commands.Taken, error) {
	key := limit.Action + ":" + who.ID
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().UnixMilli()
	got, ok := m.known.Get(key)
	if !ok || len(got) != len(limit.Windows) {
		got = make([]counts, len(limit.Windows))
	}
	for i, w := range limit.Windows {
		got[i] = got[i].at(now, w.Per)
	}
	t := decide(limit.Windows, got, now, n)
	if t.OK && n > 0 {
		for i := range got {
			got[i].current += int64(n)
		}
		m.known.Add(key, got)
	}
	return t, nil
}
