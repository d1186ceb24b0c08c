package commands_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// narrow is a log that takes small commits only, so that a small change is an operation of several parts.
type narrow struct {
	commands.Log
	stop atomic.Int64 // appends that are still stored; below 0 all are, at 0 the log is read-only
	lost atomic.Bool  // the answers of appends do not come back
}

func (n *narrow) MaxPayload() int { return 10 << 10 }

func (n *narrow) Append(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
	switch left := n.stop.Load(); {
	case left == 0:
		return 0, commands.ErrLogReadOnly
	case left > 0:
		n.stop.Add(-1)
	}
	seq, err := n.Log.Append(ctx, s, after, payload)
	if err == nil && n.lost.Load() {
		return 0, commands.ErrUnknownOutcome
	}
	return seq, err
}

func newNarrow(log commands.Log) *narrow {
	n := &narrow{Log: log}
	n.stop.Store(-1)
	return n
}

const drawn = 40

// drawing makes a room of 40 elements of 1 KiB, changes and adds some, and returns the revision before that.
func drawing(t *testing.T, d commands.Rooms) (revision uint64) {
	t.Helper()
	createRoom(t, d, "r")
	for i := range drawn {
		revision = mustDo(t, d, "r", by(owner, add(t, fmt.Sprintf("e%02d", i), `"x":1`, `"text":"`+strings.Repeat("t", 1<<10)+`"`))).Last
	}
	for i := range drawn {
		id := fmt.Sprintf("e%02d", i)
		switch i % 4 {
		case 0:
			mustDo(t, d, "r", by("bob", domain.RemoveElements{IDs: []string{id}}))
		case 1:
			mustDo(t, d, "r", by("bob", patch(id, "x", "2")))
		}
	}
	mustDo(t, d, "r", by("bob", add(t, "later")))
	return revision
}

// restoring is the command that brings back what there was at a revision.
func restoring(t *testing.T, d commands.Rooms, revision uint64) domain.Restore {
	t.Helper()
	v, err := d.ViewAt(testContext(t), "r", revision)
	if err != nil {
		t.Fatal(err)
	}
	return domain.Restore{Revision: revision, Elements: v.Elements}
}

// movedTo9 is the canvas with e02 at x 9.
func movedTo9(canvas string) string {
	lines := strings.SplitAfter(canvas, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, `{"id":"e02"`) {
			lines[i] = strings.Replace(line, `"x":1}`, `"x":9}`, 1)
		}
	}
	return strings.Join(lines, "")
}

func canvasNow(t *testing.T, d commands.Rooms) string {
	t.Helper()
	v, err := d.View(testContext(t), "r")
	if err != nil {
		t.Fatal(err)
	}
	return short(v.Elements)
}

// short is the canvas as text, without most of its filling.
func short(es []*domain.Element) string {
	return strings.ReplaceAll(canvasOf(es), strings.Repeat("t", 1<<10), "t")
}

// checkParts checks that the parts of every operation in the log follow each other, whole, with nothing between them, and returns how many parts each has.
func checkParts(t *testing.T, log commands.Log) (parts []int) {
	t.Helper()
	cs := readRoom(t, log, "r")
	var open *events.Part
	var first uint64
	for _, c := range cs {
		p := c.Part
		switch {
		case open == nil && p == nil:
			continue
		case open == nil && p.Part == 1:
			first = c.First
		case open == nil, p == nil, p.Op != open.Op, p.Part != open.Part+1:
			t.Fatalf("commit %d..%d (%+v) after part %+v", c.First, c.Last(), p, open)
		}
		for i := range c.Events {
			if e := &c.Events[i]; e.Cont != (c.First+uint64(i) > first) {
				t.Fatalf("event %d is not one change with the others", c.First+uint64(i))
			}
		}
		if open = p; p.Part == p.Of {
			open = nil
			parts = append(parts, p.Of)
			if p.Rest != nil || len(c.Done) != 1 || c.Done[0].First != first || c.Done[0].Last != c.Last() {
				t.Fatalf("the last part: %+v %+v", p, c.Done)
			}
		} else if p.Rest == nil || len(c.Done) != 0 {
			t.Fatalf("part %+v %+v", p, c.Done)
		}
	}
	if open != nil {
		t.Fatalf("the log ends with %+v", open)
	}
	replayed(t, "r", cs)
	return parts
}

