package realtime

import (
	"sync"

	"github.com/infinite-kanvas/kanvas/events"
)

// encoded is a commit and, once somebody needed it, its v1 frame. Any goroutine may ask for the frame.
type encoded struct {
	commit *events.Commit
	size   int // of the frame, about

	mu    sync.Mutex
	frame []byte
	epoch uint64 // of commands.Users, at which the frame was made
}

// frameAt returns the frame as it is at an epoch, encoded once for all who ask.
func (e *encoded) frameAt(epoch uint64, encode func() []byte) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.frame == nil || e.epoch != epoch {
		e.frame, e.epoch = encode(), epoch
	}
	return e.frame
}

// ring keeps the newest commits of a room for those who come back, up to limit bytes. The room's goroutine owns it.
type ring struct {
	limit   int
	bytes   int
	next    uint64 // revision that the oldest kept commit begins with, or that the next one will
	commits []*encoded
}

// add appends the room's newest commit.
func (r *ring) add(c *events.Commit) *encoded {
	e := &encoded{commit: c, size: sizeHint(c)}
	if len(r.commits) == 0 {
		r.next = c.First
	}
	r.commits = append(r.commits, e)
	r.bytes += e.size
	drop := 0
	for r.bytes > r.limit && drop < len(r.commits) {
		r.bytes -= r.commits[drop].size
		drop++
	}
	if drop > 0 {
		r.commits = shift(r.commits, drop)
		r.next = c.Last() + 1
		if len(r.commits) > 0 {
			r.next = r.commits[0].commit.First
		}
	}
	return e
}

// covers reports whether everything after revision is here.
func (r *ring) covers(revision uint64) bool { return revision+1 >= r.next }

// after returns the commits that hold revisions > revision.
func (r *ring) after(revision uint64) []*encoded {
	for i, e := range r.commits {
		if e.commit.Last() > revision {
			return append([]*encoded(nil), r.commits[i:]...)
		}
	}
	return nil
}

func sizeOf(list []*encoded) int {
	n := 0
	for _, e := range list {
		n += e.size
	}
	return n
}

// sizeHint guesses the size of a commit's frame in bytes.
func sizeHint(c *events.Commit) int {
	n := 96
	for i := range c.Events {
		e := &c.Events[i]
		n += 240 + len(e.Client) + len(e.Actor)
		switch d := e.Payload.(type) {
		case *events.ElementAddedData:
			n += len(d.Element)
		case *events.ElementPatchedData:
			n += len(d.ID)
			for _, m := range d.Set {
				n += len(m.Key) + len(m.Value) + 4
			}
			n += 24 * len(d.Unset)
		case *events.ElementRemovedData:
			n += 40 * len(d.IDs)
		default:
			n += len(e.Data) + 128
		}
	}
	return n
}
