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
	a, err := p.cfg.Assets.fold(ctx, id)
	if err != nil || a.Stored == nil {
		return err
	}
	if a.Status == domain.AssetDeleted {
		return domain.Errorf(domain.CodeNotFound, "src: nothing showed this asset, and it was deleted")
	}
	if err := p.mayOpen(ctx, b, id, &a); err != nil {
		return err
	}
	return p.cfg.Assets.useAgain(ctx, id, &a)
}

// mayOpen refuses who may not see the asset.
func (p *Preparation) mayOpen(ctx context.Context, b by, id string, a *domain.Asset) error {
	if a.Stored.User == b.actor.ID && !b.actor.Anonymous() {
		return nil
	}
	rooms := append([]string{a.Stored.Room}, a.Rooms...)
	if slices.Contains(rooms, b.room) {
		return nil
	}
	for _, room := range rooms[:min(len(rooms), maxShownRooms)] {
		if ok, err := p.mayEnter(ctx, room, b.actor.ID); err != nil || ok {
			return err
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

func (s *Assets) fold(ctx context.Context, id string) (domain.Asset, error) {
	cs, err := s.streams.read(ctx, events.Asset(id))
	return domain.FoldAsset(cs), err
}

// useAgain takes the mark off an asset that nothing showed, before a command shows it: from then on it is not deleted.
func (s *Assets) useAgain(ctx context.Context, id string, a *domain.Asset) error {
	if a.Status != domain.AssetUnused {
		return nil
	}
	gone := false
	err := s.streams.change(ctx, events.Asset(id), func(cs []*events.Commit) ([]events.Event, error) {
		now := domain.FoldAsset(cs)
		gone = now.Status == domain.AssetDeleted
		return usedAgain(cs), nil
	})
	if err == nil && gone {
		err = domain.Errorf(domain.CodeNotFound, "src: nothing showed this asset, and it was deleted")
	}
	return err
}
