package projections

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/infinite-kanvas/kanvas/events"
)

// MaxCanvasRow is the largest canvas_data, in bytes; D1 refuses rows over 2 MB. Larger canvases go to Blobs.
const MaxCanvasRow = 1 << 20

// change is one record made ready to be folded: decoded, with all that its rows need from outside. Immutable.
type change struct {
	stream    events.Stream
	partition int
	seq       uint64
	commit    events.Commit // without Events and Done
	last      uint64        // revision of its last event
	facts     []fact        // those of its events that are more than progress
	edited    bool          // something but a checkpoint happened
	err       error         // why it can't be applied; nothing but stream, partition and seq is sure then
	size      int           // bytes held, about
}

// fact is one event whose payload matters to tables.
type fact struct {
	event    events.Event
	revision uint64
	opened   map[events.Sealed]string // personal text that the tables show
	canvas   *canvasRow
}

// canvasRow is what canvas_states gets at a checkpoint.
type canvasRow struct {
	id, data, objectKey string
}

// preparer turns records into changes. It does what IO there is, so that folding has none. Safe for concurrent use.
type preparer struct {
	canvases Canvases
	unsealer Unsealer
	blobs    Blobs
}

// prepare returns an error only for what may pass by itself; what can't ever be applied is in the change.
func (p *preparer) prepare(ctx context.Context, rec events.Record) (*change, error) {
	ch := &change{stream: rec.Stream, partition: rec.Partition, seq: rec.Seq, size: 256}
	c, err := events.DecodeRaw(rec.Payload)
	if err != nil {
		ch.err = fmt.Errorf("decode: %w", err)
		return ch, nil
	}
	ch.commit = events.Commit{First: c.First, At: c.At, Prev: c.Prev, Sum: c.Sum, Seq: rec.Seq}
	ch.last = c.Last()
	for i := range c.Events {
		e := &c.Events[i]
		ch.edited = ch.edited || e.Type != events.RoomCheckpointed
		if !events.Known(e.Type) {
			ch.err = fmt.Errorf("event %s: %w: %.64q", e.ID, events.ErrUnknownType, e.Type)
			return ch, nil
		}
		if !belongs(e.Type, rec.Stream.Kind) {
			ch.err = fmt.Errorf("event %s: %s in a stream of kind %q", e.ID, e.Type, rec.Stream.Kind)
			return ch, nil
		}
		if v := events.CurrentVersion(e.Type); e.V < 1 || e.V > v {
			ch.err = fmt.Errorf("event %s: %w: %s version %d, known up to %d", e.ID, events.ErrVersion, e.Type, e.V, v)
			return ch, nil
		}
		if isElement(e.Type) {
			continue
		}
		if err := p.addFact(ctx, ch, *e, c.First+uint64(i)); err != nil {
			return nil, err
		}
		if ch.err != nil {
			return ch, nil
		}
	}
	ch.err = startsRight(rec.Stream.Kind, c)
	return ch, nil
}

// startsRight checks that a room begins with its creation: progress alone can't make its row.
func startsRight(kind events.Kind, c *events.Commit) error {
	if kind == events.KindRoom && c.First == 1 && c.Events[0].Type != events.RoomCreated {
		return fmt.Errorf("room begins with %s", c.Events[0].Type)
	}
	return nil
}

// addFact decodes an event whose payload matters.
func (p *preparer) addFact(ctx context.Context, ch *change, e events.Event, revision uint64) error {
	payload, err := events.DecodePayload(e.Type, e.V, e.Data)
	if err != nil {
		ch.err = fmt.Errorf("event %s: %w", e.ID, err)
		return nil
	}
	e.Payload, e.Data = payload, nil
	f := fact{event: e, revision: revision}
	switch d := payload.(type) {
	case *events.UserCreatedData:
		f.open(ctx, p, ch.stream.ID, d.Name, d.Email, d.Avatar)
	case *events.UserUpdatedData:
		f.openSome(ctx, p, ch.stream.ID, d.Name, d.Email, d.Avatar)
	case *events.RoomCheckpointedData:
		f.canvas, err = p.canvas(ctx, ch.stream.ID, d.Revision)
		if errors.Is(err, ErrUnreadable) {
			ch.err = fmt.Errorf("event %s: %w", e.ID, err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("canvas of room %s at revision %d: %w", ch.stream.ID, d.Revision, err)
		}
		ch.size += len(f.canvas.data)
	case *events.ChatPostedData:
		ch.size += len(d.Text)
	case *events.CommentAddedData:
		ch.size += len(d.Text)
	case *events.GenerationRequestedData:
		ch.size += len(d.Request)
	}
	ch.size += 512
	ch.facts = append(ch.facts, f)
	return nil
}

func (f *fact) openSome(ctx context.Context, p *preparer, person string, sealed ...*events.Sealed) {
	for _, s := range sealed {
		if s != nil {
			f.open(ctx, p, person, *s)
		}
	}
}

// open opens personal text; text whose key is gone stays "".
func (f *fact) open(ctx context.Context, p *preparer, person string, sealed ...events.Sealed) {
	if f.opened == nil {
		f.opened = map[events.Sealed]string{}
	}
	for _, s := range sealed {
		if s == "" || p.unsealer == nil {
			continue
		}
		if text, ok := p.unsealer.Open(ctx, person, s); ok {
			f.opened[s] = strings.ToValidUTF8(text, "\uFFFD")
		}
	}
}

// canvas gets a room's canvas ready for its row. Its id and object are named after the room and revision alone.
func (p *preparer) canvas(ctx context.Context, room string, revision uint64) (*canvasRow, error) {
	data, err := p.canvases.CanvasAt(ctx, room, revision)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s/%d", room, revision)
	row := &canvasRow{id: uuid.NewSHA1(canvasSpace, []byte(name)).String()}
	if len(data) <= MaxCanvasRow {
		row.data = string(data)
		return row, nil
	}
	row.objectKey = "canvas/" + name + ".json"
	if p.blobs != nil {
		if err := p.blobs.Put(ctx, row.objectKey, "application/json", bytes.NewReader(data), int64(len(data))); err != nil {
			return nil, fmt.Errorf("store %s: %w", row.objectKey, err)
		}
	}
	sum := sha256.Sum256(data)
	named, err := json.Marshal(map[string]any{"revision": revision, "object": row.objectKey, "size": len(data), "sha256": hex.EncodeToString(sum[:])})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	row.data = string(named)
	return row, nil
}

// canvasSpace is the UUIDv5 namespace of canvas_states.id; the name is room/revision.
var canvasSpace = uuid.MustParse("6f0c8a5e-4a3b-5d0e-9f55-3d0d6b1c7a21")

func isElement(t events.Type) bool {
	return t == events.ElementAdded || t == events.ElementPatched || t == events.ElementRemoved
}

// belongs says whether events of the type may stand in streams of the kind.
func belongs(t events.Type, kind events.Kind) bool {
	switch t {
	case events.UserCreated, events.UserUpdated, events.UserDeleted, events.UserClaimed, events.UserLinked:
		return kind == events.KindUser
	case events.AssetStored, events.AssetAttached, events.AssetUploadRequested, events.AssetFailed, events.AssetProcessed,
		events.AssetMarkedUnused, events.AssetUsedAgain, events.AssetDeleted:
		return kind == events.KindAsset
	case events.SpendingRecorded:
		return kind == events.KindSpending
	default:
		return kind == events.KindRoom
	}
}
