package projectionstest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

// patience bounds every wait of a test; what is waited for comes much sooner.
const patience = 30 * time.Second

// Seeds is how many histories each randomised test makes.
const Seeds = 4

// TestStore is what every Store must pass. open returns an empty one with the schema of migrations/. Where it is a
// projections.Shadows, rebuilds are tested too.
func TestStore(t *testing.T, open func(t *testing.T) projections.Store) {
	t.Run("Checkpoints", func(t *testing.T) { testCheckpoints(t, open(t)) })
	t.Run("RejectedIsRolledBack", func(t *testing.T) { testRejected(t, open(t)) })
	t.Run("FollowsTheLog", func(t *testing.T) { testFollows(t, open) })
	t.Run("WaitFor", func(t *testing.T) { testWaitFor(t, open(t)) })
	t.Run("PoisonParksItsStream", func(t *testing.T) { testPoison(t, open) })
	t.Run("LogShorterThanCheckpoint", func(t *testing.T) { testShorter(t, open(t)) })
	t.Run("SameRowsWhateverTheBatches", func(t *testing.T) { testReproducible(t, open) })
	t.Run("Rebuild", func(t *testing.T) { testRebuild(t, open) })
	t.Run("RebuildWhileRunning", func(t *testing.T) { testRebuildRunning(t, open) })
	t.Run("RebuildDamaged", func(t *testing.T) { testRebuildDamaged(t, open) })
	t.Run("RebuildRoom", func(t *testing.T) { testRebuildRoom(t, open) })
	t.Run("Verify", func(t *testing.T) { testVerify(t, open) })
}

// Runner makes a projections.Runner of a log and a store.
func Runner(log *Log, source projections.Source, store projections.Store, names *Names) *projections.Runner {
	return projections.NewRunner(projections.Config{Source: source, Streams: log, Store: store, Canvases: log, Unsealer: names, Linger: -1})
}

