package commands

import (
	"context"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Discard gives an upload up, or marks a stored asset as unused. CodeConflict where a room shows it, or its history does.
func (u *Uploads) Discard(ctx context.Context, person, asset string) error {
	a, err := u.Asset(ctx, person, asset)
	if err != nil {
		return err
	}
	if a.Status == domain.AssetPending {
		return u.fail(ctx, asset, a.Requested, domain.Errorf(domain.CodeConflict, "the upload was given up"))
	}
	return u.mark(ctx, person, asset)
}

// mark says that nothing shows an asset; it is deleted after the time of grace unless it is used again.
func (u *Uploads) mark(ctx context.Context, by, asset string) error {
	return u.streams.change(ctx, events.Asset(asset), func(cs []*events.Commit) ([]events.Event, error) {
		switch a := domain.FoldAsset(cs); {
		case a.Status != domain.AssetReady:
			return nil, nil
		case len(a.Rooms) > 0:
			return nil, domain.Errorf(domain.CodeConflict, "a room shows it, or its history does")
		}
		until := time.UnixMilli(u.streams.clock()).Add(u.grace)
		return []events.Event{{Type: events.AssetMarkedUnused, Actor: by, Payload: &events.AssetMarkedUnusedData{DeleteAfter: until.UnixMilli()}}}, nil
	})
}
