package realtime

import (
	"sync"
	"time"
)

// gate counts sockets before anything is given to them. Safe for concurrent use.
type gate struct {
	mu     sync.Mutex
	limits *Limits
	total  int
	idle   chan struct{}  // not nil: nobody enters; closed when nobody is left
	hosts  map[string]int // sockets by address
	users  map[string]int // sockets by user
	big    int            // frames larger than keptBuffer that are being read or handled
	bigs   map[string]int // and by address
	freed  chan struct{}  // closed, and made anew, when one of them is done
}

func newGate(l *Limits) *gate {
	return &gate{limits: l, hosts: map[string]int{}, users: map[string]int{}, bigs: map[string]int{}, freed: make(chan struct{})}
}

// enter counts a socket of address in; reason is "" where it may stay and leave must be called for it.
func (g *gate) enter(address string) (reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.idle != nil:
		return "draining"
	case g.total >= g.limits.MaxSockets:
		return "sockets"
	case g.hosts[address] >= g.limits.PerAddress:
		return "address"
	}
	g.total++
	g.hosts[address]++
	return ""
}

func (g *gate) leave(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	less(g.hosts, address)
	if g.idle != nil && g.total == 0 {
		close(g.idle)
	}
}

// How many frames larger than keptBuffer may be under way: what anybody can have the process hold is bounded by them, 12 MiB each.
const (
	bigFrames           = 48
	bigFramesPerAddress = 8
	bigFrameTimeout     = 2 * time.Minute // to get a place, and then to send the whole frame
)

// enterBig waits for a place for a large frame of address; what the client sends meanwhile waits with it. false: none in time, or closing.
func (g *gate) enterBig(address string, closing <-chan struct{}) bool {
	t := time.NewTimer(bigFrameTimeout)
	defer t.Stop()
	for {
		g.mu.Lock()
		if g.big < bigFrames && g.bigs[address] < bigFramesPerAddress {
			g.big++
			g.bigs[address]++
			g.mu.Unlock()
			return true
		}
		freed := g.freed
		g.mu.Unlock()
		select {
		case <-freed:
		case <-t.C:
			return false
		case <-closing:
			return false
		}
	}
}

func (g *gate) leaveBig(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.big--
	less(g.bigs, address)
	close(g.freed)
	g.freed = make(chan struct{})
}

// enterUser counts a socket of user in; false: too many.
func (g *gate) enterUser(user string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.users[user] >= g.limits.PerUser {
		return false
	}
	g.users[user]++
	return true
}

func (g *gate) leaveUser(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	less(g.users, user)
}

func less(m map[string]int, key string) {
	if m[key]--; m[key] <= 0 {
		delete(m, key)
	}
}

// close lets nobody in any more; the channel is closed when the last one has left.
func (g *gate) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.idle == nil {
		g.idle = make(chan struct{})
		if g.total == 0 {
			close(g.idle)
		}
	}
	return g.idle
}
