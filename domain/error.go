package domain

import "fmt"

// Code is the stable name of a reason. The api package maps each to an HTTP status; the names are the v1 contract's.
type Code string

// Codes.
const (
	CodeBadRequest          Code = "bad_request"
	CodeInvalidCommand      Code = "invalid_command"
	CodeUnauthenticated     Code = "unauthenticated"
	CodeForbidden           Code = "forbidden"
	CodeNotFound            Code = "not_found"
	CodeConflict            Code = "conflict"
	CodeRevisionConflict    Code = "revision_conflict"
	CodeIdempotencyMismatch Code = "idempotency_mismatch"
	CodeStaleSeq            Code = "stale_seq"
	CodeNothingToUndo       Code = "nothing_to_undo"
	CodeTooLarge            Code = "too_large"
	CodeRoomFull            Code = "room_full"
	CodeRateLimited         Code = "rate_limited"
	CodeReadOnly            Code = "read_only"
	CodeProjectionBehind    Code = "projection_behind"
	CodeUpstreamFailed      Code = "upstream_failed"
	CodeInternal            Code = "internal"
)

// Error is a refusal with a reason that a client may see. Detail never holds secrets or personal text.
type Error struct {
	Code   Code
	Detail string
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// Errorf makes an *Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}
