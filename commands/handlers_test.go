package commands_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// followLive runs handlers over a room's commits as they come.
func followLive(t testing.TB, log commands.Log, room string, handlers ...commands.Handler) {
	t.Helper()
	var mu sync.Mutex
	stop, err := log.Watch(events.Room(room), func(rec events.Record, gap bool) {
		mu.Lock()
		defer mu.Unlock()
		if gap {
			t.Error("a gap in the log's watch")
		}
		for _, h := range handlers {
			if err := h(context.Background(), rec); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
}

func checkpoints(t testing.TB, log commands.Log, room string) (revisions []uint64) {
	t.Helper()
	for _, c := range readRoom(t, log, room) {
		for i := range c.Events {
			d, ok := c.Events[i].Payload.(*events.RoomCheckpointedData)
			if !ok {
				continue
			}
			if i != 0 || d.Revision != c.First-1 || c.Events[i].Actor != domain.SystemID {
				t.Errorf("checkpoint of revision %d is event %d of the commit at %d", d.Revision, i, c.First)
			}
			revisions = append(revisions, d.Revision)
		}
	}
	return revisions
}

func TestCheckpointAfterQuiet(t *testing.T) {
	log := openLog(t)
	d := newNode(t, log)
	cp := commands.NewCheckpointer(commands.CheckpointConfig{Rooms: d, Quiet: 30 * time.Millisecond})
	defer cp.Close()
	followLive(t, log, "r", cp.Handle)
	createRoom(t, d, "r")
	res := mustDo(t, d, "r", by(owner, add(t, "e")))
	eventually(t, "a checkpoint", func() bool { return len(checkpoints(t, log, "r")) == 1 })
	if got := checkpoints(t, log, "r"); got[0] != res.Last {
		t.Errorf("checkpoints at %v", got)
	}
	eventually(t, "nothing outstanding", func() bool { return cp.Outstanding() == 0 })
	mustDo(t, d, "r", by(owner, add(t, "f")))
	eventually(t, "another checkpoint", func() bool { return len(checkpoints(t, log, "r")) == 2 })
}

func TestCheckpointAfterManyRevisions(t *testing.T) {
	log := openLog(t)
	d := newNode(t, log)
	cp := commands.NewCheckpointer(commands.CheckpointConfig{Rooms: d, Every: 50, Quiet: time.Hour, Gap: time.Millisecond})
	defer cp.Close()
	followLive(t, log, "r", cp.Handle)
	createRoom(t, d, "r")
	for i := range 49 - born {
		mustDo(t, d, "r", by(owner, add(t, fmt.Sprint("e", i))))
	}
	if got := checkpoints(t, log, "r"); len(got) != 0 {
		t.Fatalf("checkpoints at %v before 50 revisions", got)
	}
	for i := range 60 {
		mustDo(t, d, "r", by(owner, add(t, fmt.Sprint("f", i))))
	}
	eventually(t, "checkpoints", func() bool { return len(checkpoints(t, log, "r")) == 2 })
}

// A checkpoint under load never falls into the middle of a commit, so its revision has a sum.
func TestCheckpointStartsACommit(t *testing.T) {
	log := openLog(t)
	d := newNode(t, log)
	createRoom(t, d, "r")
	w, err := d.Watch(testContext(t), "r", newFollower())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var rs replies
	for i := range 300 {
		w.Submit(by(owner, add(t, fmt.Sprint("e", i))), rs.expect("add"))
		if i%10 == 0 {
			w.Submit(by(domain.SystemID, domain.Checkpoint{}), rs.expect("checkpoint"))
		}
	}
	rs.wg.Wait()
	if got := checkpoints(t, log, "r"); len(got) != 30 || rs.errs != 0 {
		t.Fatalf("%d checkpoints, %d errors", len(got), rs.errs)
	}
}

type backlog map[string][2]uint64

func (b backlog) RoomsNeedingCheckpoint(_ context.Context, yield func(room string, head, checkpointed uint64) bool) error {
	for room, r := range b {
		if !yield(room, r[0], r[1]) {
			break
		}
	}
	return nil
}

func TestCheckpointBacklog(t *testing.T) {
	log := openLog(t)
	d := newNode(t, log)
	b := backlog{"gone": {7, 0}}
	for i := range 5 {
		room := fmt.Sprint("r", i)
		createRoom(t, d, room)
		b[room] = [2]uint64{1, 0}
	}
	createRoom(t, d, "deleted")
	mustDo(t, d, "deleted", by(owner, domain.DeleteRoom{}))
	b["deleted"] = [2]uint64{2, 0}
	cp := commands.NewCheckpointer(commands.CheckpointConfig{Rooms: d, Backlog: b, Quiet: time.Millisecond})
	defer cp.Close()
	for i := range 5 {
		eventually(t, "the checkpoint of what was left", func() bool { return len(checkpoints(t, log, fmt.Sprint("r", i))) == 1 })
	}
	eventually(t, "nothing outstanding", func() bool { return cp.Outstanding() == 0 })
}

func TestSnapshotWriterIsIdempotent(t *testing.T) {
	log := openLog(t)
	objects, rows := newObjects(), &snapshotRows{}
	d := newNode(t, log)
	createRoom(t, d, "r")
	mustDo(t, d, "r", by(owner, add(t, "e")))
	writeSnapshot(t, d, log, objects, rows, "r")
	ref, _, _ := rows.Newest(context.Background(), "r", 0)
	room, err := domain.DecodeSnapshot(objects.m[ref.Key])
	if err != nil || ref.Key != "snapshots/r/3.json" || room.Revision() != born+1 || room.Sum() != ref.Sum || room.Seq() != ref.Seq {
		t.Fatalf("%+v, %v", ref, err)
	}
	sw := commands.NewSnapshotWriter(commands.SnapshotConfig{Source: d, Objects: objects, Written: rows.written})
	defer sw.Close()
	follow(t, log, "r", sw.Handle)
	eventually(t, "the same snapshot again", func() bool { return rows.count("r") == 2 })
	if objects.puts[ref.Key] != 1 {
		t.Errorf("%d writes of the same snapshot", objects.puts[ref.Key])
	}
	objects.m[ref.Key] = objects.m[ref.Key][:10] // a torn one is written again
	follow(t, log, "r", sw.Handle)
	eventually(t, "the repair", func() bool { return rows.count("r") == 3 })
	if objects.puts[ref.Key] != 2 {
		t.Error("a torn snapshot was left")
	}
}

func TestTakenOutPicturesAreAttachedOnce(t *testing.T) {
	w := newWorkshop(t)
	createRoom(t, w.d, "r")
	ready, err := w.prepare(domain.RoleOwner, imageWith(t, dataURL("image/png", media(t)["image/png"].b)))
	if err != nil {
		t.Fatal(err)
	}
	src := srcOf(t, ready)
	res := mustDo(t, w.d, "r", by(owner, ready))
	quoted := string(events.AppendString(nil, src))
	mustDo(t, w.d, "r", by(owner, add(t, "other", `"note":"asset:x"`), patch("other", "src", quoted), patch("other", "src", `"asset:never-stored"`)))
	for range 2 { // redelivered, also to another process
		follow(t, w.log, "r", commands.TakenOutPictures(w.assets))
		follow(t, w.log, "r", commands.TakenOutPictures(commands.NewAssets(commands.NewStreams(w.log, nil), w.objects)))
	}
	var attached []*events.AssetAttachedData
	for _, rec := range allOf(t, w.log, events.Asset(src[len("asset:"):])) {
		c, err := events.Decode(rec.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := c.Events[0].Payload.(*events.AssetAttachedData); ok {
			attached = append(attached, d)
		}
	}
	if len(attached) != 1 || attached[0].Room != "r" || attached[0].Revision != res.Last {
		t.Fatalf("%+v", attached)
	}
	if n := len(allOf(t, w.log, events.Asset("never-stored"))); n != 0 {
		t.Errorf("%d commits in the stream of an asset that was never stored", n)
	}
}
