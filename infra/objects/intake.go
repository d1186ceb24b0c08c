package objects

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/infinite-kanvas/kanvas/commands"
)

// Intake takes uploads into a Dir: each is one file, as large as the object will be, into which parts are written where they belong, and beside it a
// small file for each part that is there. Finishing renames the file, so that bytes are written once. It implements commands.Intake, commands.Receiver.
type Intake struct {
	dir  *Dir
	root string

	sums sums

	mu   sync.Mutex
	busy map[string]map[int]bool // parts on their way, by key; part 0 is Finish or Abort
}

var (
	_ commands.Intake   = (*Intake)(nil)
	_ commands.Receiver = (*Intake)(nil)
	_ commands.Mover    = (*Dir)(nil)
)

const dataFile = "data"

// NewIntake keeps uploads beside the objects of d. One process at a time may have one.
func NewIntake(d *Dir) (*Intake, error) {
	i := &Intake{dir: d, root: filepath.Join(filepath.Dir(d.root), "uploads"), sums: sums{of: map[string]*prefix{}}, busy: map[string]map[int]bool{}}
	if err := os.MkdirAll(i.root, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of uploads: %w", err)
	}
	return i, nil
}

// folder is where an upload stands: its key is StagedPrefix and one element.
func (i *Intake) folder(key string) (string, error) {
	name, ok := strings.CutPrefix(key, commands.StagedPrefix)
	if err := CheckKey(key); err != nil || !ok || strings.Contains(name, "/") {
		return "", fmt.Errorf("%w: %q is no upload's", ErrKey, key)
	}
	return filepath.Join(i.root, name), nil
}

// hold keeps others away from a part, or with part 0 from all of the upload.
func (i *Intake) hold(key string, part int) (release func(), err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	held := i.busy[key]
	if held[0] || held[part] || part == 0 && len(held) > 0 {
		return nil, fmt.Errorf("%w: %s", commands.ErrUploadBusy, key)
	}
	if held == nil {
		held = map[int]bool{}
		i.busy[key] = held
	}
	held[part] = true
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if delete(held, part); len(held) == 0 {
			delete(i.busy, key)
		}
	}, nil
}

// Start implements commands.Intake.
func (i *Intake) Start(_ context.Context, s commands.Staged) (string, error) {
	folder, err := i.folder(s.Key)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("start upload %s: %w", s.Key, err)
	}
	return "", syncDir(i.root)
}

// Sign implements commands.Intake: parts are sent to this server.
func (i *Intake) Sign(context.Context, commands.Staged, time.Duration) ([]commands.SignedPut, error) {
	return nil, nil
}

// etagLength is that of a part's ETag; a note of it that is shorter was cut.
func etagLength(s commands.Staged) int {
	if s.Parts() == 1 {
		return sha256.Size * 2
	}
	return xxhash.New().Size() * 2
}

// Sent implements commands.Intake.
func (i *Intake) Sent(_ context.Context, s commands.Staged) (map[int]string, error) {
	folder, err := i.folder(s.Key)
	if err != nil {
		return nil, err
	}
	sent := map[int]string{}
	for n := range s.Parts() {
		b, err := os.ReadFile(filepath.Join(folder, strconv.Itoa(n+1)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("parts of %s: %w", s.Key, err)
		}
		if len(b) == etagLength(s) {
			sent[n+1] = string(b)
		}
	}
	return sent, nil
}

// Finish implements commands.Intake.
func (i *Intake) Finish(ctx context.Context, s commands.Staged, etags []string) error {
	folder, err := i.folder(s.Key)
	if err != nil {
		return err
	}
	release, err := i.hold(s.Key, 0)
	if err != nil {
		return err
	}
	defer release()
	data := filepath.Join(folder, dataFile)
	if _, err := os.Stat(data); errors.Is(err, fs.ErrNotExist) {
		if _, err := i.dir.Head(ctx, s.Key); err == nil {
			return os.RemoveAll(folder) // an earlier call was cut here
		}
		return fmt.Errorf("%w: %s", commands.ErrNoUpload, s.Key)
	}
	sent, err := i.Sent(ctx, s)
	if err != nil {
		return err
	}
	if len(sent) != s.Parts() {
		return fmt.Errorf("%w: %d of %d parts are here", commands.ErrParts, len(sent), s.Parts())
	}
	for n, etag := range etags {
		if sent[n+1] != strings.Trim(etag, `"`) {
			return fmt.Errorf("%w: part %d", commands.ErrParts, n+1)
		}
	}
	if s.Parts() > 1 {
		err := i.seal(ctx, s, data)
		i.sums.drop(s.Key)
		if err != nil {
			return fmt.Errorf("finish %s: %w", s.Key, err)
		}
	}
	// What is staged may be lost by a power cut: nobody was told that it is kept, and where it stands then it is found.
	if err := i.dir.rename(data, i.dir.file(s.Key), false); err != nil {
		return fmt.Errorf("finish %s: %w", s.Key, err)
	}
	return os.RemoveAll(folder)
}

// Abort implements commands.Intake.
func (i *Intake) Abort(_ context.Context, key, _ string) error {
	folder, err := i.folder(key)
	if err != nil {
		return err
	}
	release, err := i.hold(key, 0)
	if err != nil {
		return err
	}
	defer release()
	i.sums.drop(key)
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("give up %s: %w", key, err)
	}
	return nil
}

// Started implements commands.Intake.
func (i *Intake) Started(ctx context.Context, yield func(key, id string, at time.Time) bool) error {
	entries, err := os.ReadDir(i.root)
	if err != nil {
		return fmt.Errorf("list uploads: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // over meanwhile
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("list uploads: %w", err)
		}
		if !yield(commands.StagedPrefix+e.Name(), "", info.ModTime()) {
			return nil
		}
	}
	return nil
}

// Move implements commands.Mover.
func (d *Dir) Move(ctx context.Context, from commands.Object, to string) error {
	if err := errors.Join(CheckKey(to), ctx.Err()); err != nil {
		return err
	}
	now, err := d.Head(ctx, from.Key)
	if err != nil {
		return err
	}
	if now.ETag != from.ETag {
		return fmt.Errorf("move %s: it is another one by now: %w", from.Key, commands.ErrNoObject)
	}
	// Should a power cut bring the old name back, it is swept.
	if err := d.rename(d.file(from.Key), d.file(to), true); err != nil {
		return fmt.Errorf("move %s: %w", from.Key, err)
	}
	return nil
}
