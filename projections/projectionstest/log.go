// Package projectionstest holds what tests of projections share: a log in memory, histories made from a seed, and the suite that every
// Store must pass.
package projectionstest

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

// Log is a log in memory with commits as events.Encode writes them: a projections.Source, Streams and Canvases.
type Log struct {
	mu    sync.Mutex
	parts [][]events.Record
	last  map[events.Stream]*events.Commit
	grown chan struct{} // closed and replaced at each append
	ids   int
}

// NewLog makes an empty one.
func NewLog(partitions int) *Log {
	return &Log{parts: make([][]events.Record, partitions), last: map[events.Stream]*events.Commit{}, grown: make(chan struct{})}
}

// Append adds one commit of payloads at Unix milliseconds at, by the actor, and returns its record.
func (l *Log) Append(s events.Stream, at int64, actor string, payloads ...any) events.Record {
	c := &events.Commit{First: 1, At: at}
	l.mu.Lock()
	if before := l.last[s]; before != nil {
		c.First, c.Prev, c.At = before.Last()+1, before.Sum, max(at, before.At)
	}
	for _, p := range payloads {
		l.ids++
		c.Events = append(c.Events, events.Event{ID: fmt.Sprintf("01890000-0000-7000-8000-%012d", l.ids), Type: typeOf(p), Actor: actor, Payload: p})
	}
	payload, err := events.Encode(c)
	l.mu.Unlock()
	if err != nil {
		panic(fmt.Sprintf("projectionstest: encode: %v", err))
	}
	c.Sum = sumOf(payload)
	l.mu.Lock()
	l.last[s] = c
	l.mu.Unlock()
	return l.AppendRaw(s, payload)
}

// AppendRaw adds a record with any bytes.
func (l *Log) AppendRaw(s events.Stream, payload []byte) events.Record {
	p := l.Partition(s)
	l.mu.Lock()
	defer l.mu.Unlock()
	rec := events.Record{Stream: s, Partition: p, Seq: uint64(len(l.parts[p]) + 1), Payload: payload}
	l.parts[p] = append(l.parts[p], rec)
	close(l.grown)
	l.grown = make(chan struct{})
	return rec
}

// Replace exchanges the bytes of a record.
func (l *Log) Replace(rec events.Record, payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts[rec.Partition] = slices.Clone(l.parts[rec.Partition])
	l.parts[rec.Partition][rec.Seq-1].Payload = payload
}

// Truncate drops the last n records of a partition.
func (l *Log) Truncate(partition, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts[partition] = slices.Clip(l.parts[partition][:len(l.parts[partition])-n])
}

func sumOf(payload []byte) string {
	_, _, _, _, sum, _, err := events.DecodeHeader(payload)
	if err != nil {
		panic(fmt.Sprintf("projectionstest: header: %v", err))
	}
	return sum
}

// Partitions implements projections.Source.
func (l *Log) Partitions() int { return len(l.parts) }

// Partition implements projections.Streams.
func (l *Log) Partition(s events.Stream) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s.String()))
	return int(h.Sum32() % uint32(len(l.parts)))
}

// Bounds implements projections.Source.
func (l *Log) Bounds(_ context.Context, p int) (first, last uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.parts[p]) == 0 {
		return 0, 0, nil
	}
	return 1, uint64(len(l.parts[p])), nil
}

