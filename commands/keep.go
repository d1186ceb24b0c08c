package commands

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"github.com/infinite-kanvas/kanvas/commands/media"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// paidFile is a picture or video that was paid for and comes from this server itself.
type paidFile struct {
	asset        uuid.UUID // the same for the same file, whoever brings it
	person, room string
	name         string // of the file
	body         io.ReadSeeker
	size         int64 // bytes
}

// keepPaid stores a file that was paid for, as it stores what is sent: announced in the asset's stream, looked at, kept. The quota counts it and does not
// refuse it. Called again for the same asset it gives the same answer. CodeBadRequest and CodeTooLarge for what is no picture or video that is kept.
func (u *Uploads) keepPaid(ctx context.Context, f *paidFile) (domain.Asset, error) {
	asset := f.asset.String()
	found, err := media.Scan(f.body, f.size)
	if err != nil {
		return domain.Asset{}, err
	}
	expires := time.UnixMilli(u.streams.clock()).Add(uploadHolds)
	if err := u.quota.hold(ctx, f.person, asset, found.Size, expires, true); err != nil {
		return domain.Asset{}, err
	}
	d := &events.AssetUploadRequestedData{User: f.person, Room: f.room, ContentType: found.ContentType, Size: found.Size, ExpiresAt: expires.UnixMilli(),
		Key: "images/" + f.person + "/" + ulid.ULID(f.asset).String() + "-" + safeName(f.name, found.Ext)}
	var a domain.Asset
	err = u.streams.change(ctx, events.Asset(asset), func(cs []*events.Commit) ([]events.Event, error) {
		if a = domain.FoldAsset(cs); len(cs) > 0 {
			return nil, nil
		}
		return []events.Event{{Type: events.AssetUploadRequested, Actor: d.User, Payload: d}}, nil
	})
	switch {
	case err != nil:
		return a, err
	case a.Requested != nil:
		d = a.Requested
	}
	if a.Status != "" && a.Status != domain.AssetPending {
		if !a.Shown() {
			return a, fmt.Errorf("asset %s of a result is %s", asset, a.Status)
		}
		return a, u.clean(ctx, asset, d, &a)
	}
	stored, err := u.putPaid(ctx, f, found, d)
	if err != nil {
		return a, err
	}
	return u.completed(ctx, f.person, asset, d, stored)
}

// putPaid puts the bytes under their key.
func (u *Uploads) putPaid(ctx context.Context, f *paidFile, found *media.Found, d *events.AssetUploadRequestedData) (*events.AssetStoredData, error) {
	if _, err := f.body.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read a result again: %w", err)
	}
	sum := sha256.New()
	if err := u.objects.Put(ctx, d.Key, found.ContentType, io.TeeReader(found.Edited(f.body), sum), found.Size); err != nil {
		return nil, refuseDown(err)
	}
	return &events.AssetStoredData{User: d.User, Room: d.Room, Key: d.Key, ContentType: found.ContentType, Size: found.Size,
		SHA256: hex.EncodeToString(sum.Sum(nil)), Width: found.Width, Height: found.Height}, nil
}

// roomLeft refuses who may not keep anything more.
func (u *Uploads) roomLeft(ctx context.Context, person string) error {
	is, err := u.quota.Of(ctx, person)
	if err != nil {
		return err
	}
	if used := is.Kept + is.Reserved; used >= is.Limit {
		return domain.Errorf(domain.CodeTooLarge, "you keep %d bytes of %d: nothing new fits until you delete something", used, is.Limit)
	}
	return nil
}
