// Package objects keeps bytes: pictures, snapshots, canvases too large for a row. Dir keeps them in a directory.
package objects

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/commands"
)

// MaxKey is the longest key in bytes, maxElement that of one path element (what file systems take, less our suffix).
const (
	MaxKey     = 1024
	maxElement = 240
)

// ErrKey: the key is not 1–1024 bytes of path elements joined by "/".
var ErrKey = errors.New("objects: bad key")

// Dir keeps objects below a directory: the bytes in files, and before them in the same file one line with what is known of
// them, so that an object is one file that is renamed into place. It implements commands.Objects; methods may be called
// concurrently, by one process.
type Dir struct {
	root    string
	tmp     string
	metrics *Metrics
	mu      sync.RWMutex // held for writing while a folder is taken away, so that no Put loses the folder it made
}

// header is the first line of every file.
type header struct {
	ContentType string `json:"content_type"`
	ETag        string `json:"etag"` // hex SHA-256 of the bytes
	Size        int64  `json:"size"`
}

// maxHeader bounds the first line in bytes.
const maxHeader = 1024

// OpenDir uses root, which it makes (mode 0700) where it is missing, and sweeps what an interrupted Put left. reg may be nil.
func OpenDir(root string, reg prometheus.Registerer) (*Dir, error) {
	if err := os.RemoveAll(filepath.Join(root, "tmp")); err != nil {
		return nil, fmt.Errorf("sweep objects: %w", err)
	}
	return openDir(root, reg)
}

// OpenDirBeside uses root while another process may do so too: it sweeps nothing. A Put may fail where the other one deletes the last object
// beside it, or starts; then it can be tried again.
func OpenDirBeside(root string) (*Dir, error) { return openDir(root, nil) }

func openDir(root string, reg prometheus.Registerer) (*Dir, error) {
	metrics, err := NewMetrics(reg, "dir")
	if err != nil {
		return nil, err
	}
	d := &Dir{root: filepath.Join(root, "objects"), tmp: filepath.Join(root, "tmp"), metrics: metrics}
	for _, p := range []string{d.root, d.tmp} {
		if err := os.MkdirAll(p, 0o700); err != nil {
			return nil, fmt.Errorf("make object directory: %w", err)
		}
	}
	return d, nil
}

// CheckKey returns ErrKey, wrapped, where key could leave its place or no file system takes it.
func CheckKey(key string) error {
	bad := func(why string) error { return fmt.Errorf("%w: %s", ErrKey, why) }
	if len(key) == 0 || len(key) > MaxKey {
		return bad("length is not 1 to 1024 bytes")
	}
	if !utf8.ValidString(key) {
		return bad("not UTF-8")
	}
	for _, e := range strings.Split(key, "/") {
		switch {
		case e == "" || e == "." || e == "..":
			return bad("empty element, . or ..")
		case len(e) > maxElement:
			return bad("an element is longer than 240 bytes")
		case strings.HasSuffix(e, fileSuffix):
			return bad("an element ends in " + fileSuffix)
		case strings.HasSuffix(e, ".") || strings.HasSuffix(e, " "):
			return bad("an element ends in a dot or space")
		}
	}
	for _, c := range key {
		if c < 0x20 || c == 0x7F || strings.ContainsRune(`\:*?"<>|`, c) {
			return bad("control character, or one that not every file system takes")
		}
	}
	return nil
}

// fileSuffix ends the name of every object's file, so that the objects a and a/b can both be there.
const fileSuffix = ".obj"

func (d *Dir) file(key string) string {
	return filepath.Join(d.root, filepath.FromSlash(key)) + fileSuffix
}

// Put implements commands.Objects. The body must have exactly size bytes.
func (d *Dir) Put(ctx context.Context, key, contentType string, body io.Reader, size int64) (err error) {
	began := time.Now()
	defer func() { d.metrics.Observe("put", began, err) }()
	if err := CheckKey(key); err != nil {
		return err
	}
	f, err := os.CreateTemp(d.tmp, "put-")
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	defer os.Remove(f.Name()) // gone already where the rename went through
	if err := d.fill(ctx, f, contentType, body, size); err != nil {
		return fmt.Errorf("put %s: %w", key, errors.Join(err, f.Close()))
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if err := d.rename(f.Name(), d.file(key), true); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	d.metrics.Moved("put", size, time.Since(began))
	return nil
}

// fill writes the header and the bytes. The header holds the sum of bytes that come after it, so it is written last, over a
// line of spaces of the same length.
func (d *Dir) fill(ctx context.Context, f *os.File, contentType string, body io.Reader, size int64) error {
	line := func(etag string) ([]byte, error) {
		b, err := json.Marshal(header{contentType, etag, size})
		return append(b, '\n'), err
	}
	blank, err := line(strings.Repeat("0", 64))
	if err != nil {
		return err
	}
	if len(blank) > maxHeader {
		return fmt.Errorf("content type of %d bytes", len(contentType))
	}
	if _, err := f.Write(blank); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := stream(f, int64(len(blank)), &ctxReader{ctx, body}, size+1, sum)
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("body does not have the %d bytes announced", size)
	}
	real, err := line(hex.EncodeToString(sum.Sum(nil)))
	if err != nil {
		return err
	}
	_, err = f.WriteAt(real, 0)
	return err
}

