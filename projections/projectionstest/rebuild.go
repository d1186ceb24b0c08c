package projectionstest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

func testRebuild(t *testing.T, open func(*testing.T) projections.Store) {
	h := history(6, 400)
	store := open(t)
	r := Runner(h.Log, h.Log, store, &Names{})
	CatchUp(t, r)
	want := digest(t, store)
	ctx := context.Background()
	res := must[projections.Rebuilt](t)(r.Rebuild(ctx, ""))
	if !res.Equal || res.DigestBefore != want || res.DigestAfter != want || res.Behind != 0 || res.Events == 0 {
		t.Errorf("same log: %+v, digest was %s", res, want)
	}
	damage := []projections.Statement{{SQL: "UPDATE rooms SET name = 'damaged' WHERE id = ?", Args: []any{h.Rooms[0].id}}, {SQL: "DELETE FROM chat_messages"}}
	if err := store.Apply(ctx, projections.Tables, nil, damage); err != nil {
		t.Fatal(err)
	}
	res = must[projections.Rebuilt](t)(r.Rebuild(ctx, ""))
	if res.Equal || res.DigestBefore == want || res.DigestAfter != want || digest(t, store) != want {
		t.Errorf("damaged rows: %+v, digest %s, not %s", res, digest(t, store), want)
	}
	for range 100 {
		h.Step()
	}
	res = must[projections.Rebuilt](t)(r.Rebuild(ctx, ""))
	if !res.Equal || res.Behind == 0 || res.DigestAfter == want || digest(t, store) != res.DigestAfter {
		t.Errorf("behind the log: %+v", res)
	}
	checkRevisions(t, h.Log, store, events.Stream{})
	CatchUp(t, r)
	if got := digest(t, store); got != res.DigestAfter {
		t.Errorf("following on changed rows: %s, not %s", got, res.DigestAfter)
	}
}

func testRebuildRunning(t *testing.T, open func(*testing.T) projections.Store) {
	h := history(7, 300)
	store := open(t)
	digest(t, store) // skips stores without
	r := Runner(h.Log, h.Log, store, &Names{})
	StartRunner(t, r)
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for range 600 {
			h.Step()
		}
	}()
	for range 3 {
		if res := must[projections.Rebuilt](t)(r.Rebuild(context.Background(), "")); !res.Equal {
			t.Errorf("while commits arrive: %+v", res)
		}
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.WaitHead(ctx); err != nil {
		t.Fatal(err)
	}
	checkRevisions(t, h.Log, store, events.Stream{})
	res := must[projections.Rebuilt](t)(r.Rebuild(ctx, ""))
	if !res.Equal || res.Behind != 0 {
		t.Errorf("at rest: %+v", res)
	}
}

// Rows that the log does not give any more may be the last of their kind: a rebuild leaves them alone.
func testRebuildDamaged(t *testing.T, open func(*testing.T) projections.Store) {
	ctx := context.Background()
	h := history(6, 300)
	store := open(t)
	r := Runner(h.Log, h.Log, store, &Names{})
	CatchUp(t, r)
	want := digest(t, store)
	room := events.Room(h.Rooms[0].id)
	var records []events.Record
	_ = h.Log.Read(ctx, room, 1, func(rec events.Record) bool { records = append(records, rec); return true })
	bad := records[len(records)/2]
	h.Log.Replace(bad, []byte("damaged"))
	for _, which := range []string{"", room.ID} {
		if _, err := r.Rebuild(ctx, which); !errors.Is(err, projections.ErrDamaged) || !strings.Contains(err.Error(), room.String()) {
			t.Errorf("rebuild %q of a damaged log: %v", which, err)
		}
		if got := digest(t, store); got != want {
			t.Fatalf("rebuild %q replaced what the log has lost", which)
		}
	}
	h.Log.Replace(bad, bad.Payload)
	if res := must[projections.Rebuilt](t)(r.Rebuild(ctx, "")); !res.Equal || len(res.Parked) != 0 {
		t.Errorf("mended: %+v", res)
	}
}

func testRebuildRoom(t *testing.T, open func(*testing.T) projections.Store) {
	ctx := context.Background()
	h := history(8, 300)
	sound := open(t)
	CatchUp(t, Runner(h.Log, h.Log, sound, &Names{}))
	want := digest(t, sound)

	room := events.Room(h.Rooms[0].id)
	var records []events.Record
	_ = h.Log.Read(ctx, room, 1, func(rec events.Record) bool { records = append(records, rec); return true })
	bad := records[len(records)/2]
	h.Log.Replace(bad, []byte("damaged"))
	store := open(t)
	r := Runner(h.Log, h.Log, store, &Names{})
	CatchUp(t, r)
	res := must[projections.Rebuilt](t)(r.Rebuild(ctx, room.ID))
	if len(res.Parked) != 1 || res.Parked[0].Stream != room || !res.Equal {
		t.Errorf("still damaged: %+v", res)
	}
	h.Log.Replace(bad, bad.Payload)
	res = must[projections.Rebuilt](t)(r.Rebuild(ctx, room.ID))
	if len(res.Parked) != 0 || res.Equal {
		t.Errorf("mended: %+v", res)
	}
	if got := digest(t, store); got != want {
		t.Errorf("digest %s, not %s", got, want)
	}
	h.Log.Append(room, h.tick(), "user-1", &events.ElementAddedData{Element: []byte(`{"id":"late"}`)})
	CatchUp(t, r)
	checkRevisions(t, h.Log, store, events.Stream{})
	if _, err := r.Rebuild(ctx, "no-such-room"); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("unknown room: %v", err)
	}
	if _, err := r.Verify(ctx, "no-such-room"); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("unknown room: %v", err)
	}
}

func testVerify(t *testing.T, open func(*testing.T) projections.Store) {
	ctx := context.Background()
	h := history(9, 300)
	store := open(t)
	digest(t, store)
	r := Runner(h.Log, h.Log, store, &Names{})
	CatchUp(t, r)
	room := events.Room(h.Rooms[1].id)
	for _, scope := range []string{"", room.ID} {
		if v := must[projections.Verified](t)(r.Verify(ctx, scope)); !v.OK() || v.Commits == 0 || v.Streams == 0 {
			t.Errorf("sound, scope %q: %+v", scope, v)
		}
	}
	if err := store.Apply(ctx, projections.Tables, nil, []projections.Statement{{SQL: "UPDATE rooms SET name = 'x' WHERE id = ?", Args: []any{room.ID}}}); err != nil {
		t.Fatal(err)
	}
	for _, scope := range []string{"", room.ID} {
		if v := must[projections.Verified](t)(r.Verify(ctx, scope)); v.Equal || len(v.Bad) != 0 {
			t.Errorf("row changed, scope %q: %+v", scope, v)
		}
	}
	// The newest commit too: one byte of it, with nothing after it.
	var last events.Record
	_ = h.Log.Read(ctx, room, 1, func(rec events.Record) bool { last = rec; return true })
	damaged := []byte(string(last.Payload))
	damaged[len(damaged)/2] ^= 4
	h.Log.Replace(last, damaged)
	for _, scope := range []string{"", room.ID} {
		v := must[projections.Verified](t)(r.Verify(ctx, scope))
		if len(v.Bad) != 1 || v.Bad[0].Stream != room || v.Bad[0].Seq != last.Seq || v.OK() {
			t.Errorf("damaged commit, scope %q: %+v", scope, v)
		}
	}
}
