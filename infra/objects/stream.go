package objects

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// chunkSize is how many bytes are read, written and hashed at a time; chunksAtOnce how many such buffers one stream uses at most.
	chunkSize    = 128 << 10
	chunksAtOnce = 4
	// writeBack is after how many bytes the kernel is asked to begin writing them to the disk, so that the fsync at the end has little to wait for.
	writeBack = 1 << 20
)

var chunkPool = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

// stream copies body to f from offset at on, at most size bytes, gives the same bytes to the sum and returns how many there were. Hashing costs as much
// as writing, so it has a goroutine of its own, which ends before stream does.
func stream(f *os.File, at int64, body io.Reader, size int64, sum io.Writer) (int64, error) {
	body = io.LimitReader(body, size)
	if size <= chunkSize {
		b := chunkPool.Get().(*[]byte)
		defer chunkPool.Put(b)
		n, err := readChunk(body, *b)
		if err == nil {
			_, err = f.WriteAt((*b)[:n], at)
		}
		if err == nil {
			_, err = sum.Write((*b)[:n])
		}
		return int64(n), err
	}
	h := newHasher(sum)
	n, err := h.feed(f, at, body)
	return n, errors.Join(err, h.wait())
}

// readChunk fills b, or reads what is left: then n is less than len(b).
func readChunk(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) {
		got, err := r.Read(b[n:])
		n += got
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// hasher gives chunks to a sum on a goroutine of its own.
type hasher struct {
	sum        io.Writer
	full, free chan *[]byte
	made       int
	done       chan error
}

func newHasher(sum io.Writer) *hasher {
	h := &hasher{sum: sum, full: make(chan *[]byte, chunksAtOnce), free: make(chan *[]byte, chunksAtOnce), done: make(chan error, 1)}
	go h.run()
	return h
}

func (h *hasher) run() {
	var err error
	for b := range h.full {
		if err == nil {
			_, err = h.sum.Write(*b)
		}
		h.free <- b
	}
	h.done <- err
}

// chunk is a buffer that is not being hashed: who reads from a slow network needs one or two.
func (h *hasher) chunk() *[]byte {
	select {
	case b := <-h.free:
		return b
	default:
	}
	if h.made < chunksAtOnce {
		h.made++
		return chunkPool.Get().(*[]byte)
	}
	return <-h.free
}

// feed reads, writes and hands over for hashing.
func (h *hasher) feed(f *os.File, at int64, body io.Reader) (n int64, err error) {
	for begun := int64(0); ; {
		b := h.chunk()
		*b = (*b)[:chunkSize-(at+n)%chunkSize] // only the first is shorter: writes of whole pages cost two thirds
		got, err := readChunk(body, *b)
		if err == nil {
			_, err = f.WriteAt((*b)[:got], at+n)
		}
		if err != nil {
			h.free <- b
			return n, err
		}
		n += int64(got)
		last := got < len(*b)
		*b = (*b)[:got]
		h.full <- b
		if last {
			return n, nil
		}
		if n-begun >= writeBack {
			// It is only sooner: what fails here is told by fsync.
			_ = unix.SyncFileRange(int(f.Fd()), at+begun, n-begun, unix.SYNC_FILE_RANGE_WRITE)
			begun = n
		}
	}
}

// wait ends the goroutine, after all that was handed over is hashed.
func (h *hasher) wait() error {
	close(h.full)
	err := <-h.done
	for range h.made {
		b := <-h.free
		*b = (*b)[:chunkSize]
		chunkPool.Put(b)
	}
	return err
}
