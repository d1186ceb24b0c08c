package jetstream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/highwayhash"
)

// Where it was not stopped properly, the embedded server reads its files of records and cuts each off at the first record that it can't read. Of the torn
// end that a power cut leaves that is right: nobody was told of that record. After damage in the middle, everything behind would be gone for good. So the
// files are looked at first, by the server's own form of a record (its filestore.go):
//
//	length u32 (high bit: has headers) | sequence u64 | time i64, ns | length of the subject u16 | subject | … | HighwayHash-64 of all but the lengths
const (
	recordHead = 22
	recordSum  = 8
	recordMost = 32 << 20 // bytes; the server takes no larger length for one
	hasHeaders = 1 << 31
)

// openMark is a file that is there while the store is open: at the start it says that the server was not stopped properly.
const openMark = "open"

// ErrDamaged: records of the log can't be read, and the server would cut off what lies behind them. Nothing was changed.
var ErrDamaged = errors.New("jetstream: the log is damaged")

// markOpen looks at the files where the server was not stopped properly, and notes that it is running.
func (s *Store) markOpen() error {
	mark := filepath.Join(s.cfg.Dir, openMark)
	_, err := os.Stat(mark)
	if err == nil {
		err = s.checkFiles()
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	f, err := os.OpenFile(mark, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	s.marked = err == nil
	return err
}

// markClosed notes that the server was stopped.
func (s *Store) markClosed() error {
	if !s.marked {
		return nil
	}
	s.marked = false
	return os.Remove(filepath.Join(s.cfg.Dir, openMark))
}

func (s *Store) checkFiles() error {
	began := time.Now()
	found := checkBlocks(s.cfg.Dir)
	if found == nil || !s.cfg.CutDamage {
		if found != nil {
			found = fmt.Errorf("%w: %w. Copy %s before anything opens it again, then put a backup in its place; or start once with KANVAS_CUT_DAMAGED_LOG=on: what lies behind the damage is then gone", ErrDamaged, found, s.cfg.Dir)
		}
		s.log.Info("log files were looked at, as the server was not stopped properly", "durationMs", time.Since(began).Milliseconds())
		return found
	}
	s.log.Warn("damaged log files are cut off, as the settings say", "error", found)
	return nil
}

// checkBlocks looks at every file of records below the store's directory. The error joins all that is wrong.
func checkBlocks(dir string) error {
	streams, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "*", "msgs"))
	if err != nil {
		return err
	}
	var errs []error
	for _, msgs := range streams {
		errs = append(errs, checkFilesOf(msgs, filepath.Base(filepath.Dir(msgs))))
	}
	return errors.Join(errs...)
}

func checkFilesOf(dir, stream string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.blk"))
	if err != nil {
		return err
	}
	var numbers []uint64
	for _, f := range files {
		if n, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(f), ".blk"), 10, 32); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	var errs []error
	for i, n := range numbers {
		path := filepath.Join(dir, strconv.FormatUint(n, 10)+".blk")
		b, err := openBlock(path, fmt.Sprintf("%s-%d", stream, n))
		if err == nil {
			err = b.check(i == len(numbers)-1)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("stream %s, file %s: %w", stream, path, err))
		}
	}
	return errors.Join(errs...)
}

// block is a file of records.
type block struct {
	data []byte
	hash hash.Hash
}

func openBlock(path, key string) (*block, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(key))
	h, err := highwayhash.NewDigest64(sum[:])
	return &block{data, h}, err
}

// check finds a record that can't be read. At the end of the last file that is how a power cut leaves the record that was being written.
func (b *block) check(last bool) error {
	at := 0
	for at < len(b.data) {
		n := b.record(at)
		if n == 0 {
			break
		}
		at += n
	}
	if at == len(b.data) {
		return nil
	}
	behind := b.behind(at)
	if behind == 0 && last {
		return nil
	}
	return fmt.Errorf("the record at byte %d can't be read; %d that can be lie behind it", at, behind)
}

// record returns how long the record at a byte is; 0: there is none that can be read.
func (b *block) record(at int) int {
	rest := b.data[at:]
	if len(rest) < recordHead+recordSum {
		return 0
	}
	length := binary.LittleEndian.Uint32(rest)
	headers := length&hasHeaders != 0
	length &^= hasHeaders
	subject := int(binary.LittleEndian.Uint16(rest[20:]))
	body := recordHead + subject
	if headers {
		body += 4 // their length, which the sum leaves out
	}
	if length > recordMost || int(length) > len(rest) || body > int(length)-recordSum {
		return 0
	}
	end := int(length) - recordSum
	b.hash.Reset()
	for _, part := range [][]byte{rest[4:20], rest[recordHead : recordHead+subject], rest[body:end]} {
		b.hash.Write(part) // never fails
	}
	if !bytes.Equal(b.hash.Sum(nil), rest[end:length]) {
		return 0
	}
	return int(length)
}

// behind counts the records that can be read behind a place where none can, from the first on that is found.
func (b *block) behind(at int) (count int) {
	for at++; at < len(b.data); {
		if !b.likely(at) {
			at++
			continue
		}
		n := b.record(at)
		if n == 0 {
			at++
			continue
		}
		count++
		at += n
	}
	return count
}

// likely is a quick look whether a record may begin here: it was written in these times.
func (b *block) likely(at int) bool {
	rest := b.data[at:]
	if len(rest) < recordHead+recordSum {
		return false
	}
	written := int64(binary.LittleEndian.Uint64(rest[12:]))
	return written > earliest && written < latest
}

// What times of records lie between, in ns: the years 2020 and 2200.
var earliest, latest = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano(), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