func TestALargeChangeIsOneOperation(t *testing.T) {
	log := newNarrow(openLog(t))
	d := newNode(t, log)
	revision := drawing(t, d)
	was := canvasNow(t, d)
	before, err := d.ViewAt(testContext(t), "r", revision)
	if err != nil {
		t.Fatal(err)
	}
	back := restoring(t, d, revision)
	res := mustDo(t, d, "r", bySeq("ann", "a", 1, back))
	if got := canvasNow(t, d); got != short(before.Elements) {
		t.Fatalf("restored to %.2000s", got)
	}
	again := mustDo(t, d, "r", bySeq("ann", "a", 1, back))
	if !again.Remembered || again.First != res.First || again.Last != res.Last || res.Last <= res.First {
		t.Errorf("%+v, and again %+v", res, again)
	}
	// What somebody does afterwards stays theirs, and the restore is one step.
	mustDo(t, d, "r", by("bob", patch("e02", "x", "9")))
	undo := mustDo(t, d, "r", bySeq("ann", "a", 2, domain.Undo{}))
	if got := canvasNow(t, d); got != movedTo9(was) {
		t.Fatalf("undone to %.2000s", got)
	}
	_, err = d.Do(testContext(t), "r", bySeq("ann", "a", 3, domain.Undo{}))
	wantCode(t, err, domain.CodeNothingToUndo)
	redo := mustDo(t, d, "r", bySeq("ann", "a", 3, domain.Redo{}))
	if got := canvasNow(t, d); !strings.Contains(got, `"x":9`) || strings.Count(got, `"id"`) != drawn {
		t.Fatalf("redone to %.2000s", got)
	}
	parts := checkParts(t, log)
	if len(parts) < 2 || parts[0] < 2 || undo.Last < undo.First || redo.Last < redo.First {
		t.Fatalf("operations of %v parts; undo %+v, redo %+v", parts, undo, redo)
	}
	// A list is one commit, whatever is in it.
	mustDo(t, d, "r", by("ann", domain.RemoveElements{IDs: []string{"e01", "e02", "e03", "e05", "e06", "e07", "e09", "e10", "e11", "e13", "e14", "e15", "e17", "e18", "e19", "e21", "e22", "e23", "e25", "e26"}}))
	_, err = d.Do(testContext(t), "r", by("ann", restoring(t, d, revision), patch("e03", "x", "3")))
	wantCode(t, err, domain.CodeTooLarge)
}

// The process dies, or the disk is full, after any part. Whoever comes next finds the whole change done, and edits what it left.
func TestAnOperationIsFinishedAfterACrash(t *testing.T) {
	for _, cause := range []events.Cause{events.CauseRestore, events.CauseUndo, events.CauseRedo} {
		for stored := int64(1); ; stored++ {
			var enough bool
			t.Run(fmt.Sprint(cause, " after part ", stored), func(t *testing.T) { enough = crashAfter(t, cause, stored) })
			if enough || t.Failed() {
				break
			}
		}
	}
}

func crashAfter(t *testing.T, cause events.Cause, stored int64) (whole bool) {
	log := newNarrow(openLog(t))
	d := newNode(t, log)
	back := restoring(t, d, drawing(t, d))
	var c domain.Command = back
	remove := domain.RemoveElements{}
	for i := range drawn {
		if i%4 != 0 {
			remove.IDs = append(remove.IDs, fmt.Sprintf("e%02d", i))
		}
	}
	seq := uint64(1)
	do := func(c domain.Command) { seq++; mustDo(t, d, "r", bySeq("ann", "a", seq, c)) }
	switch cause { // both add 30 elements
	case events.CauseUndo:
		do(remove)
		c = domain.Undo{}
	case events.CauseRedo:
		do(back)
		do(domain.Undo{})
		c = domain.Redo{}
	}
	other := newNode(t, newNarrow(log.Log)) // what it comes to where nothing happens
	want := wanted(t, other, log, c)
	log.stop.Store(stored)
	seq++
	res, err := d.Do(testContext(t), "r", bySeq("ann", "a", seq, c))
	if err == nil {
		checkParts(t, log)
		return true
	}
	wantCode(t, err, domain.CodeReadOnly)
	_, err = d.Do(testContext(t), "r", by("bob", patch("e01", "y", "5")))
	wantCode(t, err, domain.CodeReadOnly) // not between the parts
	head := readRoom(t, log, "r")
	if p := head[len(head)-1].Part; p == nil || int64(p.Part) != stored {
		t.Fatalf("%d parts are to be stored: %+v", stored, p)
	}
	closeNode(t, d)
	log.stop.Store(-1)
	d = newNode(t, log)
	if stored%2 == 0 { // a process handler asks for it; else the next command does
		if err := commands.FinishOperations(d.Settle)(testContext(t), lastRecord(t, log)); err != nil {
			t.Fatal(err)
		}
		checkParts(t, log)
	}
	edit := mustDo(t, d, "r", by("bob", add(t, "bobs")))
	mustDo(t, d, "r", by("bob", domain.RemoveElements{IDs: []string{"bobs"}}))
	if got := canvasNow(t, d); got != want {
		t.Fatalf("finished as %.3000s\nnot %.3000s", got, want)
	}
	again := mustDo(t, d, "r", bySeq("ann", "a", seq, c))
	if !again.Remembered || again.Last >= edit.First || again.First > again.Last {
		t.Errorf("sent again: %+v, the edit after it %+v, first %+v", again, edit, res)
	}
	checkParts(t, log)
	return false
}

