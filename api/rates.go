package api

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/infinite-kanvas/kanvas/domain"
)

// rateName names a limit, as a metric's label too.
type rateName string

const (
	rateGuests   rateName = "guests"
	rateRooms    rateName = "rooms"
	rateTickets  rateName = "tickets"
	rateReads    rateName = "reads"
	rateAssets   rateName = "assets"
	rateChanges  rateName = "changes"
	rateCommands rateName = "commands"
	rateBridge   rateName = "bridge"
	rateUploads  rateName = "uploads"
	rateFal      rateName = "fal_follow"
	rateFalFiles rateName = "fal_files"
)

// localRates are per user, or per address for anonymous callers, and counted by this process alone: asking a store would cost more than what they
// bound. sharedLimits are the others.
var localRates = map[rateName]struct {
	perSecond rate.Limit
	burst     int
}{
	rateTickets:  {10, 100},
	rateReads:    {100, 1_000},
	rateAssets:   {500, 5_000}, // a room may show thousands of pictures at once
	rateChanges:  {50, 500},
	rateCommands: {200, domain.MaxCommandsPerList}, // one list of the largest size fits
	rateBridge:   {10, 100},
	rateFalFiles: {1, 60},   // front ends load them from fal.ai itself
	rateFal:      {20, 200}, // a client asks twice a second how a job is doing
}

const (
	// callersKept is how many callers a limit remembers; the one that was quiet longest is forgotten first, which gives it a full burst again.
	callersKept = 20_000
	// maxRetry bounds Retry-After.
	maxRetry      = time.Minute
	retryDraining = 2 * time.Second
)

// rates holds the local limits. Safe for concurrent use.
type rates struct {
	on  bool
	now func() time.Time
	by  map[rateName]*callers
}

func newRates(on bool, now func() time.Time) *rates {
	r := &rates{on: on, now: now, by: map[rateName]*callers{}}
	for name, l := range localRates {
		r.by[name] = &callers{limit: l.perSecond, burst: l.burst, order: list.New(), byKey: map[string]*list.Element{}}
	}
	return r
}

// take counts n for the caller; wait is 0 where it may go on, else how long until it may.
func (r *rates) take(name rateName, key string, n int) (wait time.Duration) {
	if !r.on {
		return 0
	}
	now := r.now()
	reservation := r.by[name].get(key).ReserveN(now, n)
	if !reservation.OK() {
		return maxRetry
	}
	if wait = reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
	}
	return min(wait, maxRetry)
}

// callers is an LRU of limiters.
type callers struct {
	limit rate.Limit
	burst int

	mu    sync.Mutex
	order *list.List // of *caller, newest first
	byKey map[string]*list.Element
}

type caller struct {
	key string
	*rate.Limiter
}

func (c *callers) get(key string) *rate.Limiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*caller).Limiter
	}
	if c.order.Len() >= callersKept {
		oldest := c.order.Back()
		delete(c.byKey, c.order.Remove(oldest).(*caller).key)
	}
	k := &caller{key, rate.NewLimiter(c.limit, c.burst)}
	c.byKey[key] = c.order.PushFront(k)
	return k.Limiter
}
