package domain

import "slices"

// GenerationStatus says how a generation stands.
type GenerationStatus string

// Statuses. The first five are of generations under way, which a room's state holds; so does it hold unknown ones, for which an answer may still come, and
// canceled ones that may still cost something.
const (
	GenerationQueued     GenerationStatus = "queued"     // asked for
	GenerationSubmitting GenerationStatus = "submitting" // may have been sent
	GenerationSubmitted  GenerationStatus = "submitted"  // taken by the queue
	GenerationRunning    GenerationStatus = "running"
	GenerationUnknown    GenerationStatus = "unknown" // nobody can say whether it was taken
	GenerationSucceeded  GenerationStatus = "succeeded"
	GenerationFailed     GenerationStatus = "failed"
	GenerationCanceled   GenerationStatus = "canceled"
)

// Generation is one that is under way, as room state keeps it. Values are never modified, only replaced.
type Generation struct {
	ID        string
	User      string // who asked, and pays
	Model     string
	Result    string // image or video
	ElementID string
	Status    GenerationStatus
	Revision  uint64 // of its generation.requested, which holds the sealed request
	Attempt   int    // of the submissions, from 1; 0 before the first
	Estimate  int64  // what is reserved for it, millionths of a US dollar
	// Where it is in the queue; "" before it was taken.
	RequestID, StatusURL, ResponseURL, CancelURL string
	// Unix ms; 0: not yet.
	RequestedAt, SubmittingAt, SubmittedAt int64
}

// under reports whether it counts against MaxGenerations.
func (g *Generation) under() bool { return g.Status != GenerationUnknown }

// Generations returns those under way, oldest first, with the unknown and canceled ones that something may come of. The slice is shared and must not be
// modified.
func (r *Room) Generations() []*Generation {
	return r.generations[:len(r.generations):len(r.generations)]
}

// FindGeneration returns one of Generations, or nil.
func FindGeneration(list []*Generation, id string) *Generation {
	if i := slices.IndexFunc(list, func(g *Generation) bool { return g.ID == id }); i >= 0 {
		return list[i]
	}
	return nil
}

// putGenerations replaces the list. What is in it before is not modified, so that a rollback finds it as it was.
func (r *Room) putGenerations(list []*Generation) {
	was := r.generations
	r.generations = list
	if r.journal.on {
		r.onRollback(func() { r.generations = was })
	}
}
