package objects

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/infinite-kanvas/kanvas/commands"
)

// header is the first line of the file that comes of an upload.
func (i *Intake) header(s commands.Staged, etag string) ([]byte, error) {
	line, err := json.Marshal(header{s.ContentType, etag, s.Size})
	return append(line, '\n'), err
}

// Receive implements commands.Receiver.
func (i *Intake) Receive(ctx context.Context, s commands.Staged, part int, body io.Reader) (etag string, err error) {
	folder, err := i.folder(s.Key)
	if err != nil {
		return "", err
	}
	_, size := s.Part(part)
	if size == 0 {
		return "", fmt.Errorf("%w: there is no part %d", commands.ErrParts, part)
	}
	release, err := i.hold(s.Key, part)
	if err != nil {
		return "", err
	}
	defer release()
	began := time.Now()
	defer func() { i.dir.metrics.Observe("put", began, err) }()
	f, err := os.OpenFile(filepath.Join(folder, dataFile), os.O_WRONLY|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %s", commands.ErrNoUpload, s.Key)
	}
	if err != nil {
		return "", fmt.Errorf("receive %s: %w", s.Key, err)
	}
	note := filepath.Join(folder, strconv.Itoa(part))
	if err := os.Remove(note); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("receive %s: %w", s.Key, errors.Join(err, f.Close()))
	}
	etag, err = i.take(ctx, s, part, f, body)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("receive part %d of %s: %w", part, s.Key, err)
	}
	// The bytes are on disk. A note that a power cut loses or cuts is none: the part is sent again.
	if err := os.WriteFile(note, []byte(etag), 0o600); err != nil {
		return "", fmt.Errorf("receive part %d of %s: %w", part, s.Key, err)
	}
	i.dir.metrics.Moved("put", size, time.Since(began))
	if s.Parts() > 1 {
		i.catchUp(ctx, s, folder)
	}
	return etag, nil
}

// take writes a part durably where it belongs. What comes in one request is whole with it, and its ETag is the object's; the ETags of parts only tell
// parts apart, so they are of a sum that costs nothing.
func (i *Intake) take(ctx context.Context, s commands.Staged, part int, f *os.File, body io.Reader) (etag string, err error) {
	start, err := i.header(s, strings.Repeat("0", sha256.Size*2))
	if err != nil {
		return "", err
	}
	offset, size := s.Part(part)
	var sum hash.Hash = sha256.New()
	var into io.Writer = sum
	if s.Parts() > 1 {
		sum = xxhash.New()
		into = sum
		whole, err := i.sums.rewrite(s.Key, part)
		if err != nil {
			return "", err
		}
		if whole != nil {
			into = io.MultiWriter(sum, whole)
			defer func() { whole.end(err == nil) }()
		}
	}
	n, err := stream(f, int64(len(start))+offset, &ctxReader{ctx, body}, size, into)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", err
	}
	etag = hex.EncodeToString(sum.Sum(nil))
	if s.Parts() == 1 {
		if err := i.writeHeader(f, s, etag); err != nil {
			return "", err
		}
	}
	return etag, f.Sync()
}

// writeHeader makes the file of an upload an object.
func (i *Intake) writeHeader(f *os.File, s commands.Staged, etag string) error {
	line, err := i.header(s, etag)
	if err == nil {
		_, err = f.WriteAt(line, 0)
	}
	return err
}

// catchUp adds to the sum of all parts those that came before their turn. What fails here is left for Finish to read.
func (i *Intake) catchUp(ctx context.Context, s commands.Staged, folder string) {
	f, err := os.Open(filepath.Join(folder, dataFile))
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // it was read only
	for {
		next, err := i.sums.next(s.Key)
		if err != nil || next == nil {
			return
		}
		there := false
		if next.part <= s.Parts() {
			_, err = os.Stat(filepath.Join(folder, strconv.Itoa(next.part)))
			there = err == nil
		}
		if there {
			there = i.read(ctx, f, s, next) == nil
		}
		next.end(there)
		if !there {
			return
		}
	}
}

// read adds a part that is in the file.
func (i *Intake) read(ctx context.Context, f io.ReaderAt, s commands.Staged, part *addition) error {
	start, err := i.header(s, strings.Repeat("0", sha256.Size*2))
	if err != nil {
		return err
	}
	b := chunkPool.Get().(*[]byte)
	defer chunkPool.Put(b)
	offset, size := s.Part(part.part)
	n, err := io.CopyBuffer(onlyWriter{part}, &ctxReader{ctx, io.NewSectionReader(f, int64(len(start))+offset, size)}, *b)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// onlyWriter hides what else a writer can, so that a copy uses its buffer.
type onlyWriter struct{ io.Writer }

// seal writes the header of what came in parts, with the sum of all of the bytes.
func (i *Intake) seal(ctx context.Context, s commands.Staged, data string) (err error) {
	f, err := os.OpenFile(data, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for {
		next, err := i.sums.next(s.Key)
		if err != nil {
			return err
		}
		if next.part > s.Parts() {
			etag := hex.EncodeToString(next.Sum(nil))
			if err := i.writeHeader(f, s, etag); err != nil {
				return err
			}
			return f.Sync()
		}
		err = i.read(ctx, f, s, next)
		next.end(err == nil)
		if err != nil {
			return err
		}
	}
}
