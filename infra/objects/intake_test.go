package objects

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/infinite-kanvas/kanvas/commands"
)

func randomBytes(size int, seed uint64) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(b) // never fails
	return b
}

// arrival is an upload in parts, and what was sent of it.
type arrival struct {
	t     *testing.T
	dir   *Dir
	in    *Intake
	s     commands.Staged
	data  []byte
	etags []string
}

func newArrival(t *testing.T, parts int) *arrival {
	d := open(t, t.TempDir())
	in, err := NewIntake(d)
	if err != nil {
		t.Fatal(err)
	}
	size := (parts-1)*commands.UploadPartSize + 12345
	a := &arrival{t: t, dir: d, in: in, s: commands.Staged{Key: commands.StagedPrefix + "a", ContentType: "video/mp4", Size: int64(size)},
		data: randomBytes(size, 1), etags: make([]string, parts)}
	if _, err := in.Start(t.Context(), a.s); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *arrival) part(n int) []byte {
	offset, size := a.s.Part(n)
	return a.data[offset : offset+size]
}

func (a *arrival) send(n int) {
	etag, err := a.in.Receive(a.t.Context(), a.s, n, bytes.NewReader(a.part(n)))
	if err != nil {
		a.t.Errorf("part %d: %v", n, err)
	}
	a.etags[n-1] = etag
}

func (a *arrival) sendBad(n int, body io.Reader) {
	if _, err := a.in.Receive(a.t.Context(), a.s, n, body); err == nil {
		a.t.Errorf("a bad part %d was taken", n)
	}
}

// finish wants the sum to be that of the bytes.
func (a *arrival) finish() {
	a.t.Helper()
	if err := a.in.Finish(a.t.Context(), a.s, a.etags); err != nil {
		a.t.Fatal(err)
	}
	o, err := a.dir.Head(a.t.Context(), a.s.Key)
	sum := sha256.Sum256(a.data)
	if err != nil || o.SHA256 != hex.EncodeToString(sum[:]) {
		a.t.Fatalf("the sum is %s, that of the bytes is %x (%v)", o.SHA256, sum, err)
	}
	body, _, err := a.dir.Get(context.Background(), a.s.Key, 0, -1)
	if err != nil {
		a.t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, a.data) {
		a.t.Fatalf("%d bytes, others than were sent: %v", len(got), err)
	}
	if len(a.in.sums.of) != 0 {
		a.t.Errorf("the sum is still kept")
	}
}

// TestTheSumIsOfTheBytesInWhateverOrderPartsCome sends parts in orders in which the sum that is made on the way goes wrong where it is not careful.
func TestTheSumIsOfTheBytesInWhateverOrderPartsCome(t *testing.T) {
	cut := func(b []byte) io.Reader {
		return io.MultiReader(bytes.NewReader(b[:len(b)/2]), iotest.ErrReader(errors.New("cut")))
	}
	for name, send := range map[string]func(*arrival){
		"in order":    func(a *arrival) { a.send(1); a.send(2); a.send(3); a.send(4) },
		"backwards":   func(a *arrival) { a.send(4); a.send(3); a.send(2); a.send(1) },
		"first again": func(a *arrival) { a.send(1); a.send(2); a.send(1); a.send(3); a.send(4) },
		"others first": func(a *arrival) {
			right := a.data
			a.data = randomBytes(len(right), 2)
			a.send(1)
			a.send(2)
			a.send(4)
			a.data = right
			a.send(1)
			a.send(3)
			a.send(4)
			a.send(2)
		},
		"cut and again": func(a *arrival) {
			a.sendBad(1, cut(a.part(1)))
			a.send(1)
			a.send(3)
			a.sendBad(2, cut(a.part(2)))
			a.sendBad(3, cut(a.part(1)))
			a.sendBad(2, bytes.NewReader(a.part(2)[1:]))
			a.send(2)
			a.send(3)
			a.send(4)
		},
		"around a restart": func(a *arrival) {
			a.send(1)
			a.send(3)
			in, err := NewIntake(a.dir)
			if err != nil {
				a.t.Fatal(err)
			}
			a.in = in
			a.send(4)
			a.send(2)
		},
		"at once": func(a *arrival) {
			var all sync.WaitGroup
			for n := range 4 {
				all.Go(func() { a.send(n + 1) })
			}
			all.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArrival(t, 4)
			send(a)
			a.finish()
		})
	}
}

// TestPartsAtRandom sends parts again and again, several at a time, some of them cut, and at last the right ones.
func TestPartsAtRandom(t *testing.T) {
	a := newArrival(t, 4)
	r := rand.New(rand.NewPCG(7, 7))
	for range 6 {
		order := r.Perm(4)
		var all sync.WaitGroup
		for _, i := range append(order, order[:2]...) {
			body := slices.Clone(a.part(i + 1))
			body[r.IntN(len(body))]++
			whole := r.IntN(3) > 0
			if !whole {
				body = body[:r.IntN(len(body))]
			}
			all.Go(func() {
				_, err := a.in.Receive(t.Context(), a.s, i+1, bytes.NewReader(body))
				if (err == nil) != whole && !errors.Is(err, commands.ErrUploadBusy) {
					t.Errorf("part %d: %v", i+1, err)
				}
			})
		}
		all.Wait()
	}
	for _, i := range r.Perm(4) {
		a.send(i + 1)
	}
	a.finish()
}

func TestStream(t *testing.T) {
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 5*chunkSize + 7, writeBack + 3*chunkSize} {
		for _, at := range []int64{0, 131, chunkSize - 1, chunkSize} {
			t.Run(fmt.Sprintf("%d at %d", size, at), func(t *testing.T) {
				f := tempFile(t)
				data, sum := randomBytes(size, 3), sha256.New()
				n, err := stream(f, at, iotest.HalfReader(bytes.NewReader(append(slices.Clone(data), "beyond"...))), int64(size), sum)
				if err != nil || n != int64(size) || [32]byte(sum.Sum(nil)) != sha256.Sum256(data) {
					t.Fatalf("%d bytes: %v", n, err)
				}
				got := make([]byte, size+1)
				if n, err := f.ReadAt(got, at); n != size || !errors.Is(err, io.EOF) || !bytes.Equal(got[:size], data) {
					t.Errorf("%d bytes are in the file: %v", n, err)
				}
			})
		}
	}
}

func TestStreamTellsWhatFails(t *testing.T) {
	failed := errors.New("no more")
	for name, c := range map[string]struct {
		body io.Reader
		sum  io.Writer
	}{
		"the body":    {io.MultiReader(bytes.NewReader(make([]byte, 10*chunkSize)), iotest.ErrReader(failed)), io.Discard},
		"a small one": {iotest.ErrReader(failed), io.Discard},
		"the sum":     {bytes.NewReader(make([]byte, 20*chunkSize)), failingWriter{failed}},
	} {
		if _, err := stream(tempFile(t), 0, c.body, 20*chunkSize, c.sum); !errors.Is(err, failed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := tempFile(t)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream(f, 0, bytes.NewReader(make([]byte, 20*chunkSize)), 20*chunkSize, io.Discard); err == nil {
		t.Error("nothing was written, and nobody was told")
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }
