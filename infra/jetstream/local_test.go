package jetstream

import (
	"math/rand/v2"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

// A tail gives what was added, without holes and in order, however the appends came; and never more than it may keep.
func TestTail(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, first := range []uint64{1, 2, tailRecords, tailRecords + 1, 1_000_000} {
		l := tail{low: 1}
		added := map[uint64]bool{}
		window := []uint64{}
		for next := first; next < first+5*tailRecords; {
			for len(window) < 6 {
				window = append(window, next)
				next++
			}
			i := rng.IntN(len(window))
			seq := window[i]
			window = append(window[:i], window[i+1:]...)
			l.add(events.Record{Seq: seq, Payload: make([]byte, 1+rng.IntN(4000))})
			added[seq] = true
			if l.bytes > tailBytes {
				t.Fatalf("%d bytes are kept", l.bytes)
			}
			after := seq - uint64(rng.IntN(int(min(seq, 20))))
			recs := l.after(after, 10, 1<<20)
			for k, r := range recs {
				if r.Seq != after+1+uint64(k) || !added[r.Seq] {
					t.Fatalf("from %d: record %d has sequence %d", after, k, r.Seq)
				}
			}
			if len(recs) > 10 {
				t.Fatalf("%d records, at most 10", len(recs))
			}
		}
		for _, seq := range window {
			l.add(events.Record{Seq: seq, Payload: []byte{1}})
		}
		if recs := l.after(l.high-100, 1000, 1); len(recs) > 1 {
			t.Errorf("%d records of at most about 1 byte", len(recs))
		}
		held := 0
		for _, r := range l.slots {
			held += len(r.Payload)
		}
		if held != l.bytes {
			t.Errorf("%d bytes are held, %d counted", held, l.bytes)
		}
		if recs := l.after(l.high-20, 1000, 1<<20); len(recs) != 20 {
			t.Errorf("%d of the newest 20 are kept", len(recs))
		}
	}
}
