package commands_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// What an actor keeps at a checkpoint must be what another node makes of the log, byte for byte, and be had without reading the log.
func TestACheckpointKeepsWhatAFoldGives(t *testing.T) {
	for _, noops := range []bool{false, true} {
		t.Run(fmt.Sprint("noops=", noops), func(t *testing.T) { checkpointed(t, noops) })
	}
}

func checkpointed(t *testing.T, noops bool) {
	var reads atomic.Int64
	real := openLog(t)
	log := &faultyLog{Log: real, onRead: func(ctx context.Context, s events.Stream, from uint64, yield func(events.Record) bool) error {
		reads.Add(1)
		return real.Read(ctx, s, from, yield)
	}}
	var now atomic.Int64
	now.Store(1_000_000)
	clock := func(c *commands.Config) { c.Clock = now.Load }
	d := newNode(t, log, clock)
	createRoom(t, d, "r")
	mustDo(t, d, "r", by(owner, add(t, "base")))
	rng := rand.New(rand.NewPCG(7, 7))
	seq := uint64(0)
	for range 8 {
		for range 40 {
			now.Add(rng.Int64N(100_000))
			seq++
			mustDo(t, d, "r", bySeq(owner, "c", seq, editOf(t, rng, noops)))
			if rng.IntN(4) == 0 { // one that is remembered by its key
				mustDo(t, d, "r", byKey(owner, fmt.Sprint("k", seq), "h", add(t, fmt.Sprint("k", seq))))
			}
		}
		if noops { // its answer is remembered already, and in the log only from the next commit on
			seq++
			mustDo(t, d, "r", bySeq(owner, "c", seq, domain.RemoveElements{IDs: []string{"nothing"}}))
		}
		reads.Store(0)
		res := mustDo(t, d, "r", commands.Request{Actor: domain.Actor{ID: domain.SystemID}, Commands: []domain.Command{domain.Checkpoint{}}})
		named := res.Last - 1
		canvas, err := d.CanvasAt(testContext(t), "r", named)
		if err != nil {
			t.Fatal(err)
		}
		if n := reads.Load(); n != 0 {
			t.Errorf("the log was read %d times for a canvas that the actor had", n)
		}
		body, ref, err := d.SnapshotAt(testContext(t), "r", named)
		if err != nil {
			t.Fatal(err)
		}
		if n := reads.Load(); n != 0 && !noops {
			t.Errorf("the log was read %d times for a snapshot that the actor had", n)
		}
		other := newNode(t, real, clock)
		wantCanvas, err := other.CanvasAt(testContext(t), "r", named)
		if err != nil || !bytes.Equal(canvas, wantCanvas) {
			t.Fatalf("canvas at %d: %v\n%s\nby a fold:\n%s", named, err, canvas, wantCanvas)
		}
		want, wantRef, err := other.SnapshotAt(testContext(t), "r", named)
		if err != nil || ref != wantRef || !bytes.Equal(body, want) {
			t.Fatalf("snapshot at %d: %v, %+v and %+v\n%s\nby a fold:\n%s", named, err, ref, wantRef, body, want)
		}
	}
}

// A command that changes nothing, decided in the same commit as the checkpoint, is in the log only with it: not in what the checkpoint names.
func TestACheckpointKeepsNothingOfItsOwnCommit(t *testing.T) {
	real := openLog(t)
	log, g := gated(real)
	d := newNode(t, log)
	createRoom(t, d, "r")
	w, err := d.Watch(testContext(t), "r", newFollower())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	g.set(true)
	var rs replies
	w.Submit(bySeq(owner, "c", 1, add(t, "e")), rs.expect("in flight"))
	<-g.arrived // what comes now is decided together
	w.Submit(bySeq(owner, "c", 2, domain.RemoveElements{IDs: []string{"nothing"}}), rs.expect("nothing"))
	w.Submit(by(domain.SystemID, domain.Checkpoint{}), rs.expect("checkpoint"))
	g.set(false)
	g.pass <- struct{}{}
	rs.wg.Wait()
	cs := readRoom(t, real, "r")
	last := cs[len(cs)-1]
	if rs.errs != 0 || len(last.Events) != 1 || last.Events[0].Type != events.RoomCheckpointed || len(last.Done) != 1 {
		t.Fatalf("%d failed, last commit: %+v", rs.errs, last)
	}
	body, _, err := d.SnapshotAt(testContext(t), "r", last.First-1)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := newNode(t, real).SnapshotAt(testContext(t), "r", last.First-1)
	if err != nil || !bytes.Equal(body, want) {
		t.Fatalf("%v\n%s\nby a fold:\n%s", err, body, want)
	}
}

// editOf is some edit; with noops also one that changes nothing.
func editOf(t *testing.T, rng *rand.Rand, noops bool) domain.Command {
	switch n := rng.IntN(10); {
	case n < 4:
		return patch("base", "x", fmt.Sprint(rng.Uint32()))
	case n < 6:
		return patch("base", fmt.Sprint("own", rng.IntN(4)), fmt.Sprint(rng.Uint32()))
	case n < 7 && noops:
		return domain.RemoveElements{IDs: []string{"nothing"}}
	}
	return add(t, fmt.Sprint("m", rng.Uint64()), `"x":1`)
}
