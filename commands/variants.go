package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/infinite-kanvas/kanvas/commands/media"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// variantSizes are the most pixels of the longer side, the largest first.
var variantSizes = []int{1024, 256}

const (
	variantsQueued = 1000
	variantTimeout = 2 * time.Minute
	deadlyKept     = 1000
	variantsRetry  = 30 * time.Second // until what failed for want of a store is tried again
)

// ErrNotShrunk: the picture is of a kind, or so large, that nothing smaller is made of it. Trying again is no use.
var ErrNotShrunk = errors.New("pictures: nothing smaller is made of it")

// ErrShrinkerDied: what makes smaller pictures died over this one, and may of another reason.
var ErrShrinkerDied = errors.New("pictures: it died over the picture")

// Shrunk is a smaller picture.
type Shrunk struct {
	Size, Width, Height int // pixels
	ContentType         string
	Data                []byte
}

// Shrinker makes smaller pictures of the size bytes of body: of those of sizes (falling) that are smaller than the picture, each, and a tiny one as a data
// URL. One call may take several hundred MiB of memory for a moment. ErrNotShrunk, ErrShrinkerDied, or what reading body gave. May be called concurrently.
type Shrinker interface {
	Shrink(ctx context.Context, body io.Reader, size int64, found *media.Found, sizes []int) (list []Shrunk, placeholder string, err error)
}

// VariantConfig is what NewVariants needs.
type VariantConfig struct {
	Streams  *Streams
	Objects  Objects
	Shrinker Shrinker
	// Backlog yields stored assets that nothing smaller was made of yet, or may have been.
	Backlog func(ctx context.Context, yield func(asset string) bool) error
	Logger  *slog.Logger // nil: none
}

// Variants makes smaller pictures of what is stored, one after the other on a goroutine of its own. What the queue has no place for, and what a crash
// cut, is found again in the backlog. Handle may be called concurrently.
type Variants struct {
	cfg    VariantConfig
	queue  chan string
	missed chan struct{} // capacity 1: the backlog has to be looked through
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	deadly map[string]bool // keys of pictures over which the shrinker died
}

// NewVariants starts; Close ends it.
func NewVariants(cfg VariantConfig) *Variants {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	v := &Variants{cfg: cfg, queue: make(chan string, variantsQueued), missed: make(chan struct{}, 1), stop: stop, deadly: map[string]bool{}}
	v.miss()
	v.done.Go(func() { v.run(ctx) })
	return v
}

// Close waits until nothing is made any more.
func (v *Variants) Close() { v.stop(); v.done.Wait() }

// AboutStored reports whether a record may say that an asset is stored.
func AboutStored(rec events.Record) bool { return mentions(rec.Payload, `"asset.stored"`) }

// Handle takes note of assets that are stored. It does not block.
func (v *Variants) Handle(_ context.Context, rec events.Record) error {
	if rec.Stream.Kind != events.KindAsset || !AboutStored(rec) {
		return nil
	}
	select {
	case v.queue <- rec.Stream.ID:
	default:
		v.miss()
	}
	return nil
}

func (v *Variants) miss() {
	select {
	case v.missed <- struct{}{}:
	default:
	}
}

func (v *Variants) run(ctx context.Context) {
	retry := time.NewTimer(variantsRetry)
	defer retry.Stop()
	failed := false
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case asset := <-v.queue:
			err = v.Make(ctx, asset)
		case <-v.missed:
			err = v.backlog(ctx)
		case <-retry.C:
			if failed {
				failed = false
				v.miss()
			}
			retry.Reset(variantsRetry)
		}
		if err != nil && ctx.Err() == nil {
			failed = true
			v.cfg.Logger.Warn("variants_failed", slog.String("error", err.Error()))
		}
	}
}

func (v *Variants) backlog(ctx context.Context) error {
	var errs []error
	err := v.cfg.Backlog(ctx, func(asset string) bool {
		if err := v.Make(ctx, asset); err != nil {
			errs = append(errs, err)
		}
		return ctx.Err() == nil && len(errs) < 10
	})
	return errors.Join(append(errs, err)...)
}

// Make makes the smaller pictures of an asset and commits that they are there; nothing where they were made before.
func (v *Variants) Make(ctx context.Context, asset string) error {
	ctx, cancel := context.WithTimeout(ctx, variantTimeout)
	defer cancel()
	stream := events.Asset(asset)
	cs, err := v.cfg.Streams.read(ctx, stream)
	if err != nil {
		return err
	}
	a := domain.FoldAsset(cs)
	if !a.Shown() || a.Processed != nil {
		return nil
	}
	made, err := v.make(ctx, a.Stored)
	if errors.Is(err, ErrNoObject) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return fmt.Errorf("variants of asset %s: %w", asset, err)
	}
	deleted := false
	err = v.cfg.Streams.change(ctx, stream, func(cs []*events.Commit) ([]events.Event, error) {
		now := domain.FoldAsset(cs)
		if deleted = !now.Shown(); deleted || now.Processed != nil {
			return nil, nil
		}
		return []events.Event{{Type: events.AssetProcessed, Actor: domain.SystemID, Payload: made}}, nil
	})
	if err == nil && deleted {
		var keys []string
		for i := range made.Variants {
			keys = append(keys, made.Variants[i].Key)
		}
		err = v.cfg.Objects.Delete(ctx, keys...)
	}
	return err
}

func (v *Variants) make(ctx context.Context, d *events.AssetStoredData) (*events.AssetProcessedData, error) {
	made := &events.AssetProcessedData{}
	var found *media.Found
	err := v.read(ctx, d.Key, func(body io.Reader) (err error) { found, err = media.Scan(body, d.Size); return err })
	var broken *domain.Error
	if errors.As(err, &broken) && broken.Code != domain.CodeReadOnly {
		return made, nil // it came as a data URL when those were looked at less
	}
	if err != nil {
		return nil, err
	}
	var list []Shrunk
	err = v.read(ctx, d.Key, func(body io.Reader) (err error) {
		list, made.Placeholder, err = v.cfg.Shrinker.Shrink(ctx, body, d.Size, found, variantSizes)
		return err
	})
	if ctx.Err() == nil && (errors.Is(err, ErrNotShrunk) || errors.Is(err, ErrShrinkerDied) && v.diedAgain(d.Key)) {
		return made, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range list {
		s := &list[i]
		if int64(len(s.Data)) >= d.Size {
			continue // nobody is served by it
		}
		key := strings.TrimSuffix(d.Key, "."+found.Ext) + "-" + strconv.Itoa(s.Size) + ".webp"
		if err := v.cfg.Objects.Put(ctx, key, s.ContentType, bytes.NewReader(s.Data), int64(len(s.Data))); err != nil {
			return nil, err
		}
		made.Variants = append(made.Variants, events.AssetVariant{Size: s.Size, Key: key, ContentType: s.ContentType, Width: s.Width, Height: s.Height, Bytes: int64(len(s.Data))})
	}
	return made, nil
}

// diedAgain says whether a picture was somebody's end before; once may be chance. It is told once each time.
func (v *Variants) diedAgain(key string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.deadly[key] {
		delete(v.deadly, key)
		return true
	}
	if len(v.deadly) >= deadlyKept {
		clear(v.deadly) // they are met again
	}
	v.deadly[key] = true
	return false
}

func (v *Variants) read(ctx context.Context, key string, fn func(io.Reader) error) error {
	body, _, err := v.cfg.Objects.Get(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	return errors.Join(fn(body), body.Close())
}
