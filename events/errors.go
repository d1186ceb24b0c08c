package events

import "errors"

// Errors of the codec. Test with errors.Is.
var (
	// ErrFormat: the bytes are no commit as Encode writes them, or (from Encode) the commit breaks an invariant.
	ErrFormat = errors.New("events: malformed commit")
	// ErrSum: the bytes are not those that were written.
	ErrSum = errors.New("events: sum does not match")
	// ErrVersion: a version that this program doesn't know, of the commit or of an event's data.
	ErrVersion = errors.New("events: unknown version")
	// ErrUnknownType: an event type that this program doesn't know. The commit itself is sound; DecodeRaw reads it.
	ErrUnknownType = errors.New("events: unknown event type")
	// ErrLink: two commits don't follow each other.
	ErrLink = errors.New("events: broken chain")
)
