package jetstream

import (
	"slices"
	"sync"

	"github.com/infinite-kanvas/kanvas/events"
)

// With the embedded server nobody but this Store appends. So what it has appended it hands on by itself, to those who watch a stream and those
// who follow a partition: having the server republish each commit to us, and asking it for what we had a moment ago, were a seventh of the CPU
// of a commit.

// What is kept of a partition for those who follow it; who is further behind reads from the server.
const (
	tailRecords = 256
	tailBytes   = 512 << 10
)

// tail keeps the newest records of a partition by sequence. Safe for concurrent use.
type tail struct {
	mu    sync.Mutex
	slots [tailRecords]events.Record // of sequence s at s % tailRecords; Seq 0: empty
	bytes int
	low   uint64 // all below are gone; from 1
	high  uint64 // the newest
}

// add keeps a stored record. Appends of different streams may come in any order.
func (t *tail) add(rec events.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.high == 0 && rec.Seq > tailRecords {
		t.low = rec.Seq - tailRecords
	}
	if rec.Seq < t.low {
		return
	}
	t.high = max(t.high, rec.Seq)
	for t.high-t.low >= tailRecords {
		t.drop()
	}
	if rec.Seq < t.low {
		return
	}
	t.slots[rec.Seq%tailRecords] = rec
	t.bytes += len(rec.Payload)
	for t.bytes > tailBytes {
		t.drop()
	}
}

// drop lets go of sequence low.
func (t *tail) drop() {
	if s := &t.slots[t.low%tailRecords]; s.Seq == t.low {
		t.bytes -= len(s.Payload)
		*s = events.Record{}
	}
	t.low++
}

// after returns the records that follow a sequence without a hole, at most limit and about maxBytes, at least one; nil where the next one is not kept.
func (t *tail) after(seq uint64, limit, maxBytes int) (recs []events.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for next := seq + 1; next <= t.high && len(recs) < limit && maxBytes > 0; next++ {
		rec := t.slots[next%tailRecords]
		if rec.Seq != next {
			break
		}
		recs = append(recs, rec)
		maxBytes -= len(rec.Payload)
	}
	return recs
}

// locals are the watches of an embedded Store by stream.
type locals struct {
	mu sync.RWMutex
	m  map[events.Stream][]*watch
}

func (l *locals) add(w *watch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = map[events.Stream][]*watch{}
	}
	l.m[w.stream] = append(slices.Clip(l.m[w.stream]), w) // of may have handed out the old list
}

func (l *locals) remove(w *watch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(l.m[w.stream]), func(o *watch) bool { return o == w })
	if len(list) == 0 {
		delete(l.m, w.stream)
		return
	}
	l.m[w.stream] = list
}

func (l *locals) of(st events.Stream) []*watch {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.m[st]
}

// appended hands on what was stored, after the stream's commit of that sequence.
func (s *Store) appended(rec events.Record, after uint64) {
	if s.ns == nil {
		return
	}
	s.tails[rec.Partition].add(rec)
	for _, w := range s.locals.of(rec.Stream) {
		w.take(rec, after)
	}
}

// maybeAppended tells those who watch a stream to look: what became of a commit is not known.
func (s *Store) maybeAppended(st events.Stream) {
	for _, w := range s.locals.of(st) {
		w.gap()
	}
}