// rename gives a whole file its name, which holds through a power cut where it is to be kept: that costs an fsync of its folder and of each that was made.
func (d *Dir) rename(from, to string, kept bool) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	made, err := d.mkdirs(filepath.Dir(to))
	if err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if !kept {
		return nil
	}
	for _, dir := range append(made, filepath.Dir(to)) {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// mkdirs makes the folders down to dir and returns those whose entries must be synced.
func (d *Dir) mkdirs(dir string) (parents []string, err error) {
	for p := dir; p != d.root; p = filepath.Dir(p) {
		if _, err := os.Stat(p); err == nil {
			break
		}
		parents = append(parents, filepath.Dir(p))
	}
	return parents, os.MkdirAll(dir, 0o700)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// open returns the file positioned behind its header.
func (d *Dir) open(key string) (*os.File, int64, commands.Object, error) {
	fail := func(err error) (*os.File, int64, commands.Object, error) {
		return nil, 0, commands.Object{}, fmt.Errorf("object %s: %w", key, err)
	}
	if err := CheckKey(key); err != nil {
		return fail(err)
	}
	f, err := os.Open(d.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return fail(commands.ErrNoObject)
	}
	if err != nil {
		return fail(err)
	}
	st, err := f.Stat()
	if err != nil {
		return fail(errors.Join(err, f.Close()))
	}
	line, err := bufio.NewReaderSize(io.LimitReader(f, maxHeader), maxHeader).ReadSlice('\n')
	if err != nil {
		return fail(errors.Join(fmt.Errorf("damaged header: %w", err), f.Close()))
	}
	var h header
	if err := json.Unmarshal(bytes.TrimSpace(line), &h); err != nil {
		return fail(errors.Join(fmt.Errorf("damaged header: %w", err), f.Close()))
	}
	start := int64(len(line))
	if st.Size() != start+h.Size {
		return fail(errors.Join(fmt.Errorf("damaged: %d bytes where %d were stored", st.Size()-start, h.Size), f.Close()))
	}
	return f, start, commands.Object{Key: key, Size: h.Size, ContentType: h.ContentType, ETag: h.ETag, SHA256: h.ETag, ModifiedAt: st.ModTime()}, nil
}

// Get implements commands.Objects. An offset beyond the end gives no bytes.
func (d *Dir) Get(ctx context.Context, key string, offset, length int64) (body io.ReadCloser, o commands.Object, err error) {
	began := time.Now()
	defer func() { d.metrics.Observe("get", began, err) }()
	if err := ctx.Err(); err != nil {
		return nil, commands.Object{}, err
	}
	if offset < 0 {
		return nil, commands.Object{}, fmt.Errorf("object %s: negative offset", key)
	}
	f, start, o, err := d.open(key)
	if err != nil {
		return nil, o, err
	}
	rest := max(o.Size-offset, 0)
	if length >= 0 {
		rest = min(rest, length)
	}
	d.metrics.Moved("get", rest, time.Since(began))
	return &section{io.NewSectionReader(f, start+offset, rest), f}, o, nil
}

type section struct {
	*io.SectionReader
	f *os.File
}

func (s *section) Close() error { return s.f.Close() }

// Head implements commands.Objects.
func (d *Dir) Head(ctx context.Context, key string) (o commands.Object, err error) {
	began := time.Now()
	defer func() { d.metrics.Observe("head", began, err) }()
	if err := ctx.Err(); err != nil {
		return commands.Object{}, err
	}
	f, _, o, err := d.open(key)
	if err != nil {
		return o, err
	}
	return o, f.Close()
}

// Delete implements commands.Objects. Folders that it leaves empty go too.
func (d *Dir) Delete(ctx context.Context, keys ...string) (err error) {
	began := time.Now()
	defer func() { d.metrics.Observe("delete", began, err) }()
	for _, k := range keys {
		if err := errors.Join(ctx.Err(), CheckKey(k)); err != nil {
			return err
		}
		if err := os.Remove(d.file(k)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete object %s: %w", k, err)
		}
		d.prune(path.Dir(k))
	}
	return nil
}

// prune removes empty folders from folder upwards.
func (d *Dir) prune(folder string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; folder != "."; folder = path.Dir(folder) {
		if os.Remove(filepath.Join(d.root, filepath.FromSlash(folder))) != nil {
			return // not empty: somebody else's object is in it
		}
	}
}

// List implements commands.Objects.
func (d *Dir) List(ctx context.Context, prefix string, yield func(commands.Object) bool) (err error) {
	began := time.Now()
	defer func() { d.metrics.Observe("list", began, err) }()
	var keys []string
	err = filepath.WalkDir(d.root, func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		rel, err := filepath.Rel(d.root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if e.IsDir() {
			if rel != "." && !strings.HasPrefix(rel+"/", prefix) && !strings.HasPrefix(prefix, rel+"/") {
				return fs.SkipDir
			}
			return nil
		}
		if key, ok := strings.CutSuffix(rel, fileSuffix); ok && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	sort.Strings(keys)
	for _, k := range keys {
		o, err := d.Head(ctx, k)
		if errors.Is(err, commands.ErrNoObject) {
			continue
		}
		if err != nil {
			return err
		}
		if !yield(o) {
			return nil
		}
	}
	return nil
}
