package realtime

import (
	"time"

	"golang.org/x/time/rate"
)

// Old clients reconnect for ever, so a handshake that is refused has to stay cheap: an address that was refused often is answered before
// anything is looked up.
const (
	refusalRate  = 5 // a second and address
	refusalBurst = 60
	maxRefusals  = 10_000 // addresses remembered
)

// refusals counts refused handshakes by address. Guarded by heldStore.mu.
type refusals struct {
	m     map[string]*rate.Limiter
	swept time.Time
}

// admits reports whether the address may be looked at.
func (s *heldStore) admits(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.refusals.m[address]
	return l == nil || l.Tokens() >= 1
}

func (s *heldStore) refused(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.refusals
	now := time.Now()
	if r.m == nil || len(r.m) >= maxRefusals || now.Sub(r.swept) > time.Minute {
		r.swept = now
		kept := map[string]*rate.Limiter{}
		for a, l := range r.m {
			if l.Tokens() < refusalBurst && len(kept) < maxRefusals/2 {
				kept[a] = l
			}
		}
		r.m = kept
	}
	l := r.m[address]
	if l == nil {
		l = rate.NewLimiter(refusalRate, refusalBurst)
		r.m[address] = l
	}
	l.Allow()
}
