package projections

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
)

// Errors of this package and its ports. Test with errors.Is.
var (
	// ErrCheckpoint: the stored checkpoint is not where the caller thought: somebody else moved it. Nothing was applied.
	ErrCheckpoint = errors.New("projections: checkpoint was moved by somebody else")
	// ErrRejected: the store will never take these statements (a constraint, a value too large). Nothing was applied.
	ErrRejected = errors.New("projections: statements rejected")
	// ErrUnreadable: a room can't be folded from the log, now or later. What else a Canvases returns counts as passing.
	ErrUnreadable = errors.New("projections: room is unreadable")
	// ErrBehind: the projection did not get as far as asked in time.
	ErrBehind = errors.New("projections: behind")
	// ErrLogShorter: the log ends before a checkpoint, or holds another commit there: commits are missing.
	ErrLogShorter = errors.New("projections: the log is not the one that the tables were made from")
	// ErrDamaged: the log can't be applied where the tables were made from it once.
	ErrDamaged = errors.New("projections: the log is damaged")
	// ErrCursor: not a cursor of that list.
	ErrCursor = errors.New("projections: bad cursor")
	// ErrNotFound: no such row, or no such stream.
	ErrNotFound = errors.New("projections: not found")
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

// Streams is the log stream by stream, for what concerns one room. commands.Log implements it.
type Streams interface {
	Partition(events.Stream) int
	Read(ctx context.Context, s events.Stream, from uint64, yield func(events.Record) bool) error
}

// Canvases gives a room's canvas at a revision, for canvas_states: JSON with the members revision and elements, at least.
// The answer depends on the log alone. Errors wrap ErrUnreadable where trying again is no use.
type Canvases interface {
	CanvasAt(ctx context.Context, room string, revision uint64) ([]byte, error)
}

// Unsealer opens personal text for the tables that show it (users.name, users.email). ok is false where the key is gone.
type Unsealer interface {
	Open(ctx context.Context, person string, sealed events.Sealed) (text string, ok bool)
}

// Blobs keeps canvases that are too large for a row. Put is atomic, durable when it returns, and harmless when repeated.
type Blobs interface {
	Put(ctx context.Context, key, contentType string, body io.Reader, size int64) error
}

// MaxParams is how many parameters a statement may have (D1's limit).
const MaxParams = 100

// Statement is one SQL statement with at most MaxParams parameters: strings, int64, float64, []byte or nil.
type Statement struct {
	SQL  string
	Args []any
}

// Limits bound what one transaction of a Store gets, about: a commit is never split, so one alone may need more. 0 means no limit.
type Limits struct {
	Statements int
	Bytes      int // of text
}

// allow says whether the statements are within the limits.
func (l Limits) allow(statements []Statement) bool {
	if l.Statements > 0 && len(statements) > l.Statements {
		return false
	}
	if l.Bytes <= 0 {
		return true
	}
	size := 0
	for i := range statements {
		size += len(statements[i].SQL)
		for _, v := range statements[i].Args {
			size += 8
			if s, ok := v.(string); ok {
				size += len(s)
			}
		}
	}
	return size <= l.Bytes
}

// Checkpoint is how far a projection got in a partition: the sequence of the last commit applied, its sum and its time.
// The zero Checkpoint is the start of the log.
type Checkpoint struct {
	Seq uint64
	Sum string
	At  int64 // Unix milliseconds
}

// Move moves the checkpoint of one partition.
type Move struct {
	Partition int
	From, To  Checkpoint
}

// Parked is a stream that a projection stopped following, and the first record of it that could not be applied.
type Parked struct {
	Stream    events.Stream
	Partition int
	Seq       uint64
	At        int64 // Unix milliseconds, 0 unknown
	Reason    string
}

// Store keeps the tables. Implementations: SQLite, D1. Methods may be called concurrently.
type Store interface {
	// Apply runs the statements in order and moves the checkpoints, all in one transaction. ErrCheckpoint where one of them isn't at its
	// From.Seq, ErrRejected where the statements can't ever succeed; after any error nothing was applied, but for errors of a network,
	// after which the checkpoint tells.
	Apply(ctx context.Context, projection string, moves []Move, statements []Statement) error
	// Checkpoints returns a projection's checkpoints by partition; partitions without one are at the start.
	Checkpoints(ctx context.Context, projection string) (map[int]Checkpoint, error)
	// Parked returns the projection's parked streams.
	Parked(ctx context.Context, projection string) ([]Parked, error)
	// Revision returns up to where a stream is applied, 0 where nothing of it is.
	Revision(ctx context.Context, s events.Stream) (uint64, error)
}

// Shadows is a Store that can build tables a second time beside the live ones. The shadow of table t is named ShadowPrefix + t; the
// shadow of a projection's checkpoints and parked streams is kept under its name + ShadowSuffix.
type Shadows interface {
	Store
	// OpenShadow makes empty shadow tables of the same shape, dropping what an earlier rebuild left.
	OpenShadow(ctx context.Context, projection string) error
	// DropShadow removes them.
	DropShadow(ctx context.Context, projection string) error
	// Digest is a SHA-256 in hex over all rows of the tables in TableNames, ordered by key; of one room's own rows where room is not "".
	Digest(ctx context.Context, shadow bool, room string) (string, error)
	// Swap puts the shadow's rows, checkpoints and parked streams in the place of the live ones, in one transaction, and drops the shadow.
	// Where room is not "" only that room's rows and its parked entry are replaced, and checkpoints stay.
	Swap(ctx context.Context, projection, room string) error
}

// Names of what Shadows keeps.
const (
	ShadowPrefix = "shadow_"
	ShadowSuffix = ".shadow"
)

// Tables is the name of the projection that fills the SQL tables.
const Tables = "tables"

// TableNames are the tables of the projection, parents before children.
func TableNames() []string {
	return []string{"users", "rooms", "assets", "room_participants", "invites", "canvas_states", "chat_messages", "comments", "generations", "asset_rooms", "room_snapshots", "spending"}
}

// RoomTables are those of TableNames whose rows belong to one room's stream, in the column room_id.
func RoomTables() []string {
	return []string{"room_participants", "invites", "canvas_states", "chat_messages", "comments", "generations", "room_snapshots"}
}

// Entry is one entry of KV.PutMany: an alias, so that whoever declares the same port means the same type.
type Entry = struct {
	Key   string
	Value []byte
	TTL   time.Duration
}

// KV is the cache. commands.KV implements it. TTL 0 means none.
type KV interface {
	// PutMany puts entries of different keys in as few calls as can be. After an error any of them may be there.
	PutMany(ctx context.Context, entries []Entry) error
	Delete(ctx context.Context, keys ...string) error // no error for missing ones
}
