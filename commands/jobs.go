package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrNotSent: the job can't have reached the queue (no connection, or it was refused before the request was written). Trying again is safe.
var ErrNotSent = errors.New("jobs: not sent")

// Job is a run of a model that is put in the queue.
type Job struct {
	Model   string
	Input   json.RawMessage // as the model takes it: every file in it has an address that the queue's side can read
	Webhook string          // where the queue says that it is over; "" for nowhere
}

// JobRef names a job to the queue. The URLs are as the queue gave them, on the queue's own host.
type JobRef struct{ RequestID, StatusURL, ResponseURL, CancelURL string }

// States of a job.
const (
	JobQueued  = "queued"
	JobRunning = "running"
	JobDone    = "done" // ask for its Result, which says whether it worked
)

// JobStatus is how a job stands.
type JobStatus struct {
	State    string
	Position int // of JobQueued: how many are before it
}

// JobResult is what a job gave.
type JobResult struct {
	Output json.RawMessage // the model's own JSON
	Units  float64         // of the model's price that are billed; 0 where it isn't said
}

// JobFailure is the error of a job that will give no result: refused for good, or failed.
type JobFailure struct {
	Code      string // one of Failed…
	Detail    string // in our words: quotes neither the prompt nor addresses
	Said      string // in the words of the other side, at most 2 KiB; may quote the prompt, so it is sealed; "" for none
	Retryable bool   // the same may work another time
	Billed    bool   // it may have cost what a result costs
}

func (f *JobFailure) Error() string { return fmt.Sprintf("jobs: %s: %s", f.Code, f.Detail) }

// Why a generation failed. The names are the wire's and the log's.
const (
	FailedInput         = "invalid_input"   // the model does not take the input
	FailedContentPolicy = "content_policy"  // the model refuses the prompt or a picture
	FailedUpstream      = "upstream_failed" // the other side's fault
	FailedTimeout       = "timeout"         // not over in time
	FailedExpired       = "expired"         // the other side has forgotten it, or its files
	FailedResult        = "bad_result"      // what came is no picture or video that we keep
	FailedTooLarge      = "too_large"       // what came is more than the requester may keep
	FailedForgotten     = "forgotten"       // the requester's key was destroyed, so nobody can read what was asked
)

// Jobs is a queue of model runs that cost money. Methods may be called concurrently; each has a deadline of its own beside that of ctx. Errors other than
// the ones named are the other side's or the network's, and trying again may help; none of them holds a key or an input.
type Jobs interface {
	// Submit puts a job in the queue, in one request that is never repeated. ErrNotSent; *JobFailure where it was refused for good, so it was not taken;
	// any other error: it may have been taken.
	Submit(ctx context.Context, j Job) (JobRef, error)
	// Ref names a job by what its webhook says.
	Ref(model, requestID string) (JobRef, error)
	// Status asks how it stands; *JobFailure where the queue does not know it (any more).
	Status(ctx context.Context, ref JobRef) (JobStatus, error)
	// Result of a job that is JobDone; *JobFailure where it failed. It may be asked for again.
	Result(ctx context.Context, ref JobRef) (JobResult, error)
	// Cancel asks for the job's end. No error where it is over already; it may go on all the same.
	Cancel(ctx context.Context, ref JobRef) error
	// Upload gives the queue's side a file of ours to read, and returns its address.
	Upload(ctx context.Context, name, contentType string, size int64, body io.Reader) (url string, err error)
	// Fetch opens a file of a result; size is -1 where it isn't known. The caller closes body, which ends with an error where more comes than a file may have.
	// *JobFailure where it is gone or nowhere that may be asked.
	Fetch(ctx context.Context, url string) (body io.ReadCloser, contentType string, size int64, err error)
}

// Kinds of a generation's result.
const (
	ResultImage = "image"
	ResultVideo = "video"
)

// Model is what has to be known of a model beforehand.
type Model struct {
	Result string // ResultImage or ResultVideo
	// MaskOf is the member of the input that names a picture, where what the model gives is a mask: the result is that picture with the mask as its
	// alpha channel. "" for other models.
	MaskOf string
}

// ResultFile is a file of a job's output.
type ResultFile struct {
	URL           string
	ContentType   string // as said; "" unknown
	Width, Height int    // as said, pixels; 0 unknown
}

// Models knows the models that are run with the server's key. Methods are pure.
type Models interface {
	// Model is false for a model that is not run here.
	Model(name string) (Model, bool)
	// Files finds the files and the seed ("" for none) in what a model gave; at least one file, at most 16, or a *JobFailure with FailedResult.
	Files(model string, output json.RawMessage) (files []ResultFile, seed string, err error)
}

// MaskApplier makes a picture's alpha channel of a mask. It may be called concurrently.
type MaskApplier interface {
	// Apply returns the picture as PNG; white of the mask stays, black goes. The mask is scaled to the picture where it has another size.
	Apply(ctx context.Context, image, mask io.Reader) (png []byte, width, height int, err error)
}

// Spend is what is about to be paid for a person in a room.
type Spend struct {
	ID, Person, Room, Model string // ID: of the generation
	Amount                  int64  // millionths of a US dollar
	Address                 string // where a person comes from whose identity is free; "" for others. Only to reserve
}

// Spending keeps account of money, in millionths of a US dollar. Methods may be called concurrently, on several nodes.
type Spending interface {
	// Estimate is the most that a run may cost; Cost what it did, by what was billed or, where units is 0, by what it gave.
	Estimate(model string, input json.RawMessage) int64
	Cost(model string, input, output json.RawMessage, units float64) int64
	// Reserve takes the amount from the budgets, once for an ID; a *domain.Error says which is used up and when it opens.
	Reserve(ctx context.Context, s Spend) error
	// Settle ends the reservation: cost was spent of it, 0 gives all back. Again, or for an ID that has none, it changes nothing; with another cost
	// within a day that one counts instead.
	Settle(ctx context.Context, s Spend, cost int64) error
}

// Outcome is what became of a generation, for whoever settles what was reserved for it.
type Outcome struct {
	Known bool  // the room has it; an ID that is not known a minute after its reservation never will be
	Final bool  // Cost is the last word
	Cost  int64 // millionths of a US dollar
}
