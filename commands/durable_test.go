package commands_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
)

// durable is a Watcher that compares what it is told with what the log holds at that moment.
type durable struct {
	t      *testing.T
	stored *atomic.Uint64 // the newest revision whose append has returned
}

func (d durable) Committed(c *events.Commit) {
	if has := d.stored.Load(); c.Last() > has {
		d.t.Errorf("the watcher was told of revision %d when the log held %d", c.Last(), has)
	}
}

func (d durable) Ended(error) {}

// TestNobodyIsToldBeforeTheLogHoldsIt is promise 1 where it is made: answers, pushed commits and views never run ahead of an append's
// return. A kill finds that only where it hits the moment between the two.
func TestNobodyIsToldBeforeTheLogHoldsIt(t *testing.T) {
	var stored atomic.Uint64
	real := openLog(t)
	log := &faultyLog{Log: real, onAppend: func(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
		c, err := events.Decode(payload)
		if err != nil {
			return 0, err
		}
		seq, err := real.Append(ctx, s, after, payload)
		if err == nil && s.Kind == events.KindRoom {
			stored.Store(c.Last())
		}
		return seq, err
	}}
	d := newNode(t, log)
	createRoom(t, d, "r")
	w, err := d.Watch(testContext(t), "r", durable{t, &stored})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()

	var wg sync.WaitGroup
	for i := range 300 {
		wg.Add(2)
		w.Submit(bySeq(owner, "c", uint64(i+1), add(t, fmt.Sprint("e", i))), func(res commands.Result, err error) {
			defer wg.Done()
			if has := stored.Load(); err != nil || res.Last > has {
				t.Errorf("answered with revision %d (%v) when the log held %d", res.Last, err, has)
			}
		})
		w.View(func(v *commands.View) {
			defer wg.Done()
			if has := stored.Load(); v.Revision > has {
				t.Errorf("a view showed revision %d when the log held %d", v.Revision, has)
			}
		})
	}
	wg.Wait()
	if got := stored.Load(); got != born+300 {
		t.Errorf("the log holds revision %d, not %d", got, born+300)
	}
}
