package commands

import (
	"context"
	"net/url"
)

// FalKind is what a call to fal.ai does, which decides what it counts against.
type FalKind string

const (
	FalRun    FalKind = "run"    // runs a model or puts it in the queue: costs money
	FalFollow FalKind = "follow" // status, result or end of a job that was put in the queue
	FalUpload FalKind = "upload" // asks for an address to upload a file to
	FalFile   FalKind = "file"   // bytes of a file; sent without any key
	FalOther  FalKind = "other"  // whatever else fal.ai serves, for a caller's own key alone
)

// FalCall is a call that may be made.
type FalCall struct {
	Method string
	URL    *url.URL
	Kind   FalKind
	Model  string // of FalRun, such as "fal-ai/flux-kontext-lora/text-to-image"
	Queues bool   // of FalRun: it puts a job in the queue
	Job    string // of FalFollow: the id of the job whose result is asked for; "" where anything else is
	Input  []byte // of FalRun: the JSON that the model is given; nil: not known
}

// FalAnswer is what a call came to.
type FalAnswer struct {
	Status int     // of fal.ai's answer; 0: none came, or not all of what was sent arrived
	Units  float64 // that fal.ai says it billed, of those that the model is priced by; 0: it didn't say
	Unsent bool    // nothing can have arrived
	Job    string  // id of the job that the call put in the queue
}

// Payer is whose budget a call is paid from.
type Payer struct {
	Person  string // a user's id; "": nobody's
	Address string // as of Spend
}

// FalSpending keeps account of calls that are paid for with the server's key. All methods may be called concurrently.
type FalSpending interface {
	// Reserve takes what the call may cost from the caller's and the server's budgets before it is made; a *domain.Error refuses the call. settle must be
	// called once when it is over.
	Reserve(ctx context.Context, who Payer, call FalCall) (settle func(ctx context.Context, answer FalAnswer), err error)
	// Followed says what somebody was answered who asked for the result of a job: what it did cost is known now.
	Followed(ctx context.Context, job string, answer FalAnswer)
}
