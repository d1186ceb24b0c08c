package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/infinite-kanvas/kanvas/events"
)

// Handler follows the log, one record at a time and in order per stream. It returns in well under a second: slow work is handed to a queue of its own.
// A record may come again; an error asks for it again. Handlers for records of other kinds of streams do nothing.
type Handler func(ctx context.Context, rec events.Record) error

// FinishOperations has a room finish what a process that died began: the parts of an operation that are missing. While one is under way here, its room
// answers when it is through.
func FinishOperations(settle func(ctx context.Context, roomID string) error) Handler {
	return func(ctx context.Context, rec events.Record) error {
		if rec.Stream.Kind != events.KindRoom || !AboutOperations(rec) {
			return nil
		}
		if err := settle(ctx, rec.Stream.ID); err != nil {
			return fmt.Errorf("finish an operation of %s: %w", rec.Stream, err)
		}
		return nil
	}
}

// A commit's op stands at its end, before the sum: an operation with its Rest is no longer than operationTail.
const (
	operationMention = `,"rest":{"cause":"`
	operationTail    = 4 << 10
)

// TakenOutPictures commits asset.attached for each asset of ours that a room's elements show, once for each asset and room. The commits are made before
// the handler returns (at most attachAtOnce at a time): they are the record of the intent.
func TakenOutPictures(assets *Assets) Handler {
	return func(ctx context.Context, rec events.Record) error {
		if rec.Stream.Kind != events.KindRoom || !AboutPictures(rec) {
			return nil
		}
		c, err := decode(rec)
		if err != nil {
			return fmt.Errorf("%s: sequence %d: %w", rec.Stream, rec.Seq, err)
		}
		shown := map[string]uint64{}
		for i := range c.Events {
			if id, ok := shownAsset(&c.Events[i]); ok && shown[id] == 0 {
				shown[id] = c.First + uint64(i)
			}
		}
		if err := assets.Attach(ctx, rec.Stream.ID, shown); err != nil {
			return fmt.Errorf("attach assets to %s at revision %d: %w", rec.Stream, c.First, err)
		}
		return nil
	}
}

// shownAsset returns the asset of an added or patched element's src.
func shownAsset(e *events.Event) (id string, ok bool) {
	var src json.RawMessage
	switch d := e.Payload.(type) {
	case *events.ElementAddedData:
		if !mentions(d.Element, `"`+assetScheme) {
			return "", false
		}
		var el struct {
			Src json.RawMessage `json:"src"`
		}
		if json.Unmarshal(d.Element, &el) != nil {
			return "", false
		}
		src = el.Src
	case *events.ElementPatchedData:
		for _, m := range d.Set {
			if m.Key == "src" {
				src = m.Value
			}
		}
	}
	text, err := jsonText(src)
	if err != nil {
		return "", false
	}
	found, ok := bytes.CutPrefix(text, []byte(assetScheme))
	return string(found), ok && events.ValidStreamID(string(found))
}

// First looks at a record for those who follow the log: cheap, and they may say yes where there is nothing.

// AboutOperations reports whether a record may be a part of an operation that is not the last: what FinishOperations wants.
func AboutOperations(rec events.Record) bool {
	return mentions(rec.Payload[max(0, len(rec.Payload)-operationTail):], operationMention)
}

// AboutCheckpoints reports whether a record may hold a checkpoint: what a SnapshotWriter wants.
func AboutCheckpoints(rec events.Record) bool { return mentions(rec.Payload, checkpointMention) }

// AboutPictures reports whether a record may show an asset of ours: what TakenOutPictures wants.
func AboutPictures(rec events.Record) bool { return mentions(rec.Payload, `"`+assetScheme) }

// mentions is a cheap first look: a commit with none of the texts has nothing for the handler. It may say yes for a text within a value.
func mentions(payload []byte, texts ...string) bool {
	for _, t := range texts {
		if bytes.Contains(payload, []byte(t)) {
			return true
		}
	}
	return false
}

// checkpointOf returns the revision that the commit's last checkpoint names and the checkpoint's own revision; ok is false where there is none.
func checkpointOf(c *events.Commit) (named, own uint64, ok bool) {
	for i := range c.Events {
		if d, is := c.Events[i].Payload.(*events.RoomCheckpointedData); is {
			named, own, ok = d.Revision, c.First+uint64(i), true
		}
	}
	return named, own, ok
}

const checkpointMention = `"room.checkpointed"`
