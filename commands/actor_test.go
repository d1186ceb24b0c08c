package commands_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// replies collects answers in the order they come.
type replies struct {
	mu   sync.Mutex
	wg   sync.WaitGroup
	got  []string
	errs int
}

func (r *replies) expect(name string) func(commands.Result, error) {
	r.wg.Add(1)
	return func(_ commands.Result, err error) {
		r.mu.Lock()
		r.got = append(r.got, name)
		if err != nil {
			r.errs++
		}
		r.mu.Unlock()
		r.wg.Done()
	}
}

func TestGroupCommit(t *testing.T) {
	log, g := gated(openLog(t))
	d := newNode(t, log)
	createRoom(t, d, "r")
	mustDo(t, d, "r", by(owner, add(t, "e")))
	f := newFollower()
	w, err := d.Watch(testContext(t), "r", f)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()

	g.set(true)
	var rs replies
	w.Submit(bySeq(owner, "c", 1, patch("e", "x", "1")), rs.expect("1"))
	<-g.arrived // the first append is in flight: all that comes now waits for it
	const n = 600
	for i := 2; i <= n; i++ {
		w.Submit(bySeq(owner, "c", uint64(i), patch("e", "x", fmt.Sprint(i))), rs.expect(fmt.Sprint(i)))
	}
	if len(rs.got) != 0 {
		t.Fatalf("answered before the append: %v", rs.got)
	}
	g.set(false)
	g.pass <- struct{}{}
	rs.wg.Wait()

	for i, name := range rs.got {
		if name != fmt.Sprint(i+1) {
			t.Fatalf("answer %d is that of request %s", i+1, name)
		}
	}
	cs := readRoom(t, log, "r")
	if len(cs) != 4 {
		t.Errorf("%d requests made %d commits, want 2 (and 2 before)", n, len(cs))
	}
	if rs.errs != 0 {
		t.Errorf("%d requests failed", rs.errs)
	}
	if got := f.commits[len(f.commits)-1].Last(); got != uint64(3+n) && got != uint64(2+n) {
		t.Errorf("the watcher was told up to revision %d", got)
	}
}

func TestCommittedComesBeforeReply(t *testing.T) {
	d := newNode(t, openLog(t))
	createRoom(t, d, "r")
	f := newFollower()
	w, err := d.Watch(testContext(t), "r", f)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Add(1)
		w.Submit(by(owner, add(t, fmt.Sprint("e", i))), func(res commands.Result, err error) {
			defer wg.Done()
			f.mu.Lock()
			defer f.mu.Unlock()
			if err != nil || f.head() < res.Last {
				t.Errorf("answered at revision %d (%v) when the watcher was told up to %d", res.Last, err, f.head())
			}
		})
	}
	wg.Wait()
}

func TestAllOrNothing(t *testing.T) {
	log := openLog(t)
	d := newNode(t, log)
	createRoom(t, d, "r")
	mustDo(t, d, "r", by(owner, add(t, "a", `"x":1`)))
	before := len(readRoom(t, log, "r"))

	_, err := d.Do(testContext(t), "r", by(owner, add(t, "b"), patch("a", "x", "2"), add(t, "a", `"x":77`)))
	wantCode(t, err, domain.CodeConflict)
	if after := len(readRoom(t, log, "r")); after != before {
		t.Fatalf("a refused list made %d commits", after-before)
	}
	v, err := d.View(testContext(t), "r")
	if err != nil {
		t.Fatal(err)
	}
	if got := canvasOf(v.Elements); len(v.Elements) != 1 || got != canvasOf(replayed(t, "r", readRoom(t, log, "r")).Elements()) {
		t.Fatalf("after the refused list the canvas is %s", got)
	}

	res := mustDo(t, d, "r", by(owner, add(t, "b"), patch("a", "x", "2"), add(t, "c")))
	if res.Last-res.First != 2 || res.Commit == nil {
		t.Fatalf("three commands gave revisions %d to %d", res.First, res.Last)
	}
	for rev := res.First; rev <= res.Last; rev++ {
		e := res.Commit.Events[rev-res.Commit.First]
		if e.Cont != (rev != res.First) {
			t.Errorf("revision %d: cont is %v", rev, e.Cont)
		}
		if e.ID == "" || len(e.Data) == 0 {
			t.Errorf("revision %d has no id or no data", rev)
		}
	}
}

func TestIfMatch(t *testing.T) {
	d := newNode(t, openLog(t))
	createRoom(t, d, "r")
	res := mustDo(t, d, "r", by(owner, add(t, "a")))
	r := by(owner, patch("a", "x", "1"))
	r.IfMatch = &res.Last
	next := mustDo(t, d, "r", r)
	if next.First != res.Last+1 {
		t.Fatalf("got revision %d", next.First)
	}
	_, err := d.Do(testContext(t), "r", r)
	wantCode(t, err, domain.CodeRevisionConflict)
}

