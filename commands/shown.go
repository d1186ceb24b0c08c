package commands

import (
	"context"
	"slices"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// maxShownRooms bounds how many rooms are asked whether somebody may enter.
const maxShownRooms = 64

// mayShow refuses an asset that the caller may not see: a room that shows it opens it to everybody who may enter that room. One that was
// never stored may be named, as nothing is opened by it.
func (p *Preparation) mayShow(ctx context.Context, b by, id string) error {
	if p.cfg.Assets.isAttachedTo(id, b.room) {
		return nil
	}
	stored, rooms, err := p.cfg.Assets.origin(ctx, id)
	if err != nil || stored == nil || (stored.User == b.actor.ID && !b.actor.Anonymous()) {
		return err
	}
	for _, room := range rooms {
		if room == b.room {
			return nil
		}
	}
	for _, room := range rooms[:min(len(rooms), maxShownRooms)] {
		switch ok, err := p.mayEnter(ctx, room, b.actor.ID); {
		case err != nil:
			return err
		case ok:
			return nil
		}
	}
	v, err := p.cfg.Rooms.View(ctx, b.room) // that it is shown here may not have been committed yet
	if err != nil || v.Shows(id) {
		return err
	}
	return domain.Errorf(domain.CodeForbidden, "src: an asset of a room that you may not enter")
}

func (p *Preparation) mayEnter(ctx context.Context, room, user string) (bool, error) {
	v, err := p.cfg.Rooms.View(ctx, room)
	if isCode(err, domain.CodeNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = v.RoleOf(user)
	return err == nil, nil
}

// Shows reports whether an element of the room shows the asset.
func (v *View) Shows(asset string) bool {
	src := events.AppendString(nil, assetScheme+asset)
	for _, e := range v.Elements {
		if value, ok := e.Get("src"); ok && string(value) == string(src) {
			return true
		}
	}
	return false
}

// showingFor is how long it is remembered where an asset was asked to be shown: until asset.attached is in the lists.
const showingFor = time.Minute

// willShow remembers that a command which shows the asset in the room is on its way.
func (s *Assets) willShow(id, roomID string) {
	if s.isAttachedTo(id, roomID) {
		return
	}
	s.showing.update(id, func(rooms []string) []string {
		if slices.Contains(rooms, roomID) {
			return rooms
		}
		return append(slices.Clone(rooms[max(0, len(rooms)-maxShownRooms+1):]), roomID)
	})
}

// Showing returns the rooms which somebody asked a moment ago, here, to show the asset: the newest last. Whether they do is in their View, which is
// ahead of the lists.
func (s *Assets) Showing(id string) []string {
	rooms, _ := s.showing.get(id)
	return rooms
}

// isAttachedTo reports what is remembered; false may be wrong.
func (s *Assets) isAttachedTo(id, roomID string) bool {
	_, ok := s.attached.get(id + "\x00" + roomID)
	return ok
}

// origin returns who stored an asset, nil where nobody did, and the rooms that show or showed it, the one it was stored in first.
func (s *Assets) origin(ctx context.Context, id string) (stored *events.AssetStoredData, rooms []string, err error) {
	cs, err := s.streams.read(ctx, events.Asset(id))
	if err != nil {
		return nil, nil, err
	}
	for _, c := range cs {
		for i := range c.Events {
			switch d := c.Events[i].Payload.(type) {
			case *events.AssetStoredData:
				stored = d
				rooms = append(rooms, d.Room)
			case *events.AssetAttachedData:
				rooms = append(rooms, d.Room)
			}
		}
	}
	return stored, rooms, nil
}
