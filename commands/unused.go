package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

const (
	// unusedFirst is how soon after the start unused assets are looked for: a server that is started every day looks too.
	unusedFirst = 10 * time.Minute
	// unusedAfter is how long an asset is let be after it was stored, before anybody asks whether something shows it.
	unusedAfter = 24 * time.Hour
)

// ShownIDs adds the ids of all assets that a record of a room names anywhere: what an element shows, showed, or may show again by undo. It may add
// what is only text, never miss one.
func ShownIDs(rec events.Record, into map[string]bool) {
	if rec.Stream.Kind != events.KindRoom {
		return
	}
	mark := []byte(assetScheme)
	for rest := rec.Payload; ; {
		i := bytes.Index(rest, mark)
		if i < 0 {
			return
		}
		rest = rest[i+len(mark):]
		n := 0
		for n < len(rest) && isIDByte(rest[n]) {
			n++
		}
		if n > 0 {
			into[string(rest[:n])] = true
		}
	}
}

func isIDByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// UnusedConfig is where Unused looks.
type UnusedConfig struct {
	// Shown returns the ids of all assets that the log of any room names, read from its start to where it is now.
	Shown func(ctx context.Context) (map[string]bool, error)
	// Stored yields all stored assets.
	Stored func(ctx context.Context, yield func(asset string) bool) error
	DryRun bool // only tell
}

// Unused is what became of assets that nothing shows.
type Unused struct {
	Asset string `json:"asset"`
	// Step is "marked", "used_again" or "deleted", or what the next step is where nothing was done (DryRun, or "waits" until DeleteAfter).
	Step        string `json:"step"`
	Bytes       int64  `json:"bytes"`
	DeleteAfter int64  `json:"delete_after,omitempty"` // Unix ms
}

// FindUnused marks the stored assets that no revision of any room shows, deletes those that were marked for the time of grace, and takes the mark off
// what is shown again. The log says what is shown, and an asset is deleted only where its stream stands still meanwhile: who uses it again takes the
// mark off first. It goes on past what fails.
func (u *Uploads) FindUnused(ctx context.Context, cfg UnusedConfig, yield func(Unused)) error {
	var assets []string
	if err := cfg.Stored(ctx, func(asset string) bool { assets = append(assets, asset); return true }); err != nil {
		return fmt.Errorf("unused assets: %w", err)
	}
	shown, err := cfg.Shown(ctx) // after the list: what is stored meanwhile is not looked at
	if err != nil {
		return fmt.Errorf("unused assets: %w", err)
	}
	var errs []error
	for _, asset := range assets {
		if ctx.Err() != nil {
			break
		}
		found, err := u.unused(ctx, asset, shown[asset], cfg.DryRun)
		if err != nil {
			errs = append(errs, fmt.Errorf("unused asset %s: %w", asset, err))
		} else if found.Step != "" {
			yield(found)
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// unused does the next step about one asset.
func (u *Uploads) unused(ctx context.Context, asset string, shown, dry bool) (Unused, error) {
	a, err := u.fold(ctx, asset)
	if err != nil || !a.Shown() {
		return Unused{}, err
	}
	now := u.streams.clock()
	found := Unused{Asset: asset, Bytes: a.Stored.Size, DeleteAfter: a.DeleteAfter}
	used := shown || len(a.Rooms) > 0
	switch {
	case used && a.Status == domain.AssetUnused:
		found.Step = "used_again"
		if !dry {
			err = u.useAgain(ctx, asset)
		}
	case used || a.Status == domain.AssetReady && now < a.StoredAt+unusedAfter.Milliseconds():
		return Unused{}, nil
	case a.Status == domain.AssetReady:
		found.Step, found.DeleteAfter = "marked", now+u.grace.Milliseconds()
		if !dry {
			err = u.mark(ctx, domain.SystemID, asset)
		}
	case now < a.DeleteAfter:
		found.Step = "waits"
	default:
		found.Step = "deleted"
		if !dry {
			err = u.delete(ctx, asset, &a)
		}
	}
	return found, err
}

func (u *Uploads) useAgain(ctx context.Context, asset string) error {
	return u.streams.change(ctx, events.Asset(asset), func(cs []*events.Commit) ([]events.Event, error) { return usedAgain(cs), nil })
}

// usedAgain takes the mark off, where there is one.
func usedAgain(cs []*events.Commit) []events.Event {
	if a := domain.FoldAsset(cs); a.Status != domain.AssetUnused {
		return nil
	}
	return []events.Event{{Type: events.AssetUsedAgain, Actor: domain.SystemID, Payload: &events.AssetUsedAgainData{}}}
}

// delete commits that a marked asset is deleted, and takes its bytes away.
func (u *Uploads) delete(ctx context.Context, asset string, a *domain.Asset) error {
	person, bytes := a.Stored.User, a.Stored.Size
	if err := u.quota.release(ctx, person, asset, bytes); err != nil {
		return err
	}
	var now domain.Asset
	err := u.streams.change(ctx, events.Asset(asset), func(cs []*events.Commit) ([]events.Event, error) {
		if now = domain.FoldAsset(cs); now.Status != domain.AssetUnused || now.DeleteAfter > u.streams.clock() || len(now.Rooms) > 0 {
			return nil, nil
		}
		now.Status = domain.AssetDeleted
		return []events.Event{{Type: events.AssetDeleted, Actor: domain.SystemID, Payload: &events.AssetDeletedData{}}}, nil
	})
	if err != nil {
		return err
	}
	return u.afterDelete(ctx, person, asset, bytes, &now)
}

// RunUnused looks for unused assets from time to time until ctx ends.
func (u *Uploads) RunUnused(ctx context.Context, every time.Duration, cfg UnusedConfig) error {
	for wait := min(every, unusedFirst); ; wait = every {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		count := map[string]int{}
		err := u.FindUnused(ctx, cfg, func(f Unused) { count[f.Step]++ })
		if err != nil && ctx.Err() == nil {
			u.logger.Warn("assets_unused", slog.String("error", err.Error()))
		}
		u.logger.Info("assets_unused", slog.Int("marked", count["marked"]), slog.Int("deleted", count["deleted"]), slog.Int("used_again", count["used_again"]))
	}
}
