package commands

import (
	"sort"
	"sync"

	"github.com/infinite-kanvas/kanvas/events"
)

// ring keeps the recent commits of a room: at most ringCommits of ringBytes in all, the newest always. Written by the actor, read by anybody.
type ring struct {
	mu    sync.Mutex
	items []ringItem // contiguous, oldest first
	bytes int
	head  uint64 // last revision of the room, also where no commit is kept
}

type ringItem struct {
	commit *events.Commit
	bytes  int
}

// endAt sets the room's head after loading. Where no commit up to it was added (loaded from a snapshot alone), nothing is kept.
func (r *ring) endAt(head uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head != head {
		r.items, r.bytes, r.head = nil, 0, head
	}
}

// add takes in the newest commit; what does not continue the last one starts anew.
func (r *ring) add(c *events.Commit, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.First != r.head+1 {
		r.items, r.bytes = nil, 0
	}
	r.items = append(r.items, ringItem{c, bytes})
	r.bytes += bytes
	r.head = c.Last()
	drop := 0
	for len(r.items)-drop > 1 && (len(r.items)-drop > ringCommits || r.bytes > ringBytes) {
		r.bytes -= r.items[drop].bytes
		r.items[drop] = ringItem{}
		drop++
	}
	r.items = r.items[drop:]
}

// after returns the commits that hold revisions above rev up to the head, where all of them are kept.
func (r *ring) after(rev uint64) (cs []*events.Commit, head uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rev >= r.head {
		return nil, r.head, true
	}
	i := sort.Search(len(r.items), func(i int) bool { return r.items[i].commit.Last() > rev })
	if i == len(r.items) || r.items[i].commit.First > rev+1 {
		return nil, r.head, false
	}
	cs = make([]*events.Commit, 0, len(r.items)-i)
	for _, it := range r.items[i:] {
		cs = append(cs, it.commit)
	}
	return cs, r.head, true
}
