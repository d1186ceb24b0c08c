package commands_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// history is a room with a clock that is set by the test, and with snapshots in it.
func history(t *testing.T, snapshots bool) (*commands.Dispatcher, commands.Log, *atomic.Int64) {
	log := openLog(t)
	var now atomic.Int64
	now.Store(1_000_000)
	objects, rows := newObjects(), &snapshotRows{}
	d := newNode(t, log, func(c *commands.Config) { c.Clock, c.Objects, c.Snapshots = now.Load, objects, rows })
	createRoom(t, d, "r")
	for i := range 30 {
		now.Add(1000)
		mustDo(t, d, "r", by(owner, add(t, fmt.Sprint("e", i)), patch("e0", "x", fmt.Sprint(i)), patch("e0", "y", fmt.Sprint(i))))
		if snapshots && i%7 == 3 {
			writeSnapshot(t, d, log, objects, rows, "r")
		}
	}
	return d, log, &now
}

func TestViewAt(t *testing.T) {
	for _, snapshots := range []bool{false, true} {
		d, log, _ := history(t, snapshots)
		r := domain.NewRoom("r")
		for _, c := range readRoom(t, log, "r") {
			for i := range c.Events {
				rev := c.First + uint64(i)
				if err := r.Evolve(&c.Events[i], rev, c.At); err != nil {
					t.Fatal(err)
				}
				r.Release()
				v, err := d.ViewAt(testContext(t), "r", rev)
				if err != nil {
					t.Fatal(err)
				}
				if v.Revision != rev || v.At != c.At || canvasOf(v.Elements) != canvasOf(r.Elements()) {
					t.Fatalf("snapshots %v, revision %d: got %d at %d with %d elements", snapshots, rev, v.Revision, v.At, len(v.Elements))
				}
				text, err := d.CanvasAt(testContext(t), "r", rev)
				if err != nil || string(text[:12]) != `{"revision":` {
					t.Fatalf("%s, %v", text, err)
				}
			}
		}
		head := r.Revision()
		_, err := d.ViewAt(testContext(t), "r", head+1)
		wantCode(t, err, domain.CodeNotFound)
		_, err = d.ViewAt(testContext(t), "r", 0)
		wantCode(t, err, domain.CodeBadRequest)
		_, err = d.ViewAt(testContext(t), "nobody", 1)
		wantCode(t, err, domain.CodeNotFound)
	}
}

func TestViewAtTime(t *testing.T) {
	for _, snapshots := range []bool{false, true} {
		d, log, now := history(t, snapshots)
		cs := readRoom(t, log, "r")
		for at := int64(1_000_000); at < now.Load()+3000; at += 500 {
			want := uint64(0)
			for _, c := range cs {
				if c.At <= at {
					want = c.Last()
				}
			}
			v, err := d.ViewAtTime(testContext(t), "r", at)
			if err != nil || v.Revision != want {
				t.Fatalf("snapshots %v, at %d: revision %d, want %d, %v", snapshots, at, v.Revision, want, err)
			}
		}
		_, err := d.ViewAtTime(testContext(t), "r", 999_999)
		wantCode(t, err, domain.CodeNotFound)
	}
}

func TestTimeNeverRunsBackwards(t *testing.T) {
	log := openLog(t)
	var now atomic.Int64
	now.Store(5_000_000)
	d := newNode(t, log, func(c *commands.Config) { c.Clock = now.Load })
	createRoom(t, d, "r")
	for i := range 10 {
		now.Store(int64(5_000_000 - i*1000 + (i%3)*5000))
		mustDo(t, d, "r", by(owner, add(t, fmt.Sprint("e", i))))
	}
	readRoom(t, log, "r") // verifies the times too
}

func TestCommits(t *testing.T) {
	for _, snapshots := range []bool{false, true} {
		d, log, _ := history(t, snapshots)
		all := readRoom(t, log, "r")
		head := all[len(all)-1].Last()
		read := func(d *commands.Dispatcher, after uint64) (got []*events.Commit) {
			t.Helper()
			if err := d.Commits(testContext(t), "r", after, func(c *events.Commit) bool { got = append(got, c); return true }); err != nil {
				t.Fatal(err)
			}
			return got
		}
		check := func(what string, d *commands.Dispatcher, after uint64) {
			t.Helper()
			var want []*events.Commit
			for _, c := range all {
				if c.Last() > after {
					want = append(want, c)
				}
			}
			got := read(d, after)
			if len(got) != len(want) {
				t.Fatalf("%s, after %d: %d commits, want %d", what, after, len(got), len(want))
			}
			for i := range got {
				if got[i].First != want[i].First || got[i].Sum != want[i].Sum || got[i].Seq != want[i].Seq {
					t.Fatalf("%s, after %d: commit %d is at revision %d", what, after, i, got[i].First)
				}
			}
		}
		for after := uint64(0); after <= head+2; after++ {
			check("memory", d, after)
		}
		// a node whose memory begins at a snapshot reads the rest from the log
		var reads atomic.Int32
		objects, rows := newObjects(), &snapshotRows{}
		counted := &faultyLog{Log: log, onRead: func(ctx context.Context, s events.Stream, from uint64, yield func(events.Record) bool) error {
			reads.Add(1)
			return log.Read(ctx, s, from, yield)
		}}
		writeSnapshot(t, d, log, objects, rows, "r")
		all = readRoom(t, log, "r")
		cold := newNode(t, counted, func(c *commands.Config) { c.Objects, c.Snapshots = objects, rows })
		for after := uint64(0); after <= head+1; after++ {
			check("log", cold, after)
		}
		if reads.Load() < 10 {
			t.Errorf("the log was read %d times: the test has not reached it", reads.Load())
		}
		n := 0
		if err := cold.Commits(testContext(t), "r", 0, func(*events.Commit) bool { n++; return n < 3 }); err != nil || n != 3 {
			t.Errorf("stopped after %d commits, %v", n, err)
		}
	}
}

// What a snapshot's row says is a hint: a wrong sequence costs time, it is not damage.
func TestCommitsWithAWrongHint(t *testing.T) {
	log := openLog(t)
	d := newNode(t, log, func(c *commands.Config) { c.Snapshots = wrongHint{} })
	createRoom(t, d, "r")
	mustDo(t, d, "r", by(owner, domain.UpdateRoom{Name: ptr("large"), Description: ptr(fmt.Sprintf("%0*d", domain.MaxDescription, 0))}))
	for i := range 20 { // more than memory keeps
		mustDo(t, d, "r", by(owner, add(t, fmt.Sprint("e", i), fmt.Sprintf(`"text":"%0*d"`, 60<<10, 0))))
	}
	for _, after := range []uint64{born, born + 1, born + 2} {
		next := after + 1
		err := d.Commits(testContext(t), "r", after, func(c *events.Commit) bool {
			if c.First != next {
				t.Errorf("after %d: revision %d, want %d", after, c.First, next)
			}
			next = c.Last() + 1
			return true
		})
		if err != nil || next != born+22 {
			t.Errorf("after %d: ended at %d, %v", after, next-1, err)
		}
	}
}

type wrongHint struct{}

func (wrongHint) Newest(_ context.Context, _ string, revision uint64) (commands.SnapshotRef, bool, error) {
	return commands.SnapshotRef{Revision: max(revision, 1), Seq: 15, Sum: "x", Key: "none"}, true, nil
}

func ptr[T any](v T) *T { return &v }
