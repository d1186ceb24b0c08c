package auth

import (
	"container/list"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"sync"
	"time"
)

const (
	// TicketLife is how long a ticket can be used.
	TicketLife = 60 * time.Second
	// MaxTickets are kept at once on a node; past it no more are made until some are used or over.
	MaxTickets = 100_000
	// MaxTicketsPerUser keeps one person from filling the store: the oldest of theirs goes first.
	MaxTicketsPerUser = 64

	ticketBytes = 32
)

// ErrTooManyTickets: the store is full; it empties by itself within TicketLife.
var ErrTooManyTickets = errors.New("auth: too many tickets are open")

// Ticket is what a used ticket stood for.
type Ticket struct {
	User, Room string
	expires    time.Time
	value      string
}

// Tickets holds one-use tickets in memory: they live a minute, so a restart costs a client one more request. The list is in the order
// of making, which is the order of expiring.
type Tickets struct {
	now func() time.Time

	mu      sync.Mutex
	order   *list.List               // of *Ticket, oldest first
	byValue map[string]*list.Element // by ticket
	perUser map[string]int
}

// NewTickets makes an empty store. now gives the time; nil is the system's clock.
func NewTickets(now func() time.Time) *Tickets {
	if now == nil {
		now = time.Now
	}
	return &Tickets{now: now, order: list.New(), byValue: map[string]*list.Element{}, perUser: map[string]int{}}
}

// Issue makes a ticket for one use by user in room, good for TicketLife.
func (t *Tickets) Issue(user, room string) (string, error) {
	var b [ticketBytes]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process where there is no randomness
	value := base64.RawURLEncoding.EncodeToString(b[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.sweep(now)
	if t.perUser[user] >= MaxTicketsPerUser {
		t.dropOldestOf(user)
	}
	if t.order.Len() >= MaxTickets {
		return "", ErrTooManyTickets
	}
	t.byValue[value] = t.order.PushBack(&Ticket{User: user, Room: room, expires: now.Add(TicketLife), value: value})
	t.perUser[user]++
	return value, nil
}

// Redeem uses the ticket up; ok is false where it is unknown, used or over.
func (t *Tickets) Redeem(value string) (Ticket, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(t.now())
	e, ok := t.byValue[value]
	if !ok {
		return Ticket{}, false
	}
	return *t.remove(e), true
}

func (t *Tickets) sweep(now time.Time) {
	for e := t.order.Front(); e != nil && !now.Before(e.Value.(*Ticket).expires); e = t.order.Front() {
		t.remove(e)
	}
}

func (t *Tickets) dropOldestOf(user string) {
	for e := t.order.Front(); e != nil; e = e.Next() {
		if e.Value.(*Ticket).User == user {
			t.remove(e)
			return
		}
	}
}

func (t *Tickets) remove(e *list.Element) *Ticket {
	k := t.order.Remove(e).(*Ticket)
	delete(t.byValue, k.value)
	if t.perUser[k.User]--; t.perUser[k.User] <= 0 {
		delete(t.perUser, k.User)
	}
	return k
}
