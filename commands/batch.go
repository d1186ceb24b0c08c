package commands

import (
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// answer is what a request of a batch gets when the batch is durable.
type answer struct {
	res Result
	err error
	// settled answers hold also where the batch is not stored: they were decided on durable state alone.
	settled bool
	made    bool         // the request has events in this batch
	done    *events.Done // of a request that changed nothing
}

// batch is one commit in the making.
type batch struct {
	mark    domain.Mark
	first   uint64 // revision of the first event
	at      int64
	events  []events.Event
	done    []events.Done
	answers []answer     // one for each request decided, in order
	size    int          // bytes of the encoded commit, about
	part    *events.Part // of an operation that the last request begins; nil: none
}

// What the codec needs around payloads, at most, in bytes.
const (
	commitOverhead = 1024
	eventOverhead  = 512
	doneOverhead   = 256
)

// beginBatch starts a commit for about n requests.
func (a *actor) beginBatch(n int) *batch {
	b := &a.batch
	*b = batch{answers: b.answers[:0]}
	n = min(n, 1024)
	b.events, b.done = make([]events.Event, 0, n), make([]events.Done, 0, n+len(a.carried))
	b.mark = a.room.Mark()
	b.first = a.room.Revision() + 1
	b.at = max(a.cfg.Clock(), a.room.At())
	b.done = append(b.done, a.carried...)
	b.size = commitOverhead
	for i := range b.done {
		b.size += doneBytes(&b.done[i])
	}
	return b
}

// fill decides requests in order until one would make the commit too large; it returns how many were decided (at least one).
func (a *actor) fill(b *batch, ps []pending) int {
	for i := range ps {
		if !a.decide(b, &ps[i].req) {
			return i
		}
		if b.part != nil {
			return i + 1
		}
	}
	return len(ps)
}

// decide decides one request. It returns false where the request belongs to the next commit.
func (a *actor) decide(b *batch, r *Request) bool {
	clean := len(b.events) == 0
	if !clean && isCheckpoint(r) {
		return false // a checkpoint names the revision at the end of a commit, whose sum the chain knows
	}
	ans := answer{settled: clean}
	if done, ok, err := a.remembered(r, b.at); err != nil || ok {
		ans.err = err
		ans.res = Result{First: done.First, Last: done.Last, Dropped: done.Dropped, Remembered: ok}
		ans.settled = clean || (ok && done.Last < b.first)
		b.answers = append(b.answers, ans)
		return true
	}
	if r.IfMatch != nil && *r.IfMatch != a.room.Revision() {
		ans.err = domain.Errorf(domain.CodeRevisionConflict, "the room is at revision %d", a.room.Revision())
		b.answers = append(b.answers, ans)
		return true
	}
	mark, made, size := a.room.Mark(), len(b.events), 0
	before := a.room.Revision()
	if isCheckpoint(r) {
		a.keepCheckpoint(len(b.done) == 0)
	}
	ans.err = a.decideCommands(b, r, &ans.res, &size)
	if ans.err == nil && b.size+size > a.limit || ans.err == errCommitFull && splits(r) {
		if !clean {
			b.events = b.events[:made]
			a.room.Rollback(mark)
			return false
		}
		ans.err = errCommitFull
		if splits(r) {
			b.events = b.events[:made]
			a.room.Rollback(mark)
			size, ans.err = a.beginOperation(b, r)
		}
	}
	if ans.err != nil {
		b.events = b.events[:made]
		a.room.Rollback(mark)
		ans.res = Result{}
		b.answers = append(b.answers, ans)
		return true
	}
	ans.made = len(b.events) > made
	ans.res.First, ans.res.Last = before+1, a.room.Revision()
	if ans.made {
		ans.settled = false
	}
	if b.part == nil {
		a.remember(b, r, &ans)
	}
	b.size += size
	b.answers = append(b.answers, ans)
	return true
}

// decideCommands decides and folds the commands of a request in order; size grows by what its events need in the commit.
func (a *actor) decideCommands(b *batch, r *Request, res *Result, size *int) error {
	made := len(b.events)
	*size = doneOverhead + len(r.Actor.ID) + len(r.Client) + len(r.Key) + len(r.Hash)
	for _, c := range r.Commands {
		d, err := domain.Decide(a.room, r.Actor, c, b.at)
		if err != nil {
			return err
		}
		res.Dropped = append(res.Dropped, d.Dropped...)
		for i := range d.Events {
			e := &d.Events[i]
			e.ID, e.Client, e.Seq, e.Cont = a.ids.next(), r.Client, r.Seq, len(b.events) > made
			if err := a.room.Evolve(e, a.room.Revision()+1, b.at); err != nil {
				return err
			}
			*size += eventOverhead + payloadBytes(e)
			b.events = append(b.events, *e)
		}
		if *size > a.limit {
			return errCommitFull
		}
	}
	*size += stringBytes(res.Dropped)
	return nil
}

// remembered looks a request up in the once-only memory.
func (a *actor) remembered(r *Request, now int64) (events.Done, bool, error) {
	switch {
	case r.Client != "":
		return a.room.Remembered(r.Actor.ID, r.Client, r.Seq)
	case r.Key != "":
		return a.room.RememberedKey(r.Actor.ID, r.Key, r.Hash, now)
	default:
		return events.Done{}, false, nil
	}
}

// remember notes the answer of a request that succeeded, in the room's state and for the commit.
func (a *actor) remember(b *batch, r *Request, ans *answer) {
	if r.Client == "" && r.Key == "" {
		return
	}
	d := identityOf(r)
	d.First, d.Last, d.Dropped = ans.res.First, ans.res.Last, ans.res.Dropped
	a.room.Remember(d, b.at)
	b.done = append(b.done, d)
	if !ans.made {
		ans.done = &d
	}
}

// identityOf is by what a request is known again, without its answer.
func identityOf(r *Request) events.Done {
	d := events.Done{User: r.Actor.ID, Client: r.Client}
	if r.Client != "" {
		d.Seq = r.Seq
	} else {
		d.Key, d.Hash = r.Key, r.Hash
	}
	return d
}

func isCheckpoint(r *Request) bool {
	for _, c := range r.Commands {
		if _, ok := c.(domain.Checkpoint); ok {
			return true
		}
	}
	return false
}
