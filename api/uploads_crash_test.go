package api

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// uploadDay is longer than an upload may take.
const uploadDay = 25 * time.Hour

func (w *world) quota() *commands.Quota {
	return commands.NewQuota(w.parts.ledger, func(context.Context, string) (int64, error) { return 0, nil }, testQuota, w.parts.clock)
}

// errKilled is what a process that is gone answers.
var errKilled = errors.New("killed")

// killer lets so many calls that change a store pass, and none after: what a process that dies there leaves.
type killer struct {
	left   int
	before bool // the last call does not happen; else it happens and its caller never hears of it
	calls  int
}

func (k *killer) call(fn func() error) error {
	k.calls++
	k.left--
	if k.left < 0 || k.left == 0 && k.before {
		return errKilled
	}
	err := fn()
	if k.left == 0 {
		return errKilled
	}
	return err
}

type killedLog struct {
	commands.Log
	k *killer
}

func (l killedLog) Append(ctx context.Context, s events.Stream, after uint64, payload []byte) (seq uint64, err error) {
	err = l.k.call(func() (err error) { seq, err = l.Log.Append(ctx, s, after, payload); return err })
	return seq, err
}

type killedObjects struct {
	commands.Objects
	k *killer
}

func (o killedObjects) Put(ctx context.Context, key, kind string, body io.Reader, size int64) error {
	return o.k.call(func() error { return o.Objects.Put(ctx, key, kind, body, size) })
}

func (o killedObjects) Delete(ctx context.Context, keys ...string) error {
	return o.k.call(func() error { return o.Objects.Delete(ctx, keys...) })
}

func (o killedObjects) Move(ctx context.Context, from commands.Object, to string) error {
	return o.k.call(func() error { return o.Objects.(commands.Mover).Move(ctx, from, to) })
}

type killedIntake struct {
	commands.Intake
	k *killer
}

func (i killedIntake) Start(ctx context.Context, s commands.Staged) (id string, err error) {
	err = i.k.call(func() (err error) { id, err = i.Intake.Start(ctx, s); return err })
	return id, err
}

func (i killedIntake) Finish(ctx context.Context, s commands.Staged, etags []string) error {
	return i.k.call(func() error { return i.Intake.Finish(ctx, s, etags) })
}

func (i killedIntake) Abort(ctx context.Context, key, id string) error {
	return i.k.call(func() error { return i.Intake.Abort(ctx, key, id) })
}

type killedLedger struct {
	commands.Ledger
	k *killer
}

func (l killedLedger) Put(ctx context.Context, person string, doc []byte, version uint64) error {
	return l.k.call(func() error { return l.Ledger.Put(ctx, person, doc, version) })
}

// TestUploadKilledAtEveryStep kills an upload before and after each call that changes a store, for a picture that is kept as it is, one that is edited,
// and one that is refused. After the sweep nothing is left but what is said to be there, and the account is right; where the client asks again before
// it, the upload comes to its end.
func TestUploadKilledAtEveryStep(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.RateLimits = false })
	whole, photo := pngOf(t, noise(40, 40, 7)), withExif(jpegOf(t, noise(40, 40, 8)), 3)
	kills := 0
	for name, c := range map[string]struct {
		kind string
		data []byte
		good bool
	}{"kept": {"image/png", whole, true}, "edited": {"image/jpeg", photo, true}, "refused": {"image/png", whole[:len(whole)-9], false}} {
		for _, again := range []bool{false, true} {
			for _, before := range []bool{true, false} {
				for n, dead := 1, true; dead; n++ {
					person := strings.Join([]string{"p", name, map[bool]string{true: "a", false: "b"}[again], map[bool]string{true: "c", false: "d"}[before], strconv.Itoa(n)}, "-")
					k := &killer{left: n, before: before}
					p := w.parts
					p.log, p.objects, p.intake, p.ledger = killedLog{p.log, k}, killedObjects{p.objects, k}, killedIntake{p.intake, k}, killedLedger{p.ledger, k}
					asset := w.tryUpload(p.open(testQuota), person, c.kind, c.data)
					dead = k.left <= 0
					kills++
					var state domain.Asset
					if asset != "" && again {
						state, _ = w.uploads.Complete(soon(t), person, asset, nil)
						if c.good && !state.Shown() {
							t.Errorf("%s: killed at %d (before %v): asked again it is %q", person, n, before, state.Status)
						}
					}
					w.clock.advance(uploadDay)
					if _, err := w.uploads.Sweep(soon(t)); err != nil {
						t.Fatalf("%s: sweep: %v", person, err)
					}
					var keep []string
					var want int64
					if asset != "" {
						if state, _ = w.uploads.Asset(soon(t), person, asset); state.Shown() {
							keep, want = []string{state.Stored.Key}, state.Stored.Size
							if _, err := w.parts.objects.Head(soon(t), state.Stored.Key); err != nil {
								t.Errorf("%s: it is said to be stored: %v", person, err)
							}
						}
					}
					w.parts.nothingLeft(t, keep...)
					if u, err := w.quota().Of(soon(t), person); err != nil || u.Kept != want || u.Reserved != 0 {
						t.Errorf("%s: killed at %d (before %v): %d bytes count, %d are reserved, %d are kept (%v)", person, n, before, u.Kept, u.Reserved, want, err)
					}
					if want > 0 {
						if err := w.parts.objects.Delete(soon(t), keep...); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
	}
	t.Logf("%d kills", kills)
}

// tryUpload goes as far as it gets, and returns the asset where the client heard of it.
func (w *world) tryUpload(u *commands.Uploads, person, kind string, data []byte) string {
	up, err := u.Request(soon(w.t), person, commands.UploadRequest{Name: "x", ContentType: kind, Size: int64(len(data))})
	if err != nil {
		return ""
	}
	if _, err := w.cfg.Receiver.Receive(soon(w.t), up.Staged, 1, strings.NewReader(string(data))); err != nil {
		w.t.Fatal(err)
	}
	_, _ = u.Complete(soon(w.t), person, up.Asset, nil) // its error is of a process that is gone
	return up.Asset
}
