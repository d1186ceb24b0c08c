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
}

// FalSpending keeps account of calls that are paid for with the server's key. All methods may be called concurrently.
type FalSpending interface {
	// Reserve takes what the call may cost from the person's and the server's budgets before it is made; a *domain.Error refuses the call.
	// settle must be called once when it is over, with the status of fal.ai's answer, or 0 where nothing is known to have come of it.
	Reserve(ctx context.Context, who Caller, call FalCall) (settle func(ctx context.Context, status int), err error)
}
