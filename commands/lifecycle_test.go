package commands_test

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// follow runs the handlers over a room's commits, as infra does with the log's.
func follow(t testing.TB, log commands.Log, room string, handlers ...commands.Handler) {
	t.Helper()
	err := log.Read(testContext(t), events.Room(room), 1, func(rec events.Record) bool {
		for _, h := range handlers {
			if err := h(testContext(t), rec); err != nil {
				t.Error(err)
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

// writeSnapshot checkpoints a room and writes the snapshot.
func writeSnapshot(t testing.TB, d *commands.Dispatcher, log commands.Log, o commands.Objects, rows *snapshotRows, room string) {
	t.Helper()
	mustDo(t, d, room, by(domain.SystemID, domain.Checkpoint{}))
	sw := commands.NewSnapshotWriter(commands.SnapshotConfig{Source: d, Objects: o, Written: rows.written})
	defer sw.Close()
	before := rows.count(room)
	follow(t, log, room, sw.Handle)
	eventually(t, "the snapshot", func() bool { return rows.count(room) > before })
}

func TestEvictionAndReloadFromSnapshot(t *testing.T) {
	real := openLog(t)
	var from atomic.Uint64 // where rooms were read from last
	log := &faultyLog{Log: real, onRead: func(ctx context.Context, s events.Stream, seq uint64, yield func(events.Record) bool) error {
		from.Store(seq)
		return real.Read(ctx, s, seq, yield)
	}}
	objects, rows := newObjects(), &snapshotRows{}
	d := newNode(t, log, func(c *commands.Config) {
		c.IdleAfter, c.Objects, c.Snapshots = 20*time.Millisecond, objects, rows
	})
	createRoom(t, d, "r")
	for i := range 40 {
		mustDo(t, d, "r", bySeq(owner, "c", uint64(i+1), add(t, fmt.Sprint("e", i))))
	}
	writeSnapshot(t, d, real, objects, rows, "r")
	for i := range 5 {
		mustDo(t, d, "r", bySeq(owner, "c", uint64(i+100), patch("e1", "x", fmt.Sprint(i))))
	}
	v, err := d.View(testContext(t), "r")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "eviction", func() bool { return d.Loaded() == 0 })
	after, err := d.View(testContext(t), "r")
	if err != nil {
		t.Fatal(err)
	}
	if ref, _, _ := rows.Newest(context.Background(), "r", 0); from.Load() != ref.Seq {
		t.Errorf("the room was read from sequence %d, the snapshot is at %d", from.Load(), ref.Seq)
	}
	if after.Revision != v.Revision || canvasOf(after.Elements) != canvasOf(v.Elements) || after.At != v.At {
		t.Fatalf("reloaded at revision %d, was %d", after.Revision, v.Revision)
	}
	if res := mustDo(t, d, "r", bySeq(owner, "c", 3, add(t, "e2"))); !res.Remembered {
		t.Error("the snapshot has forgotten an answer")
	}
	mustDo(t, d, "r", by(owner, add(t, "new")))
	readRoom(t, real, "r")
}

func TestWatchKeepsTheRoomLoaded(t *testing.T) {
	d := newNode(t, openLog(t), func(c *commands.Config) { c.IdleAfter = 5 * time.Millisecond })
	createRoom(t, d, "held")
	createRoom(t, d, "idle")
	w, err := d.Watch(testContext(t), "held", newFollower())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "eviction of the idle room", func() bool { return d.Loaded() == 1 })
	got := make(chan error, 1)
	w.Submit(by(owner, add(t, "e")), func(_ commands.Result, err error) { got <- err })
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	w.Close()
	eventually(t, "eviction", func() bool { return d.Loaded() == 0 })
}

func TestDamagedSnapshotsCostTimeOnly(t *testing.T) {
	log := openLog(t)
	objects, rows := newObjects(), &snapshotRows{}
	with := func(c *commands.Config) { c.Objects, c.Snapshots = objects, rows }
	d := newNode(t, log, with)
	createRoom(t, d, "r")
	for i := range 3 {
		mustDo(t, d, "r", by(owner, add(t, fmt.Sprint("e", i))))
		writeSnapshot(t, d, log, objects, rows, "r")
	}
	want, err := d.View(testContext(t), "r")
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		v, err := newNode(t, log, with).View(testContext(t), "r")
		if err != nil || v.Revision != want.Revision || canvasOf(v.Elements) != canvasOf(want.Elements) {
			t.Errorf("%s: %v", what, err)
		}
	}
	newest, _, _ := rows.Newest(context.Background(), "r", 0)
	whole := objects.m[newest.Key]
	objects.m[newest.Key] = whole[:len(whole)/2]
	check("newest cut")
	delete(objects.m, newest.Key)
	check("newest gone")
	other, _, _ := rows.Newest(context.Background(), "r", newest.Revision-1)
	objects.m[newest.Key] = objects.m[other.Key]
	check("newest swapped for an older one")
	for k := range objects.m {
		objects.m[k] = []byte("{}")
	}
	check("all damaged")
}

// away is an object store that does not answer: by an error, or not at all.
type away struct {
	*memoryObjects
	hangs bool
	gets  atomic.Int64
}

func (a *away) Get(ctx context.Context, key string, _, _ int64) (io.ReadCloser, commands.Object, error) {
	a.gets.Add(1)
	if a.hangs {
		<-ctx.Done()
		return nil, commands.Object{}, ctx.Err()
	}
	return nil, commands.Object{}, fmt.Errorf("get %s: %w", key, commands.ErrObjectsDown)
}

// TestAStoreThatIsAwayCostsTimeOnly: rooms load from the log, after one look for a snapshot.
func TestAStoreThatIsAwayCostsTimeOnly(t *testing.T) {
	log := openLog(t)
	objects, rows := newObjects(), &snapshotRows{}
	d := newNode(t, log, func(c *commands.Config) { c.Objects, c.Snapshots = objects, rows })
	createRoom(t, d, "r")
	for i := range 3 {
		mustDo(t, d, "r", by(owner, add(t, fmt.Sprint("e", i))))
		writeSnapshot(t, d, log, objects, rows, "r")
	}
	want, err := d.View(testContext(t), "r")
	if err != nil {
		t.Fatal(err)
	}
	for _, hangs := range []bool{false, true} {
		a := &away{memoryObjects: objects, hangs: hangs}
		cold := newNode(t, log, func(c *commands.Config) {
			c.Objects, c.Snapshots, c.SnapshotWait = a, rows, 10*time.Millisecond
		})
		v, err := cold.View(testContext(t), "r")
		if err != nil || v.Revision != want.Revision || canvasOf(v.Elements) != canvasOf(want.Elements) || a.gets.Load() != 1 {
			t.Errorf("hangs %v: %d looks, %v", hangs, a.gets.Load(), err)
		}
	}
}

func TestDrain(t *testing.T) {
	log, g := gated(openLog(t))
	d := commands.NewDispatcher(commands.Config{Log: log})
	createRoom(t, d, "r")
	f := newFollower()
	w, err := d.Watch(testContext(t), "r", f)
	if err != nil {
		t.Fatal(err)
	}
	g.set(true)
	errs := make(chan error, 2)
	reply := func(_ commands.Result, err error) { errs <- err }
	w.Submit(by(owner, add(t, "a")), reply)
	<-g.arrived
	w.Submit(by(owner, add(t, "b")), reply) // waits behind the append
	closed := make(chan error, 1)
	go func() { closed <- d.Close(testContext(t)) }()
	eventually(t, "refusals", func() bool {
		_, err := d.View(testContext(t), "other")
		return hasCode(err, domain.CodeReadOnly)
	})
	late := make(chan error, 1)
	w.Submit(by(owner, add(t, "c")), func(_ commands.Result, err error) { late <- err })
	wantCode(t, <-late, domain.CodeReadOnly)
	select {
	case err := <-closed:
		t.Fatalf("closed (%v) before the append was through", err)
	default:
	}
	g.set(false)
	g.pass <- struct{}{}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Errorf("a pending request was answered %v", err)
		}
	}
	f.wait(t, "the end", func(f *follower) bool { return f.isEnded })
	if f.head() != born+2 || !hasCode(f.ended, domain.CodeReadOnly) {
		t.Errorf("the watcher was told up to %d, then %v", f.head(), f.ended)
	}
	w.Close()
	readRoom(t, log, "r")
}

