package commands

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
)

// Errors of Log. Test with errors.Is.
var (
	// ErrSequence: the stream's last commit is not the expected one (somebody else appended). Nothing was stored by this call.
	ErrSequence = errors.New("log: stream has moved on")
	// ErrUnknownOutcome: no answer in time; the commit may or may not be stored. Read the stream's last record before anything else.
	ErrUnknownOutcome = errors.New("log: outcome unknown")
	// ErrLogReadOnly: the log cannot store (disk full, stream sealed, no quorum). Nothing was stored by this call.
	ErrLogReadOnly = errors.New("log: read-only")
	// ErrCommitTooLarge: the payload is over MaxPayload. Nothing was stored.
	ErrCommitTooLarge = errors.New("log: commit too large")
)

// Log is the append-only log. All methods may be called concurrently. Every call needs a context with a deadline or gets one
// of the implementation's.
type Log interface {
	// Partitions is how many partitions the store was created with.
	Partitions() int
	// Partition says in which partition (0-based) a stream lives: a stable hash of kind and id.
	Partition(events.Stream) int
	// MaxPayload is the largest commit in bytes.
	MaxPayload() int
	// Append stores payload as the stream's next commit, durably, if the stream's last sequence is still after (0: stream is empty).
	// It returns when the commit is on disk (or held by a quorum). Errors: ErrSequence, ErrUnknownOutcome, ErrLogReadOnly, ErrCommitTooLarge.
	Append(ctx context.Context, s events.Stream, after uint64, payload []byte) (seq uint64, err error)
	// Last returns the newest record of the stream; ok is false where the stream is empty.
	Last(ctx context.Context, s events.Stream) (rec events.Record, ok bool, err error)
	// Read calls yield with the stream's records whose sequence is ≥ from, in order, up to the end of the stream as of the call,
	// until yield returns false. Records are read in batches; memory is bounded.
	Read(ctx context.Context, s events.Stream, from uint64, yield func(events.Record) bool) error
	// Watch calls fn for every commit of the stream stored from now on (by any node), in order, one call at a time: from a goroutine of the log, or of whoever appends.
	// fn must not block. gap reports that records may have been missed (slow consumer, reconnect): read the tail.
	// The subscription is in force on the server when Watch returns.
	Watch(s events.Stream, fn func(rec events.Record, gap bool)) (stop func(), err error)
}

// Object is a stored object's metadata.
type Object struct {
	Key         string
	Size        int64
	ContentType string
	ETag        string
	SHA256      string // hex, where the store knows it from its own reading of the bytes; else ""
	ModifiedAt  time.Time
}

// Errors of Objects. Test with errors.Is.
var (
	// ErrNoObject: there is no object under the key.
	ErrNoObject = errors.New("objects: no such object")
	// ErrObjectsDown: the store did not answer in time, or could not do its work; trying again later may help.
	ErrObjectsDown = errors.New("objects: the store does not answer")
)

// Objects stores bytes of assets, snapshots and states too large for a row. Keys are 1–1024 bytes of path elements joined by "/";
// "." and ".." elements, empty elements and control characters are refused. Put is atomic and durable when it returns.
type Objects interface {
	Put(ctx context.Context, key, contentType string, body io.Reader, size int64) error
	// Get returns the bytes from offset for length bytes (length < 0: to the end). The caller closes the reader.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Object, error)
	Head(ctx context.Context, key string) (Object, error)
	Delete(ctx context.Context, keys ...string) error // no error for missing ones
	// List yields objects under prefix in key order.
	List(ctx context.Context, prefix string, yield func(Object) bool) error
}

// Entry is one entry of KV.PutMany: an alias, so that whoever declares the same port means the same type.
type Entry = struct {
	Key   string
	Value []byte
	TTL   time.Duration
}

// KV is the cache. Entries may vanish at any time; nothing depends on one. TTL 0 means none; others are at least a second, on Cloudflare
// a minute.
type KV interface {
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// PutMany puts entries of different keys in as few calls as can be. After an error any of them may be there.
	PutMany(ctx context.Context, entries []Entry) error
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	Delete(ctx context.Context, keys ...string) error // no error for missing ones
	List(ctx context.Context, prefix string, yield func(key string) bool) error
}

// Keys holds the keys under which personal text is sealed, wrapped by the master key: one per person. A destroyed key never comes back.
type Keys interface {
	// Key returns the person's 32-byte key; create makes one where there is none. ok is false where there is none or it was destroyed.
	Key(ctx context.Context, person string, create bool) (key []byte, ok bool, err error)
}

// Snapshots knows the newest stored snapshot of a room; what it says is a hint: absent or damaged snapshots cost time, never truth.
type Snapshots interface {
	// Newest returns where the newest snapshot of the room at or below revision (0: any) is. ok is false where there is none.
	Newest(ctx context.Context, room string, revision uint64) (ref SnapshotRef, ok bool, err error)
}

// SnapshotRef names a snapshot: the object under Key holds the room as of Revision, whose commit has sequence Seq and sum Sum.
type SnapshotRef struct {
	Revision uint64
	Seq      uint64
	Sum      string
	Key      string
}

// Clock gives the time in Unix milliseconds.
type Clock func() int64
