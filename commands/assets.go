package commands

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/infinite-kanvas/kanvas/commands/media"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

const (
	assetsKept      = 8192     // ids of assets known to be stored, and of attachments known to be committed
	dataURLsAtOnce  = 64 << 20 // bytes of data URLs that are taken out at the same time; more wait
	attachAtOnce    = 8
	assetNamespace  = "https://github.com/infinite-kanvas/kanvas/assets"
	anonymousPerson = "anon" // in the ids of assets of people who have none of their own for longer than a connection
)

// Assets stores pictures: their bytes, then the commit that says so. Methods may be called concurrently.
type Assets struct {
	streams  *Streams
	objects  Objects
	space    uuid.UUID
	memory   *semaphore.Weighted
	stored   *lru[string, struct{}]
	attached *lru[string, struct{}]
	showing  *lru[string, []string] // rooms, see willShow
	quota    *Quota                 // nil: nobody counts
}

// Count has the bytes of pictures count against the quota of who is known by more than a connection. To be called before anything else.
func (s *Assets) Count(q *Quota) { s.quota = q }

// NewAssets returns the road to the streams of assets.
func NewAssets(streams *Streams, objects Objects) *Assets {
	return &Assets{streams: streams, objects: objects,
		space:    uuid.NewSHA1(uuid.NameSpaceURL, []byte(assetNamespace)),
		memory:   semaphore.NewWeighted(dataURLsAtOnce),
		stored:   newLRU[string, struct{}](assetsKept, 0),
		attached: newLRU[string, struct{}](assetsKept, 0),
		showing:  newLRU[string, []string](assetsKept, showingFor),
	}
}

// Store takes the picture out of a data URL and returns the id of its asset, once that is durable, without what is nobody's business, as media.Scan finds
// it. The same bytes from the same person in the same room are the same asset. CodeInvalidCommand for what is no picture or video of a known kind, broken,
// or has something else in it, CodeTooLarge over the limits.
func (s *Assets) Store(ctx context.Context, roomID string, a domain.Actor, dataURL []byte) (string, error) {
	weight := int64(min(len(dataURL), dataURLsAtOnce))
	if err := s.memory.Acquire(ctx, weight); err != nil {
		return "", err
	}
	defer s.memory.Release(weight)
	data, err := decodeDataURL(dataURL)
	if err != nil {
		return "", err
	}
	found, err := media.Scan(bytes.NewReader(data), int64(len(data)))
	var refused *domain.Error
	switch {
	case errors.As(err, &refused) && refused.Code == domain.CodeBadRequest:
		return "", domain.Errorf(domain.CodeInvalidCommand, "the data URL: %s", refused.Detail)
	case err != nil:
		return "", err
	}
	id := s.id(roomID, a, sha256.Sum256(data)) // of what was sent, so that it is known when it is sent again
	if found.Changed() {
		if data, err = io.ReadAll(found.Edited(bytes.NewReader(data))); err != nil {
			return "", fmt.Errorf("take out what describes a picture: %w", err)
		}
	}
	sum := sha256.Sum256(data)
	return id.String(), s.store(ctx, id, data, &events.AssetStoredData{
		User: a.ID, Room: roomID, Key: objectKey(a, id, found.Type), ContentType: found.ContentType,
		Size: found.Size, SHA256: hex.EncodeToString(sum[:]), Width: found.Width, Height: found.Height,
	})
}

func (s *Assets) id(roomID string, a domain.Actor, sum [sha256.Size]byte) uuid.UUID {
	person := a.ID
	if a.Anonymous() {
		person = anonymousPerson
	}
	return uuid.NewSHA1(s.space, fmt.Appendf(nil, "%s\x00%s\x00%x", roomID, person, sum))
}

// objectKey is images/{user}/{26 letters, the same for the same asset}-image.{ext}: a resend writes the same object again.
func objectKey(a domain.Actor, id uuid.UUID, kind media.Type) string {
	person := a.ID
	if a.Anonymous() {
		person = anonymousPerson
	}
	name := base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding).EncodeToString(id[:])
	return "images/" + person + "/" + name + "-image." + kind.Ext
}

func (s *Assets) store(ctx context.Context, id uuid.UUID, data []byte, d *events.AssetStoredData) error {
	if _, ok := s.stored.get(id.String()); ok {
		return nil
	}
	stream := events.Asset(id.String())
	cs, err := s.streams.read(ctx, stream)
	if err != nil {
		return err
	}
	if !isStored(cs) {
		counted := s.quota != nil && !(domain.Actor{ID: d.User}).Anonymous()
		if counted {
			if err := s.quota.reserve(ctx, d.User, id.String(), d.Size, time.UnixMilli(s.streams.clock()).Add(time.Hour)); err != nil {
				return err
			}
		}
		if err := s.objects.Put(ctx, d.Key, d.ContentType, bytes.NewReader(data), d.Size); err != nil {
			if errors.Is(err, ErrObjectsDown) {
				err = fmt.Errorf("%w: %w", errNoObjects, err)
			}
			return fmt.Errorf("store picture %s: %w", d.Key, err)
		}
		err := s.streams.change(ctx, stream, func(cs []*events.Commit) ([]events.Event, error) {
			if isStored(cs) {
				return nil, nil
			}
			return []events.Event{{Type: events.AssetStored, Actor: d.User, Payload: d}}, nil
		})
		if err == nil && counted {
			err = s.quota.settle(ctx, d.User, id.String(), d.Size)
		}
		if err != nil {
			return err
		}
	}
	s.stored.put(id.String(), struct{}{})
	return nil
}

// Attach commits that a room shows assets, once for each asset and room; assets that were never stored are passed over.
func (s *Assets) Attach(ctx context.Context, roomID string, revisions map[string]uint64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(attachAtOnce)
	for id, revision := range revisions {
		if _, ok := s.attached.get(id + "\x00" + roomID); ok {
			continue
		}
		g.Go(func() error { return s.attach(ctx, id, roomID, revision) })
	}
	return g.Wait()
}

func (s *Assets) attach(ctx context.Context, id, roomID string, revision uint64) error {
	known := false
	err := s.streams.change(ctx, events.Asset(id), func(cs []*events.Commit) ([]events.Event, error) {
		known = isStored(cs)
		if !known || isAttached(cs, roomID) {
			return nil, nil
		}
		return append(usedAgain(cs), events.Event{Type: events.AssetAttached, Actor: domain.SystemID,
			Payload: &events.AssetAttachedData{Room: roomID, Revision: revision}}), nil
	})
	if err == nil && known {
		s.attached.put(id+"\x00"+roomID, struct{}{})
	}
	return err
}

func isStored(cs []*events.Commit) bool {
	for _, c := range cs {
		for i := range c.Events {
			if c.Events[i].Type == events.AssetStored {
				return true
			}
		}
	}
	return false
}

func isAttached(cs []*events.Commit, roomID string) bool {
	for _, c := range cs {
		for i := range c.Events {
			if d, ok := c.Events[i].Payload.(*events.AssetAttachedData); ok && d.Room == roomID {
				return true
			}
		}
	}
	return false
}