// StartRunner runs r until the test ends, or stop is called.
func StartRunner(t *testing.T, r *projections.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// CatchUp runs a Runner until all of the log is in the tables.
func CatchUp(t *testing.T, r *projections.Runner) {
	t.Helper()
	stop := StartRunner(t, r)
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.WaitHead(ctx); err != nil {
		t.Fatal(err)
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func digest(t *testing.T, store projections.Store) string {
	t.Helper()
	s, ok := store.(projections.Shadows)
	if !ok {
		t.Skip("the store has no digest")
	}
	return must[string](t)(s.Digest(context.Background(), false, ""))
}

// history makes a log of n steps.
func history(seed uint64, n int) *History {
	h := NewHistory(NewLog(5), seed)
	for range n {
		h.Step()
	}
	return h
}

func insertUser(id string) projections.Statement {
	return projections.Statement{SQL: "INSERT INTO users (id, email) VALUES (?, '')", Args: []any{id}}
}

func testCheckpoints(t *testing.T, store projections.Store) {
	ctx := context.Background()
	c1 := projections.Checkpoint{Seq: 7, Sum: "a7", At: Start}
	c2 := projections.Checkpoint{Seq: 9, Sum: "a9", At: Start + 1}
	move := func(p int, from, to projections.Checkpoint) []projections.Move {
		return []projections.Move{{Partition: p, From: from, To: to}}
	}
	if err := store.Apply(ctx, "x", append(move(0, projections.Checkpoint{}, c1), move(3, projections.Checkpoint{}, c2)...), nil); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]projections.Checkpoint{"start again": {}, "somewhere else": {Seq: 8}, "beyond": {Seq: 9}} {
		if err := store.Apply(ctx, "x", move(0, from, c2), []projections.Statement{insertUser(name)}); !errors.Is(err, projections.ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
		if err := store.Apply(ctx, "x", move(0, projections.Checkpoint{Seq: 7}, c1), []projections.Statement{insertUser(name)}); err != nil {
			t.Errorf("%s: something of the refused batch was applied: %v", name, err)
		}
	}
	if err := store.Apply(ctx, "x", move(0, c1, c2), nil); err != nil {
		t.Fatal(err)
	}
	got := must[map[int]projections.Checkpoint](t)(store.Checkpoints(ctx, "x"))
	if len(got) != 2 || got[0] != c2 || got[3] != c2 {
		t.Errorf("checkpoints %+v", got)
	}
	if got := must[map[int]projections.Checkpoint](t)(store.Checkpoints(ctx, "y")); len(got) != 0 {
		t.Errorf("checkpoints of another projection: %+v", got)
	}
}

func testRejected(t *testing.T, store projections.Store) {
	ctx := context.Background()
	move := []projections.Move{{Partition: 1, To: projections.Checkpoint{Seq: 1, Sum: "s"}}}
	orphan := projections.Statement{SQL: "INSERT INTO room_participants (room_id, user_id) VALUES (?, ?)", Args: []any{"none", "u"}}
	err := store.Apply(ctx, "x", move, []projections.Statement{insertUser("u"), orphan})
	if !errors.Is(err, projections.ErrRejected) {
		t.Fatalf("a row that refers to nothing: %v", err)
	}
	if got := must[map[int]projections.Checkpoint](t)(store.Checkpoints(ctx, "x")); len(got) != 0 {
		t.Errorf("checkpoint moved: %+v", got)
	}
	if err := store.Apply(ctx, "x", move, []projections.Statement{insertUser("u")}); err != nil {
		t.Errorf("after the rejected batch: %v", err)
	}
}

// checkRevisions compares each stream's revision in the store with the log's.
func checkRevisions(t *testing.T, log *Log, store projections.Store, but events.Stream) {
	t.Helper()
	for s, c := range log.last {
		if s == but {
			continue
		}
		if got := must[uint64](t)(store.Revision(context.Background(), s)); got != c.Last() {
			t.Errorf("%s is at revision %d, the log at %d", s, got, c.Last())
		}
	}
}

func testFollows(t *testing.T, open func(*testing.T) projections.Store) {
	h := history(1, 300)
	store := open(t)
	CatchUp(t, Runner(h.Log, h.Log, store, &Names{}))
	checkRevisions(t, h.Log, store, events.Stream{})
	for range 100 {
		h.Step()
	}
	CatchUp(t, Runner(h.Log, h.Log, store, &Names{})) // from the checkpoint: chat rows would collide if anything came twice
	checkRevisions(t, h.Log, store, events.Stream{})
	if parked := must[[]projections.Parked](t)(store.Parked(context.Background(), projections.Tables)); len(parked) != 0 {
		t.Errorf("parked: %+v", parked)
	}
}

func testWaitFor(t *testing.T, store projections.Store) {
	h := NewHistory(NewLog(3), 2)
	r := Runner(h.Log, h.Log, store, &Names{})
	StartRunner(t, r)
	id := h.NewRoom()
	s := events.Room(id)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reached := make(chan error, 1)
	head := h.Log.last[s].Last()
	go func() { reached <- r.WaitFor(ctx, s, head+3) }()
	if err := r.WaitFor(ctx, s, head); err != nil {
		t.Fatal(err)
	}
	for n := range uint64(3) {
		h.Log.Append(s, h.tick(), "user-1", &events.ElementAddedData{Element: []byte(`{"id":"w"}`)})
		if err := r.WaitFor(ctx, s, head+n+1); err != nil {
			t.Fatal(err)
		}
		if n < 2 && len(reached) > 0 {
			t.Errorf("woken at revision %d, not %d", head+n+1, head+3)
		}
	}
	if err := <-reached; err != nil {
		t.Error(err)
	}
	if got := must[uint64](t)(store.Revision(ctx, s)); got < head+3 {
		t.Errorf("woken at revision %d", got)
	}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if err := r.WaitFor(short, s, head+4); !errors.Is(err, projections.ErrBehind) {
		t.Errorf("beyond the head: %v", err)
	}
}

func testPoison(t *testing.T, open func(*testing.T) projections.Store) {
	victim := events.Room("victim")
	orphan := events.Asset("orphan")
	poisons := map[string]func(h *History) events.Stream{
		"bytes that are no commit": func(h *History) events.Stream { h.Log.AppendRaw(victim, []byte(`{"v":1,"first":`)); return victim },
		"wrong sum": func(h *History) events.Stream {
			rec := h.Log.Append(victim, h.tick(), "user-1", &events.ChatPostedData{Text: Seal("x")})
			b := []byte(string(rec.Payload))
			b[len(b)-3] ^= 1
			h.Log.Replace(rec, b)
			return victim
		},
		"gap": func(h *History) events.Stream {
			rec := h.Log.Append(victim, h.tick(), "user-1", &events.ChatPostedData{Text: Seal("x")})
			next := h.Log.Append(victim, h.tick(), "user-1", &events.ChatPostedData{Text: Seal("y")})
			h.Log.Replace(rec, next.Payload)
			return victim
		},
		"event of another kind": func(h *History) events.Stream {
			h.Log.Append(victim, h.tick(), "user-1", &events.UserDeletedData{})
			return victim
		},
		"rejected by a constraint": func(h *History) events.Stream {
			h.Log.Append(orphan, h.tick(), "user-1", &events.AssetAttachedData{Room: "victim", Revision: 1})
			return orphan
		},
	}
	for name, poison := range poisons {
		t.Run(name, func(t *testing.T) {
			h := history(3, 40)
			h.Log.Append(victim, h.tick(), "user-1", &events.RoomCreatedData{Name: "Victim", Visibility: "public", DefaultRole: "editor", Owner: "user-1"})
			h.Log.Append(victim, h.tick(), "user-1", &events.ChatPostedData{Text: Seal("before")})
			before := h.Log.last[victim].Last()
			bad := poison(h)
			if bad == victim {
				h.Log.Append(victim, h.tick(), "user-1", &events.ChatPostedData{Text: Seal("after")})
			}
			for range 40 {
				h.Step()
			}
			store := open(t)
			CatchUp(t, Runner(h.Log, h.Log, store, &Names{}))
			checkRevisions(t, h.Log, store, bad)
			parked := must[[]projections.Parked](t)(store.Parked(context.Background(), projections.Tables))
			if len(parked) != 1 || parked[0].Stream != bad || parked[0].Reason == "" {
				t.Fatalf("parked: %+v", parked)
			}
			want := uint64(0)
			if bad == victim {
				want = before
			}
			if got := must[uint64](t)(store.Revision(context.Background(), bad)); got != want {
				t.Errorf("%s is at revision %d, not %d", bad, got, want)
			}
		})
	}
}

func streamName(partition int) string { return fmt.Sprint("stream-", partition) }

func testShorter(t *testing.T, store projections.Store) {
	h := history(4, 300)
	CatchUp(t, Runner(h.Log, h.Log, store, &Names{}))
	ctx := context.Background()
	if err := projections.CheckLog(ctx, h.Log, store, projections.Tables, streamName); err != nil {
		t.Fatalf("the whole log: %v", err)
	}
	other := history(5, 300)
	if err := projections.CheckLog(ctx, other.Log, store, projections.Tables, streamName); !errors.Is(err, projections.ErrLogShorter) {
		t.Errorf("another log: %v", err)
	}
	h.Log.Truncate(2, 3)
	err := projections.CheckLog(ctx, h.Log, store, projections.Tables, streamName)
	if !errors.Is(err, projections.ErrLogShorter) {
		t.Fatalf("three commits missing: %v", err)
	}
	if want := "log stream-2 "; !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "3 commits are missing") {
		t.Errorf("error says %q", err)
	}
}

// shaken is a Source that gives records in runs of random length, and partitions in a random order, or all at once.
type shaken struct {
	*Log
	rand  chan *rand.Rand
	gates []chan struct{} // closed when the partition may begin
	after []int           // the partition that begins once this one ended, -1 none
	ends  []uint64
}

// Shake makes one of a log that is complete.
func Shake(log *Log, seed uint64) projections.Source {
	r := rand.New(rand.NewPCG(seed, 11))
	s := &shaken{Log: log, rand: make(chan *rand.Rand, 1), after: make([]int, len(log.parts)), gates: make([]chan struct{}, len(log.parts)), ends: make([]uint64, len(log.parts))}
	previous := -1
	for _, p := range r.Perm(len(log.parts)) {
		s.gates[p], s.after[p], s.ends[p] = make(chan struct{}), -1, uint64(len(log.parts[p]))
		if previous < 0 || r.IntN(2) == 0 {
			close(s.gates[p])
		} else {
			s.after[previous] = p
		}
		previous = p
	}
	s.rand <- r
	return s
}

func (s *shaken) Next(ctx context.Context, p int, after uint64, _, maxBytes int) ([]events.Record, error) {
	select {
	case <-s.gates[p]:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.pass(p, after) // it may have been read before
	r := <-s.rand
	n := 1 + r.IntN(1+r.IntN(60))
	s.rand <- r
	recs, err := s.Log.Next(ctx, p, after, n, maxBytes)
	if err != nil {
		return nil, err
	}
	s.pass(p, recs[len(recs)-1].Seq)
	return recs, nil
}

// pass lets the next partition begin where this one has been read up to its end.
func (s *shaken) pass(p int, at uint64) {
	r := <-s.rand
	defer func() { s.rand <- r }()
	if next := s.after[p]; next >= 0 && at >= s.ends[p] {
		s.after[p] = -1
		close(s.gates[next])
	}
}

func testReproducible(t *testing.T, open func(*testing.T) projections.Store) {
	for seed := uint64(1); seed <= Seeds; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			h := history(seed, 400)
			names := &Names{}
			first := open(t)
			CatchUp(t, Runner(h.Log, h.Log, first, names))
			want := digest(t, first)
			for order := range uint64(3) {
				store := open(t)
				CatchUp(t, Runner(h.Log, Shake(h.Log, seed*10+order), store, names))
				if got := digest(t, store); got != want {
					t.Errorf("order %d: digest %s, not %s", order, got, want)
				}
			}
		})
	}
}
