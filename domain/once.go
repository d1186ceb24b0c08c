package domain

import (
	"cmp"
	"slices"

	"github.com/infinite-kanvas/kanvas/events"
)

// onceState is the memory of commands that were answered: by (user, client, seq), and by (user, key). Both forget by event time.
type onceState struct {
	clients map[clientID]*clientOnce
	keys    map[keyID]keyOnce
	queue   []queuedKey // keys by the time they were last answered
	swept   int64       // when idle clients were last looked for, Unix ms
}

type clientID struct{ user, client string }

type keyID struct{ user, key string }

// clientOnce is what is remembered of one client. A seq at or below floor is too old to tell; one above that is not in done was
// never completed.
type clientOnce struct {
	floor uint64
	done  []doneSeq // seq rising, all above floor, at most OncePerClient; never modified in place but for appends
	at    int64     // of the last command, Unix ms
}

type doneSeq struct {
	seq, first, last uint64
	dropped          []string
}

type keyOnce struct {
	hash        string
	first, last uint64
	dropped     []string
	at          int64 // Unix ms
}

type queuedKey struct {
	id keyID
	at int64
}

// sweepEvery is how often idle clients are looked for, in ms of event time.
const sweepEvery = 60 * 60 * 1000

var onceAge = OnceKeyAge.Milliseconds()

func (o *onceState) init() {
	o.clients = map[clientID]*clientOnce{}
	o.keys = map[keyID]keyOnce{}
}

func findSeq(done []doneSeq, seq uint64) (int, bool) {
	if n := len(done); n == 0 || done[n-1].seq < seq {
		return n, false
	}
	return slices.BinarySearchFunc(done, seq, func(d doneSeq, s uint64) int { return cmp.Compare(d.seq, s) })
}

// Remembered returns the first answer to a client's command; ok is false where it was never completed. A command that is too
// old to tell is refused with CodeStaleSeq.
func (r *Room) Remembered(user, client string, seq uint64) (events.Done, bool, error) {
	c := r.once.clients[clientID{user, client}]
	if c == nil {
		return events.Done{}, false, nil
	}
	i, ok := findSeq(c.done, seq)
	if !ok {
		if seq <= c.floor {
			return events.Done{}, false, Errorf(CodeStaleSeq, "seq %d is too old to tell whether it was done; %d is the oldest known", seq, c.floor+1)
		}
		return events.Done{}, false, nil
	}
	d := &c.done[i]
	return events.Done{User: user, Client: client, Seq: seq, First: d.first, Last: d.last, Dropped: d.dropped}, true, nil
}

// RememberedKey returns the first answer under a user's Idempotency-Key of the last OnceKeyAge before now (Unix ms). The same
// key with the hash of another body is refused with CodeIdempotencyMismatch.
func (r *Room) RememberedKey(user, key, hash string, now int64) (events.Done, bool, error) {
	k, ok := r.once.keys[keyID{user, key}]
	if !ok || k.at < now-onceAge {
		return events.Done{}, false, nil
	}
	if k.hash != hash {
		return events.Done{}, false, Errorf(CodeIdempotencyMismatch, "the Idempotency-Key was used with another body")
	}
	return events.Done{User: user, Key: key, Hash: hash, First: k.first, Last: k.last, Dropped: k.dropped}, true, nil
}

// Remember takes note of a completed command, one that changed nothing too; at is its commit's time.
func (r *Room) Remember(d events.Done, at int64) {
	switch {
	case d.Key != "":
		r.rememberKey(d, at)
	case d.Client != "":
		r.rememberSeq(d, at)
	}
	r.forgetKeys(at)
	r.sweepClients(at)
}

func (r *Room) rememberSeq(d events.Done, at int64) {
	id := clientID{d.User, d.Client}
	c := r.once.clients[id]
	if c == nil {
		c = &clientOnce{}
		r.once.clients[id] = c
		if r.journal.on {
			r.onRollback(func() { delete(r.once.clients, id) })
		}
	} else if r.journal.on {
		r.keepClient(c)
	}
	c.at = max(c.at, at)
	i, known := findSeq(c.done, d.Seq)
	if known || d.Seq <= c.floor {
		return
	}
	is := doneSeq{d.Seq, d.First, d.Last, d.Dropped}
	if i == len(c.done) {
		c.done = append(c.done, is)
	} else {
		c.done = slices.Insert(slices.Clone(c.done), i, is) // a copy: the journal may hold the old one
	}
	if len(c.done) > OncePerClient {
		c.floor = c.done[0].seq
		c.done = c.done[1:]
	}
}

// keepClient notes what is remembered of a client before it changes.
func (r *Room) keepClient(c *clientOnce) {
	r.journal.clients = append(r.journal.clients, saved[clientOnce]{c, *c})
	r.note(noteClient)
}

func (r *Room) rememberKey(d events.Done, at int64) {
	id := keyID{d.User, d.Key}
	was, known := r.once.keys[id]
	if known && was.at >= at-onceAge {
		return // the first answer stays
	}
	queue := r.once.queue
	r.once.keys[id] = keyOnce{d.Hash, d.First, d.Last, d.Dropped, at}
	r.once.queue = append(queue, queuedKey{id, at})
	if r.journal.on {
		r.onRollback(func() {
			r.once.queue = queue
			if delete(r.once.keys, id); known {
				r.once.keys[id] = was
			}
		})
	}
}

// forgetKeys drops the keys that are older than OnceKeyAge at the time at.
func (r *Room) forgetKeys(at int64) {
	for len(r.once.queue) > 0 && r.once.queue[0].at < at-onceAge {
		queue := r.once.queue
		q := queue[0]
		r.once.queue = queue[1:]
		k, ok := r.once.keys[q.id]
		drop := ok && k.at == q.at // else it was used again since
		if drop {
			delete(r.once.keys, q.id)
		}
		if r.journal.on {
			r.onRollback(func() {
				r.once.queue = queue
				if drop {
					r.once.keys[q.id] = k
				}
			})
		}
	}
}

// sweepClients keeps of clients idle for OnceKeyAge only that all their commands so far are too old to tell.
func (r *Room) sweepClients(at int64) {
	if at < r.once.swept+sweepEvery {
		return
	}
	if swept := r.once.swept; r.journal.on {
		r.onRollback(func() { r.once.swept = swept })
	}
	r.once.swept = at
	for _, c := range r.once.clients {
		if c.at >= at-onceAge || len(c.done) == 0 {
			continue
		}
		if r.journal.on {
			r.keepClient(c)
		}
		c.floor = c.done[len(c.done)-1].seq
		c.done = nil
	}
}
