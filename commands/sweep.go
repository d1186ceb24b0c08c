package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

const (
	sweepEvery = 15 * time.Minute
	// strayAfter is how old bytes are that belong to no upload, before they are taken for what a crash left.
	strayAfter = time.Hour
)

// Swept counts what a sweep did.
type Swept struct {
	Given   int // uploads given up, as their time was over
	Settled int // ends of uploads that a crash had cut
	Strays  int // bytes of no upload that were deleted
}

// Run sweeps from time to time until ctx ends.
func (u *Uploads) Run(ctx context.Context) error {
	for {
		swept, err := u.Sweep(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			u.logger.Warn("uploads_sweep", slog.String("error", err.Error()))
		case swept != Swept{}:
			u.logger.Info("uploads_swept", slog.Int("given_up", swept.Given), slog.Int("settled", swept.Settled), slog.Int("strays", swept.Strays))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(sweepEvery):
		}
	}
}

// Sweep gives up the uploads whose time is over, ends what crashes have cut, and deletes bytes that belong to no upload. It goes on past what fails.
func (u *Uploads) Sweep(ctx context.Context) (Swept, error) {
	var s Swept
	var errs []error
	err := u.quota.ledger.People(ctx, func(person string) bool {
		errs = append(errs, u.sweepPerson(ctx, person, &s))
		return ctx.Err() == nil
	})
	errs = append(errs, err, u.sweepStrays(ctx, &s))
	return s, errors.Join(errs...)
}

func (u *Uploads) sweepPerson(ctx context.Context, person string, s *Swept) error {
	due, err := u.quota.due(ctx, person)
	if err != nil {
		return err
	}
	var errs []error
	for asset, h := range due {
		errs = append(errs, u.sweepHold(ctx, person, asset, h, s))
	}
	return errors.Join(errs...)
}

// sweepHold ends what holds bytes of a person.
func (u *Uploads) sweepHold(ctx context.Context, person, asset string, h hold, s *Swept) error {
	a, err := u.fold(ctx, asset)
	if err != nil {
		return err
	}
	switch {
	case h.Free > 0:
		s.Settled++
		return u.afterDelete(ctx, person, asset, h.Free, &a)
	case a.Status == domain.AssetPending:
		s.Given++
		return u.fail(ctx, asset, a.Requested, domain.Errorf(domain.CodeConflict, "the upload was not completed in time"))
	}
	s.Settled++
	d := a.Requested
	if d == nil { // a crash came before the request was committed
		d = &events.AssetUploadRequestedData{User: person, Key: StagedPrefix + asset}
	}
	return u.clean(ctx, asset, d, &a)
}

// sweepStrays deletes what stands where uploads stand and belongs to none.
func (u *Uploads) sweepStrays(ctx context.Context, s *Swept) error {
	before := time.UnixMilli(u.streams.clock()).Add(-strayAfter)
	var errs []error
	stray := func(key string, at time.Time, remove func() error) {
		if at.After(before) {
			return
		}
		a, err := u.fold(ctx, strings.TrimPrefix(key, StagedPrefix))
		if err == nil && a.Status != domain.AssetPending {
			s.Strays++
			err = remove()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("sweep %s: %w", key, err))
		}
	}
	type started struct {
		key, id string
		at      time.Time
	}
	var open []started
	err := u.intake.Started(ctx, func(key, id string, at time.Time) bool { open = append(open, started{key, id, at}); return true })
	for _, o := range open {
		remove := func() error { return u.intake.Abort(ctx, o.key, o.id) }
		if strings.HasPrefix(o.key, StagedPrefix) {
			stray(o.key, o.at, remove)
		} else if o.at.Before(before.Add(strayAfter - uploadHolds)) { // what a server that is gone was putting; no Put takes so long
			s.Strays++
			errs = append(errs, remove())
		}
	}
	var staged []Object
	lerr := u.objects.List(ctx, StagedPrefix, func(o Object) bool { staged = append(staged, o); return true })
	for _, o := range staged {
		stray(o.Key, o.ModifiedAt, func() error { return u.objects.Delete(ctx, o.Key) })
	}
	return errors.Join(append(errs, err, lerr)...)
}

// afterDelete takes away the bytes of a deleted asset, and them off its person's account; where it was not deleted after all, nothing changes.
func (u *Uploads) afterDelete(ctx context.Context, person, asset string, bytes int64, a *domain.Asset) error {
	if a.Status != domain.AssetDeleted {
		return u.quota.released(ctx, person, asset, 0)
	}
	keys := []string{a.Stored.Key}
	if a.Processed != nil {
		for _, v := range a.Processed.Variants {
			keys = append(keys, v.Key)
		}
	}
	if err := u.objects.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("delete asset %s: %w", asset, err)
	}
	return u.quota.released(ctx, person, asset, bytes)
}
