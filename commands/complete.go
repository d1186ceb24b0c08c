package commands

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/infinite-kanvas/kanvas/commands/media"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Complete looks at what was sent and keeps it. etags are of the parts, in order; nil where it came in one request. Called again it gives the same answer.
// What is no picture or video of the announced type and size, or is broken, is refused and gone (CodeBadRequest, CodeTooLarge); while bytes are missing
// the upload stays as it is (CodeConflict).
func (u *Uploads) Complete(ctx context.Context, person, asset string, etags []string) (domain.Asset, error) {
	a, err := u.Asset(ctx, person, asset)
	if err != nil {
		return a, err
	}
	switch a.Status {
	case domain.AssetPending:
	case domain.AssetFailed:
		return a, domain.Errorf(domain.Code(a.Failed.Code), "%s", a.Failed.Detail)
	case domain.AssetDeleted:
		return a, errNoAsset
	default:
		return a, nil
	}
	if err := u.looks.Acquire(ctx, 1); err != nil {
		return a, err
	}
	defer u.looks.Release(1)
	stored, err := u.keep(ctx, asset, a.Requested, etags)
	if err != nil {
		return u.completeFailed(ctx, person, asset, &a, err)
	}
	return u.completed(ctx, person, asset, a.Requested, stored)
}

// completeFailed gives an upload up that is refused for what it is. What failed for another reason may be because a second call was faster.
func (u *Uploads) completeFailed(ctx context.Context, person, asset string, was *domain.Asset, err error) (domain.Asset, error) {
	var reason *domain.Error
	if errors.As(err, &reason) && (reason.Code == domain.CodeBadRequest || reason.Code == domain.CodeTooLarge) {
		return *was, errors.Join(reason, u.fail(context.WithoutCancel(ctx), asset, was.Requested, reason))
	}
	if a, aerr := u.Asset(ctx, person, asset); aerr == nil && a.Shown() {
		return a, nil
	}
	return *was, err
}

// keep makes the object of what was sent, under its own key.
func (u *Uploads) keep(ctx context.Context, asset string, d *events.AssetUploadRequestedData, etags []string) (*events.AssetStoredData, error) {
	staged := stagedOf(asset, d)
	n, parts := len(etags), staged.Parts()
	if n != 0 && n != parts {
		return nil, errParts(n, parts)
	}
	if n > 0 || parts == 1 {
		if err := u.finish(ctx, staged, etags); err != nil {
			return nil, err
		}
	}
	object, err := u.objects.Head(ctx, staged.Key)
	if errors.Is(err, ErrNoObject) { // a call before may have been cut between keeping it and saying so
		object, err = u.objects.Head(ctx, d.Key)
	}
	switch {
	case errors.Is(err, ErrNoObject) && n == 0 && parts > 1: // it is only together after a call that listed them
		return nil, errParts(n, parts)
	case errors.Is(err, ErrNoObject):
		return nil, domain.Errorf(domain.CodeConflict, "nothing was sent")
	case err != nil:
		return nil, refuseDown(err)
	case object.Key == staged.Key && object.Size != d.Size:
		return nil, domain.Errorf(domain.CodeBadRequest, "%d bytes came, %d were announced", object.Size, d.Size)
	}
	return u.look(ctx, object, d)
}

func errParts(listed, parts int) error {
	return domain.Errorf(domain.CodeConflict, "parts: %d are listed of %d", listed, parts)
}

// finish puts together what was sent. No error where there is nothing to put together.
func (u *Uploads) finish(ctx context.Context, staged Staged, etags []string) error {
	switch err := u.intake.Finish(ctx, staged, etags); {
	case errors.Is(err, ErrNoUpload):
		return nil
	case errors.Is(err, ErrUploadBusy):
		return domain.Errorf(domain.CodeConflict, "a part is still on its way")
	case errors.Is(err, ErrParts):
		return domain.Errorf(domain.CodeConflict, "parts are missing, or others than were sent")
	default:
		return refuseDown(err)
	}
}