func TestRoomQueueIsBounded(t *testing.T) {
	log, g := gated(openLog(t))
	d := newNode(t, log)
	createRoom(t, d, "r")
	mustDo(t, d, "r", by(owner, add(t, "e")))
	w, err := d.Watch(testContext(t), "r", newFollower())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	g.set(true)
	var rs replies
	w.Submit(by(owner, patch("e", "x", "0")), rs.expect("first"))
	<-g.arrived
	for range commands.MaxQueued - 1 {
		w.Submit(by(owner, patch("e", "x", "1")), rs.expect("waiting"))
	}
	told := make(chan error, 1)
	w.Submit(by(owner, patch("e", "x", "2")), func(_ commands.Result, err error) { told <- err })
	select {
	case err := <-told:
		wantCode(t, err, domain.CodeReadOnly)
	default:
		t.Fatal("the request over the bound was not answered at once")
	}
	g.set(false)
	g.pass <- struct{}{}
	rs.wg.Wait()
	if rs.errs != 0 {
		t.Fatalf("%d of those that waited failed", rs.errs)
	}
	mustDo(t, d, "r", by(owner, patch("e", "x", "3"))) // there is room again
}

func TestCommitsAreSplitBySize(t *testing.T) {
	real := openLog(t)
	small := &limitedLog{Log: real, most: 64 << 10}
	d := newNode(t, small)
	createRoom(t, d, "r")
	w, err := d.Watch(testContext(t), "r", newFollower())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	big := func(id string, kib int) domain.Command {
		return add(t, id, fmt.Sprintf(`"text":"%0*d"`, kib<<10, 0))
	}
	var rs replies
	for i := range 20 {
		w.Submit(by(owner, big(fmt.Sprint("e", i), 20)), rs.expect("one"))
	}
	rs.wg.Wait()
	if rs.errs != 0 {
		t.Fatalf("%d failed", rs.errs)
	}
	for _, c := range readRoom(t, real, "r") {
		if len(c.Events) > 3 {
			t.Errorf("commit at revision %d has %d events of 20 KiB", c.First, len(c.Events))
		}
	}
	_, err = d.Do(testContext(t), "r", by(owner, big("x1", 30), big("x2", 30), big("x3", 30)))
	wantCode(t, err, domain.CodeTooLarge)
	mustDo(t, d, "r", by(owner, big("x1", 30), big("x2", 20)))
	mustDo(t, d, "r", by(owner, add(t, "last")))
	readRoom(t, real, "r")
}

// A log that takes less than it said (its server was set anew): the batch is halved until the request that is to blame stands alone.
func TestCommitTooLargeAfterAll(t *testing.T) {
	real := openLog(t)
	d := newNode(t, &limitedLog{Log: real, most: 8 << 10, says: 64 << 10})
	createRoom(t, d, "r")
	w, err := d.Watch(testContext(t), "r", newFollower())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var rs replies
	for i := range 30 {
		kib := 1
		if i == 17 {
			kib = 9
		}
		w.Submit(by(owner, add(t, fmt.Sprint("e", i), fmt.Sprintf(`"text":"%0*d"`, kib<<10, 0))), rs.expect(fmt.Sprint(i)))
	}
	rs.wg.Wait()
	if rs.errs != 1 {
		t.Fatalf("%d were refused, want the one that can't fit", rs.errs)
	}
	v, err := d.View(testContext(t), "r")
	if err != nil || len(v.Elements) != 29 {
		t.Fatalf("%d elements, %v", len(v.Elements), err)
	}
	readRoom(t, real, "r")
}

// limitedLog takes less than the log it wraps.
type limitedLog struct {
	commands.Log
	most, says int
}

func (l *limitedLog) MaxPayload() int { return max(l.most, l.says) }

func (l *limitedLog) Append(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
	if len(payload) > l.most {
		return 0, commands.ErrCommitTooLarge
	}
	return l.Log.Append(ctx, s, after, payload)
}

func TestEventIDsRise(t *testing.T) {
	log := openLog(t)
	d := newNode(t, log)
	createRoom(t, d, "r")
	for i := range 5 {
		var cs []domain.Command
		for j := range 200 {
			cs = append(cs, add(t, fmt.Sprintf("e%d-%d", i, j)))
		}
		mustDo(t, d, "r", by(owner, cs...))
	}
	last := ""
	for _, c := range readRoom(t, log, "r") {
		for _, e := range c.Events {
			if e.ID <= last || len(e.ID) != 36 || e.ID[14] != '7' {
				t.Fatalf("id %s follows %s", e.ID, last)
			}
			last = e.ID
		}
	}
}
