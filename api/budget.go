package api

import (
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/domain"
)

// What the bodies larger than maxBody of all requests may hold at a time, in bytes; parsing and taking pictures out hold about as much again.
const (
	bodyBytes           = 256 << 20
	bodyBytesPerAddress = 64 << 20
	retryBody           = 2 * time.Second
)

// bodyBudget counts the bytes of large bodies, from before they are read until their request is answered. Safe for concurrent use.
type bodyBudget struct {
	mu        sync.Mutex
	total     int64
	byAddress map[string]int64
}

// admit takes room for the request's body of at most limit bytes; release gives it back and must be called. Bodies up to maxBody are free: how many
// there are is bounded by how many connections there are. Where there is no room the request is refused at once, before any of its body is read.
func (b *bodyBudget) admit(c echo.Context, limit int64) (release func(), err error) {
	n := c.Request().ContentLength
	if n < 0 || n > limit {
		n = limit // chunked, or refused as soon as the limit is read
	}
	if n <= maxBody {
		return func() {}, nil
	}
	address := auth.AddressKey(requestOf(c).client)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.byAddress[address]+n > bodyBytesPerAddress:
		return nil, &httpError{reason: domain.Errorf(domain.CodeRateLimited, "too many large bodies from this address at once"), retry: retryBody}
	case b.total+n > bodyBytes:
		return nil, &httpError{reason: domain.Errorf(domain.CodeReadOnly, "too many large bodies at once"), retry: retryBody}
	}
	if b.byAddress == nil {
		b.byAddress = map[string]int64{}
	}
	b.total += n
	b.byAddress[address] += n
	return func() { b.release(address, n) }, nil
}

func (b *bodyBudget) release(address string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total -= n
	if b.byAddress[address] -= n; b.byAddress[address] == 0 {
		delete(b.byAddress, address)
	}
}