// Close does not wait for a log that never answers: what was under way is told as unknown.
func TestCloseWithDeadline(t *testing.T) {
	real := openLog(t)
	in := make(chan struct{}, 1)
	var hang atomic.Bool
	log := &faultyLog{Log: real, onAppend: func(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
		if hang.Load() {
			in <- struct{}{}
			<-ctx.Done()
			return 0, commands.ErrUnknownOutcome
		}
		return real.Append(ctx, s, after, payload)
	}}
	d := commands.NewDispatcher(commands.Config{Log: log, AppendTimeout: patience})
	createRoom(t, d, "r")
	hang.Store(true)
	got := make(chan error, 1)
	go func() {
		_, err := d.Do(testContext(t), "r", by(owner, add(t, "e")))
		got <- err
	}()
	<-in
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.Close(ctx); err == nil {
		t.Error("Close says that all is well")
	}
	wantCode(t, <-got, domain.CodeReadOnly)
}

func TestRoomsAreBounded(t *testing.T) {
	d := newNode(t, openLog(t), func(c *commands.Config) { c.MaxRooms = 3 })
	for i := range 10 {
		createRoom(t, d, fmt.Sprint("r", i))
		if n := d.Loaded(); n > 3 {
			t.Fatalf("%d rooms are loaded", n)
		}
	}
	for i := range 3 {
		w, err := d.Watch(testContext(t), fmt.Sprint("r", i), newFollower())
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
	}
	_, err := d.View(testContext(t), "r5")
	wantCode(t, err, domain.CodeReadOnly)
}

func TestUnknownRooms(t *testing.T) {
	log := openLog(t)
	d := newNode(t, log, func(c *commands.Config) { c.IdleAfter = 50 * time.Millisecond })
	_, err := d.View(testContext(t), "nobody")
	wantCode(t, err, domain.CodeNotFound)
	for _, id := range []string{"", "..", "a/b", "a.b", "a*", ">", "a b", string(make([]byte, 200))} {
		_, err := d.View(testContext(t), id)
		wantCode(t, err, domain.CodeNotFound)
		_, err = d.Do(testContext(t), id, by(owner, domain.CreateRoom{Name: "x", Visibility: domain.Public}))
		wantCode(t, err, domain.CodeNotFound)
	}
	wantCode(t, d.Commits(testContext(t), "nobody", 0, func(*events.Commit) bool { return true }), domain.CodeNotFound)
	createRoom(t, d, "r")
	mustDo(t, d, "r", by(owner, domain.DeleteRoom{}))
	_, err = d.View(testContext(t), "r")
	wantCode(t, err, domain.CodeNotFound)
}