// look reads what was sent and stores it under its key, without what is nobody's business.
func (u *Uploads) look(ctx context.Context, object Object, d *events.AssetUploadRequestedData) (*events.AssetStoredData, error) {
	sum := sha256.New()
	var found *media.Found
	err := u.read(ctx, object, func(body io.Reader) (err error) {
		if object.SHA256 == "" {
			body = io.TeeReader(body, sum)
		}
		found, err = media.Scan(body, object.Size)
		return err
	})
	if err != nil {
		return nil, err
	}
	if found.ContentType != d.ContentType {
		return nil, domain.Errorf(domain.CodeBadRequest, "the file is %s, and not %s as announced", found.ContentType, d.ContentType)
	}
	known := object.SHA256
	if found.Changed() {
		known = ""
		sum.Reset()
		err = u.read(ctx, object, func(body io.Reader) error {
			return u.objects.Put(ctx, d.Key, d.ContentType, io.TeeReader(found.Edited(body), sum), found.Size)
		})
	} else {
		err = u.move(ctx, object, d)
	}
	if err != nil {
		return nil, refuseDown(err)
	}
	if known == "" {
		known = hex.EncodeToString(sum.Sum(nil))
	}
	return &events.AssetStoredData{User: d.User, Room: d.Room, Key: d.Key, ContentType: d.ContentType, Size: found.Size,
		SHA256: known, Width: found.Width, Height: found.Height}, nil
}

// read opens the very object that was looked up before.
func (u *Uploads) read(ctx context.Context, o Object, fn func(io.Reader) error) error {
	body, now, err := u.objects.Get(ctx, o.Key, 0, -1)
	if err != nil {
		return refuseDown(err)
	}
	if now.ETag != o.ETag {
		return errors.Join(domain.Errorf(domain.CodeConflict, "it was sent again meanwhile"), body.Close())
	}
	if err := errors.Join(fn(body), body.Close()); err != nil {
		return fmt.Errorf("read %s: %w", o.Key, err)
	}
	return nil
}

func (u *Uploads) move(ctx context.Context, o Object, d *events.AssetUploadRequestedData) error {
	if o.Key == d.Key {
		return nil
	}
	if m, ok := u.objects.(Mover); ok {
		return m.Move(ctx, o, d.Key)
	}
	return u.read(ctx, o, func(body io.Reader) error { return u.objects.Put(ctx, d.Key, d.ContentType, body, o.Size) })
}

// completed commits that the asset is stored, and cleans up. Where the upload was given up meanwhile, the object goes again.
func (u *Uploads) completed(ctx context.Context, person, asset string, d *events.AssetUploadRequestedData, stored *events.AssetStoredData) (domain.Asset, error) {
	var a domain.Asset
	err := u.streams.change(ctx, events.Asset(asset), func(cs []*events.Commit) ([]events.Event, error) {
		if a = domain.FoldAsset(cs); a.Status != domain.AssetPending {
			return nil, nil
		}
		return []events.Event{{Type: events.AssetStored, Actor: d.User, Payload: stored}}, nil
	})
	if err != nil {
		return a, err
	}
	if a.Status == domain.AssetFailed {
		return a, errors.Join(domain.Errorf(domain.CodeConflict, "the upload was given up meanwhile"), u.clean(ctx, asset, d, &a))
	}
	if a, err = u.Asset(ctx, person, asset); err != nil {
		return a, err
	}
	// What was said is said: what can't be cleaned up now is swept.
	if err := u.clean(context.WithoutCancel(ctx), asset, d, &a); err != nil {
		u.logger.Warn("upload_left", "assetId", asset, "error", err.Error())
	}
	return a, nil
}

// fail gives an upload up, unless it was completed, and leaves nothing of it.
func (u *Uploads) fail(ctx context.Context, asset string, d *events.AssetUploadRequestedData, reason *domain.Error) error {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	var a domain.Asset
	err := u.streams.change(ctx, events.Asset(asset), func(cs []*events.Commit) ([]events.Event, error) {
		if a = domain.FoldAsset(cs); a.Status != domain.AssetPending {
			return nil, nil
		}
		a.Status = domain.AssetFailed
		return []events.Event{{Type: events.AssetFailed, Actor: domain.SystemID, Payload: &events.AssetFailedData{Code: string(reason.Code), Detail: reason.Detail}}}, nil
	})
	if err != nil {
		return fmt.Errorf("give up upload %s: %w", asset, err)
	}
	return u.clean(ctx, asset, d, &a)
}

// clean takes away what an upload that is over leaves, and settles what it held. It may be called again.
func (u *Uploads) clean(ctx context.Context, asset string, d *events.AssetUploadRequestedData, a *domain.Asset) error {
	kept, keys := int64(0), []string{StagedPrefix + asset}
	if a.Stored != nil {
		kept = a.Stored.Size
	} else {
		keys = append(keys, d.Key)
	}
	if err := u.intake.Abort(ctx, StagedPrefix+asset, d.Upload); err != nil {
		return fmt.Errorf("clean up after upload %s: %w", asset, err)
	}
	if err := u.objects.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("clean up after upload %s: %w", asset, err)
	}
	return u.quota.settle(ctx, d.User, asset, kept)
}