// wanted is what the command makes of the room, in a copy of its state.
func wanted(t *testing.T, d *commands.Dispatcher, log commands.Log, c domain.Command) string {
	t.Helper()
	room := replayed(t, "r", readRoom(t, log, "r"))
	decision, err := domain.Decide(room, domain.Actor{ID: "ann"}, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range decision.Events {
		if err := room.Evolve(&decision.Events[i], room.Revision()+1, room.At()); err != nil {
			t.Fatal(err)
		}
	}
	return short(room.Elements())
}

func lastRecord(t *testing.T, log commands.Log) events.Record {
	t.Helper()
	rec, ok, err := log.Last(testContext(t), events.Room("r"))
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	return rec
}

// Every answer of the log is lost: each part is found, none is stored twice.
func TestAnOperationWhoseAcksAreLost(t *testing.T) {
	log := newNarrow(openLog(t))
	d := newNode(t, log)
	back := restoring(t, d, drawing(t, d))
	want := wanted(t, d, log, back)
	log.lost.Store(true)
	mustDo(t, d, "r", bySeq("ann", "a", 1, back))
	if got := canvasNow(t, d); got != want {
		t.Fatalf("restored to %.2000s", got)
	}
	if parts := checkParts(t, log); len(parts) != 1 {
		t.Fatalf("%v", parts)
	}
}

// Two nodes and everybody editing meanwhile: nothing comes between two parts, and no edit that was answered is gone from the log.
func TestNothingComesBetweenTheParts(t *testing.T) {
	real := openLog(t)
	one, two := newNode(t, newNarrow(real)), newNode(t, newNarrow(real))
	back := restoring(t, one, drawing(t, one))
	var g sync.WaitGroup
	answered := make([]uint64, 2)
	quit := make(chan struct{})
	for i, d := range []*commands.Dispatcher{one, two} {
		g.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-quit:
					return
				default:
				}
				if err := doUntilAnswered(t, d, "r", bySeq("bob", fmt.Sprint("b", i), uint64(n+1), patch("e03", "k", fmt.Sprintf("%d%04d", i+1, n)))); err != nil {
					t.Error(err)
					return
				}
				answered[i]++
			}
		})
	}
	for n := range 6 {
		d := []*commands.Dispatcher{one, two}[n%2]
		var c domain.Command = back
		if n%2 == 1 {
			c = domain.Undo{}
		}
		if err := doUntilAnswered(t, d, "r", bySeq("ann", "a", uint64(n+1), c)); err != nil {
			t.Error(err)
		}
	}
	close(quit)
	g.Wait()
	checkParts(t, real)
	edits := uint64(0)
	for _, c := range readRoom(t, real, "r") {
		for i := range c.Events {
			if e := &c.Events[i]; e.Client == "b0" || e.Client == "b1" {
				edits++
			}
		}
	}
	if edits != answered[0]+answered[1] {
		t.Errorf("%d edits are in the log, %v were answered", edits, answered)
	}
	if canvasNow(t, one) != canvasNow(t, two) {
		eventually(t, "both nodes to have one canvas", func() bool { return canvasNow(t, one) == canvasNow(t, two) })
	}
}
