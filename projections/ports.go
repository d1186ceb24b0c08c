package projections

import (
	"context"

	"github.com/infinite-kanvas/kanvas/events"
)

// Source is the log as projectors read it: partition by partition. Methods may be called concurrently.
type Source interface {
	Partitions() int
	// Bounds returns the first and last sequence of a partition (0, 0 where it is empty).
	Bounds(ctx context.Context, partition int) (first, last uint64, err error)
	// Next returns records of the partition with sequence > after, in order, at most limit of them and about maxBytes; it waits until there is
	// at least one, or ctx ends. Sequences may have gaps only where the log was told to delete, which Kanvas never does.
	Next(ctx context.Context, partition int, after uint64, limit, maxBytes int) ([]events.Record, error)
}

// Canvases gives a room's canvas at a revision, for canvas_states. The answer depends on the log alone.
type Canvases interface {
	CanvasAt(ctx context.Context, room string, revision uint64) ([]byte, error)
}

// Unsealer opens personal text for the tables that show it (users.name, users.email). ok is false where the key is gone.
type Unsealer interface {
	Open(ctx context.Context, person string, sealed events.Sealed) (text string, ok bool)
}

// Statement is one SQL statement with at most 100 parameters (D1's limit): strings, int64, float64, []byte, bool or nil.
type Statement struct {
	SQL  string
	Args []any
}

// Store keeps the tables. Implementations: SQLite, later D1.
type Store interface {
	// Apply runs the statements and moves the partition's checkpoint from one to the other, all in one transaction. ErrCheckpoint where the
	// stored checkpoint is not from (somebody else moved it): nothing was applied.
	Apply(ctx context.Context, projection string, partition int, from, to Checkpoint, statements []Statement) error
	Checkpoint(ctx context.Context, projection string, partition int) (Checkpoint, error)
}

// Checkpoint is how far a projection got in a partition: the sequence of the last commit applied, and its sum.
type Checkpoint struct {
	Seq uint64
	Sum string
}
