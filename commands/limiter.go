package commands

import (
	"context"
	"time"
)

// Limit is how often one caller may do something.
type Limit struct {
	Action  string   // names it in keys, metrics and answers: 1 to 32 of a-z and "_"
	Windows []Window // all must have room; shortest first, no two of the same length
	Spends  bool     // it costs money: counted durably, and refused where the count can't be known
}

// Window is a sliding window: at most Max in any Per, estimated from the counts of this fixed window and the one before.
type Window struct {
	Max int
	Per time.Duration // whole milliseconds
}

// Caller is whom a limit counts for.
type Caller struct {
	ID string // a person's id, or for who is nobody the address (IPv6: its /64)
	IP string // the exact address
}

// Taken is what counting came to.
type Taken struct {
	OK        bool
	Window    Window        // the tightest: where it was refused the one that lasts longest, else the one with the least left
	Remaining int           // how many more pass now in Window
	Reset     time.Time     // end of the fixed window in which Window now is
	Retry     time.Duration // of a refusal: when as many would pass if nothing else is counted
}

// Limiter counts what callers do. All methods may be called concurrently.
type Limiter interface {
	// Take counts n for the caller where every window has room for n, and nothing otherwise: never one more than Max passes, on all nodes
	// together. n 0 counts nothing and says whether one more would pass. It returns within about a second. An error means that the count
	// can't be known and the limit spends: refuse. Limits that don't spend never fail: while the store can't be asked they are counted by
	// this process alone.
	Take(ctx context.Context, limit Limit, who Caller, n int) (Taken, error)
}