// Next implements projections.Source.
func (l *Log) Next(ctx context.Context, p int, after uint64, limit, maxBytes int) ([]events.Record, error) {
	for {
		l.mu.Lock()
		part, grown := l.parts[p], l.grown
		l.mu.Unlock()
		if after < uint64(len(part)) {
			recs := part[after:min(after+uint64(limit), uint64(len(part)))]
			size := 0
			for i := range recs {
				if size += len(recs[i].Payload); size >= maxBytes {
					return recs[: i+1 : i+1], nil
				}
			}
			return slices.Clip(recs), nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Read implements projections.Streams.
func (l *Log) Read(_ context.Context, s events.Stream, from uint64, yield func(events.Record) bool) error {
	l.mu.Lock()
	part := l.parts[l.Partition(s)]
	l.mu.Unlock()
	for _, rec := range part {
		if rec.Stream == s && rec.Seq >= from && !yield(rec) {
			return nil
		}
	}
	return nil
}

// CanvasAt implements projections.Canvases: the elements that were added and not removed, in the order of adding.
func (l *Log) CanvasAt(ctx context.Context, room string, revision uint64) ([]byte, error) {
	var ids []string
	var failed error
	elements := map[string]json.RawMessage{}
	err := l.Read(ctx, events.Room(room), 1, func(rec events.Record) bool {
		c, err := events.Decode(rec.Payload)
		if err != nil {
			failed = fmt.Errorf("%w: %w", projections.ErrUnreadable, err)
			return false
		}
		for i := range c.Events {
			if c.First+uint64(i) > revision {
				return false
			}
			switch d := c.Events[i].Payload.(type) {
			case *events.ElementAddedData:
				id := fmt.Sprint(len(ids))
				ids = append(ids, id)
				elements[id] = d.Element
			case *events.ElementRemovedData:
				for _, id := range d.IDs {
					delete(elements, id)
				}
			}
		}
		return true
	})
	if err != nil || failed != nil {
		return nil, failed
	}
	list := []json.RawMessage{}
	for _, id := range ids {
		if e, ok := elements[id]; ok {
			list = append(list, e)
		}
	}
	return json.Marshal(map[string]any{"revision": revision, "elements": list})
}

// Names is an Unsealer whose sealed texts are "k1." and the text; people in it are forgotten.
type Names struct {
	mu        sync.Mutex
	forgotten map[string]bool
}

// Seal makes text that Names opens.
func Seal(text string) events.Sealed { return events.Sealed("k1." + text) }

// Forget destroys the person's key.
func (n *Names) Forget(person string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.forgotten == nil {
		n.forgotten = map[string]bool{}
	}
	n.forgotten[person] = true
}

// Open implements projections.Unsealer.
func (n *Names) Open(_ context.Context, person string, sealed events.Sealed) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.TrimPrefix(string(sealed), "k1."), !n.forgotten[person]
}

// typeOf is the event type of a payload.
func typeOf(payload any) events.Type {
	switch payload.(type) {
	case *events.RoomCreatedData:
		return events.RoomCreated
	case *events.RoomUpdatedData:
		return events.RoomUpdated
	case *events.RoomTransferredData:
		return events.RoomTransferred
	case *events.RoomKeyRotatedData:
		return events.RoomKeyRotated
	case *events.InviteCreatedData:
		return events.InviteCreated
	case *events.InviteRevokedData:
		return events.InviteRevoked
	case *events.InviteRedeemedData:
		return events.InviteRedeemed
	case *events.RoomDeletedData:
		return events.RoomDeleted
	case *events.RoomCheckpointedData:
		return events.RoomCheckpointed
	case *events.ParticipantJoinedData:
		return events.ParticipantJoined
	case *events.ParticipantRoleChangedData:
		return events.ParticipantRoleChanged
	case *events.ParticipantRemovedData:
		return events.ParticipantRemoved
	case *events.ElementAddedData:
		return events.ElementAdded
	case *events.ElementPatchedData:
		return events.ElementPatched
	case *events.ElementRemovedData:
		return events.ElementRemoved
	case *events.ChatPostedData:
		return events.ChatPosted
	case *events.CommentAddedData:
		return events.CommentAdded
	case *events.CommentResolvedData:
		return events.CommentResolved
	case *events.UserCreatedData:
		return events.UserCreated
	case *events.UserUpdatedData:
		return events.UserUpdated
	case *events.UserDeletedData:
		return events.UserDeleted
	case *events.UserClaimedData:
		return events.UserClaimed
	case *events.UserLinkedData:
		return events.UserLinked
	case *events.AssetStoredData:
		return events.AssetStored
	case *events.AssetAttachedData:
		return events.AssetAttached
	case *events.AssetUploadRequestedData:
		return events.AssetUploadRequested
	case *events.AssetFailedData:
		return events.AssetFailed
	case *events.AssetProcessedData:
		return events.AssetProcessed
	case *events.AssetMarkedUnusedData:
		return events.AssetMarkedUnused
	case *events.AssetUsedAgainData:
		return events.AssetUsedAgain
	case *events.SpendingRecordedData:
		return events.SpendingRecorded
	case *events.AssetDeletedData:
		return events.AssetDeleted
	case *events.GenerationRequestedData:
		return events.GenerationRequested
	case *events.GenerationSubmittingData:
		return events.GenerationSubmitting
	case *events.GenerationUnsentData:
		return events.GenerationUnsent
	case *events.GenerationSubmittedData:
		return events.GenerationSubmitted
	case *events.GenerationStartedData:
		return events.GenerationStarted
	case *events.GenerationSucceededData:
		return events.GenerationSucceeded
	case *events.GenerationFailedData:
		return events.GenerationFailed
	case *events.GenerationCanceledData:
		return events.GenerationCanceled
	case *events.GenerationUnknownData:
		return events.GenerationUnknown
	case *events.GenerationSettledData:
		return events.GenerationSettled
	}
	panic(fmt.Sprintf("projectionstest: no event type has payload %T", payload))
}
