package api

import "sync"

// broadcast wakes everybody who waits. The zero broadcast is ready; safe for concurrent use.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

// next is closed at the next wake.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// ForgetUser ends the event streams of people who were deleted. commands.Users knows of it already.
func (a *API) ForgetUser() { a.forgotten.wake() }
