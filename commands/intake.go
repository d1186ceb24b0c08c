package commands

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// UploadPartSize is the size in bytes of every part of an upload but the last, MaxSinglePut up to which a file goes in one request.
const (
	UploadPartSize = 8 << 20
	MaxSinglePut   = 16 << 20
)

// StagedPrefix is where the bytes of uploads stand until they were looked at, as "uploads/" and the asset's id.
const StagedPrefix = "uploads/"

// Errors of Intake and Receiver. Test with errors.Is.
var (
	// ErrNoUpload: there is no such upload, or it is over.
	ErrNoUpload = errors.New("objects: no such upload")
	// ErrUploadBusy: a part of it is on its way.
	ErrUploadBusy = errors.New("objects: the upload is still being sent")
	// ErrParts: the parts are not the ones that were sent.
	ErrParts = errors.New("objects: parts are missing or others than were sent")
)

// Staged names an upload to the store.
type Staged struct {
	Key         string // of the object that comes of it: StagedPrefix and an id
	ID          string // what Start returned
	ContentType string
	Size        int64 // bytes
}

// Parts is in how many requests the bytes come.
func (s Staged) Parts() int {
	if s.Size <= MaxSinglePut {
		return 1
	}
	return int((s.Size + UploadPartSize - 1) / UploadPartSize)
}

// Part returns where part number n (from 1) begins and how many bytes it has; 0 bytes for a part that there is not.
func (s Staged) Part(n int) (offset, size int64) {
	if parts := s.Parts(); n < 1 || n > parts {
		return 0, 0
	} else if parts == 1 {
		return 0, s.Size
	}
	offset = int64(n-1) * UploadPartSize
	return offset, min(UploadPartSize, s.Size-offset)
}

// SignedPut is a request that whoever has it may make until it expires. All headers must be sent as they are.
type SignedPut struct {
	Method string
	URL    string
	Header http.Header
}

// Intake is how bytes get into the store without passing through commands. Methods may be called concurrently.
type Intake interface {
	// Start begins an upload and returns the store's id of it ("" where it needs none).
	Start(ctx context.Context, s Staged) (id string, err error)
	// Sign returns a request for each part, in order; nil where the bytes are sent to this server, to a Receiver.
	Sign(ctx context.Context, s Staged, holds time.Duration) ([]SignedPut, error)
	// Sent returns the ETags of the parts that are there, by number. An upload that comes in one request is not asked for.
	Sent(ctx context.Context, s Staged) (map[int]string, error)
	// Finish makes the object under s.Key of the parts, whose ETags are given in order; nil where it came in one request. Called again it returns nil.
	// ErrNoUpload where nothing was sent, ErrUploadBusy, ErrParts.
	Finish(ctx context.Context, s Staged, etags []string) error
	// Abort gives up what is there of an upload that is not finished. No error where there is none.
	Abort(ctx context.Context, key, id string) error
	// Started yields uploads that are not finished, with the time they began; also those of Objects.Put, where a store has such.
	Started(ctx context.Context, yield func(key, id string, at time.Time) bool) error
}

// Receiver takes the bytes of uploads where they are sent to this server. Methods may be called concurrently.
type Receiver interface {
	// Receive stores one part durably and returns its ETag. ErrNoUpload, ErrUploadBusy (somebody sends this very part), or what reading body gave.
	Receive(ctx context.Context, s Staged, part int, body io.Reader) (etag string, err error)
}

// Mover is an Objects that can give an object another key without moving its bytes through here. The object must still be the one that from
// describes, else ErrNoObject.
type Mover interface {
	Move(ctx context.Context, from Object, to string) error
}
