package d1

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare/faulttest"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/projections"
	"github.com/infinite-kanvas/kanvas/projections/projectionstest"
)

// once is a Plan that spoils the nth write (from 1), and nothing else.
func once(n int, f faulttest.Fault) faulttest.Plan {
	writes := make(chan int, 1)
	writes <- 0
	return func(r *http.Request) faulttest.Fault {
		if r.ContentLength < 250 { // reads are short
			return faulttest.None
		}
		w := <-writes + 1
		writes <- w
		if w == n {
			return f
		}
		return faulttest.None
	}
}

// insertOnce can't be applied twice.
func insertOnce(id string) []projections.Statement {
	return []projections.Statement{{SQL: "INSERT INTO users (id, email, name, created_at) VALUES (?, '', ?, NULL)", Args: []any{id, strings.Repeat("a long name ", 20)}}}
}

func move(from, to uint64) []projections.Move {
	return []projections.Move{{Partition: 3, From: projections.Checkpoint{Seq: from, Sum: sumAt(from)}, To: projections.Checkpoint{Seq: to, Sum: sumAt(to)}}}
}

func sumAt(seq uint64) string { return strings.Repeat("s", int(seq)) }

// TestLostAnswers: whatever happens to the call, the batch is applied once at most, and its error says whether it was.
func TestLostAnswers(t *testing.T) {
	for fault, applied := range map[faulttest.Fault]bool{
		faulttest.CutAfter: true, faulttest.FailAfter: true, faulttest.PageAfter: true, faulttest.Malformed: true,
		faulttest.CutBefore: false, faulttest.FailBefore: false, faulttest.PageBefore: false, faulttest.Limited: false,
	} {
		t.Run(string(fault), func(t *testing.T) {
			e := edgetest.Shared(t)
			proxy := faulttest.Start(t, e.URL)
			s := on(t, e, proxy.URL+"/client/v4")
			proxy.Use(once(1, fault))
			err := s.Apply(t.Context(), "x", move(0, 2), insertOnce("u"))
			if n, _ := proxy.Faults(); n != 1 {
				t.Fatalf("%d calls were spoilt", n)
			}
			if (err == nil) != applied || errors.Is(err, projections.ErrCheckpoint) || errors.Is(err, projections.ErrRejected) {
				t.Fatalf("error %v", err)
			}
			// The same again: it is there, or it is applied now.
			if err := s.Apply(t.Context(), "x", move(0, 2), insertOnce("u")); err != nil {
				t.Fatalf("again: %v", err)
			}
			if at, err := s.Checkpoints(t.Context(), "x"); err != nil || at[3].Seq != 2 || at[3].Sum != "ss" {
				t.Errorf("at %+v %v", at, err)
			}
			if err := s.Apply(t.Context(), "x", move(2, 5), insertOnce("v")); err != nil {
				t.Errorf("the next: %v", err)
			}
		})
	}
}

// TestABatchThatArrivesLate: it was given up and sent again with more; whichever comes first counts, and the other one comes to nothing.
func TestABatchThatArrivesLate(t *testing.T) {
	e := edgetest.Shared(t)
	proxy := faulttest.Start(t, e.URL)
	s := on(t, e, proxy.URL+"/client/v4")
	proxy.Use(once(1, faulttest.Late))
	if err := s.Apply(t.Context(), "x", move(0, 2), insertOnce("u")); err == nil {
		t.Log("it arrived before the checkpoint was read")
	}
	err := s.Apply(t.Context(), "x", move(0, 3), append(insertOnce("u"), insertOnce("w")...))
	proxy.Settle()
	at, cerr := s.Checkpoints(t.Context(), "x")
	if cerr != nil {
		t.Fatal(cerr)
	}
	switch {
	case err == nil && at[3].Seq == 3: // the second came first
	case errors.Is(err, projections.ErrCheckpoint) && at[3].Seq == 2: // the late one came first
	default:
		t.Errorf("%v, at %+v", err, at)
	}
}

// TestAnotherNodeMovedOn: the loser is told so, also where its answer was lost.
func TestAnotherNodeMovedOn(t *testing.T) {
	e := edgetest.Shared(t)
	proxy := faulttest.Start(t, e.URL)
	one, two := on(t, e, e.Gateway()), on(t, e, proxy.URL+"/client/v4")
	if err := one.Apply(t.Context(), "x", move(0, 2), insertOnce("u")); err != nil {
		t.Fatal(err)
	}
	if err := two.Apply(t.Context(), "x", move(0, 4), insertOnce("v")); !errors.Is(err, projections.ErrCheckpoint) {
		t.Errorf("%v", err)
	}
	proxy.Use(once(1, faulttest.CutAfter))
	if err := two.Apply(t.Context(), "x", move(0, 4), insertOnce("v")); !errors.Is(err, projections.ErrCheckpoint) {
		t.Errorf("answer lost: %v", err)
	}
	if n := testutil.ToFloat64(two.metrics.outcomes.WithLabelValues("moved")); n != 1 {
		t.Errorf("%v outcomes are said to have been another node's", n)
	}
	if rows := e.Query(t, "SELECT id FROM users"); len(rows) != 1 {
		t.Errorf("users: %v", rows)
	}
}

// TestManyPartitions: more moves than fit into one statement.
func TestManyPartitions(t *testing.T) {
	s := open(t)
	var moves []projections.Move
	for p := range 64 {
		moves = append(moves, projections.Move{Partition: p, To: projections.Checkpoint{Seq: uint64(p + 1), Sum: "s", At: 1}})
	}
	for range 2 { // the second is known to be there
		if err := s.Apply(t.Context(), "x", moves, nil); err != nil {
			t.Fatal(err)
		}
	}
	moves[40].To.Seq = 99
	if err := s.Apply(t.Context(), "x", moves, nil); !errors.Is(err, projections.ErrCheckpoint) {
		t.Errorf("%v", err)
	}
	if at, err := s.Checkpoints(t.Context(), "x"); err != nil || len(at) != 64 || at[40].Seq != 41 {
		t.Errorf("%+v %v", at, err)
	}
}

// TestRebuildWithLostAnswers: a shadow is made and swapped although a third of the calls go wrong.
func TestRebuildWithLostAnswers(t *testing.T) {
	e := edgetest.Shared(t)
	proxy := faulttest.Start(t, e.URL)
	s := on(t, e, proxy.URL+"/client/v4")
	h := projectionstest.NewHistory(projectionstest.NewLog(5), 12)
	for range 200 {
		h.Step()
	}
	r := projectionstest.Runner(h.Log, h.Log, s, &projectionstest.Names{})
	projectionstest.CatchUp(t, r)
	want := sum(t, s, "")
	for _, f := range []faulttest.Fault{faulttest.CutBefore, faulttest.CutAfter, faulttest.Malformed, faulttest.PageAfter} {
		n := 0
		proxy.Use(func(*http.Request) faulttest.Fault {
			if n++; n%3 == 0 {
				return f
			}
			return faulttest.None
		})
		res, err := r.Rebuild(t.Context(), "")
		if err != nil || !res.Equal {
			t.Errorf("%s: %+v %v", f, res, err)
		}
		proxy.Use(nil)
		if got := sum(t, s, ""); got != want {
			t.Errorf("%s: digest %s, not %s", f, got, want)
		}
	}
}

// TestTwoNodes: of two projectors of one log one applies, the other stands by, and takes over when the first is gone.
func TestTwoNodes(t *testing.T) {
	e := edgetest.Shared(t)
	h := projectionstest.NewHistory(projectionstest.NewLog(3), 13)
	node := func() (*projections.Runner, func()) {
		s := on(t, e, e.Gateway())
		r := projections.NewRunner(projections.Config{Name: "d1", Source: h.Log, Streams: h.Log, Store: s, Canvases: h.Log, Unsealer: &projectionstest.Names{}, Linger: time.Millisecond, Standby: 50 * time.Millisecond})
		return r, projectionstest.StartRunner(t, r)
	}
	a, stopA := node()
	b, stopB := node()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	until(ctx, t, "one of them stands by", func() bool {
		h.Step()
		return a.Status().Standby != b.Status().Standby
	})
	standing, stop := b, stopA
	if a.Status().Standby {
		standing, stop = a, stopB
	}
	stop()
	for range 50 {
		h.Step()
	}
	until(ctx, t, "the other one takes over", func() bool { return !standing.Status().Standby })
	if err := standing.WaitHead(ctx); err != nil {
		t.Fatal(err)
	}
	here := local(t)
	projectionstest.CatchUp(t, projectionstest.Runner(h.Log, h.Log, here, &projectionstest.Names{}))
	if x, y := sum(t, on(t, e, e.Gateway()), ""), sum(t, here, ""); x != y {
		t.Errorf("digest %s in D1, %s in SQLite", x, y)
	}
}

// moving is a store whose tables another node moves on whenever they are about to be digested.
type moving struct {
	projections.Shadows
	move func()
}

func (m *moving) Digest(ctx context.Context, shadow bool, room string) (string, error) {
	if !shadow {
		m.move()
	}
	return m.Shadows.Digest(ctx, shadow, room)
}

// TestVerifyWhileAnotherNodeApplies: tables that move are compared again, and never called wrong for that.
func TestVerifyWhileAnotherNodeApplies(t *testing.T) {
	e := edgetest.Shared(t)
	h := projectionstest.NewHistory(projectionstest.NewLog(3), 14)
	other := projectionstest.Runner(h.Log, h.Log, on(t, e, e.Gateway()), &projectionstest.Names{})
	times := 0
	s := &moving{Shadows: on(t, e, e.Gateway()), move: func() {
		if times--; times < 0 {
			return
		}
		for range 20 {
			h.Step()
		}
		projectionstest.CatchUp(t, other)
	}}
	for range 50 {
		h.Step()
	}
	projectionstest.CatchUp(t, other)
	r := projections.NewRunner(projections.Config{Name: "d1", Source: h.Log, Streams: h.Log, Store: s, Canvases: h.Log, Unsealer: &projectionstest.Names{},
		Scratch: func(context.Context) (projections.Shadows, func() error, error) {
			return local(t), func() error { return nil }, nil
		}})
	times = 2
	if v, err := r.Verify(t.Context(), ""); err != nil || !v.OK() {
		t.Errorf("moved twice: %+v %v", v, err)
	}
	times = 100
	if v, err := r.Verify(t.Context(), ""); !errors.Is(err, projections.ErrCheckpoint) {
		t.Errorf("moved all the time: %+v %v", v, err)
	}
}

// TestLimits: what is more than a call takes is split at commits, each part with its checkpoint.
func TestLimits(t *testing.T) {
	s := &widest{Shadows: open(t)}
	log := projectionstest.Edits(3000, 1)
	r := projections.NewRunner(projections.Config{Name: "d1", Source: log, Streams: log, Store: s, Canvases: log, Unsealer: &projectionstest.Names{}, Limits: projections.Limits{Statements: 8, Bytes: 20_000}})
	projectionstest.CatchUp(t, r)
	here := local(t)
	projectionstest.CatchUp(t, projectionstest.Runner(log, log, here, &projectionstest.Names{}))
	if a, b := sum(t, s, ""), sum(t, here, ""); a != b {
		t.Errorf("digest %s in D1, %s in SQLite", a, b)
	}
	if s.most > 8 || s.most < 4 {
		t.Errorf("a batch of %d statements", s.most)
	}
}

// widest notes the most statements of a batch, and where batches moved the checkpoints.
type widest struct {
	projections.Shadows
	most int

	mu    sync.Mutex
	moved map[int]uint64
}

func (w *widest) Apply(ctx context.Context, projection string, moves []projections.Move, statements []projections.Statement) error {
	w.most = max(w.most, len(statements))
	err := w.Shadows.Apply(ctx, projection, moves, statements)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.moved == nil {
			w.moved = map[int]uint64{}
		}
		for _, m := range moves {
			w.moved[m.Partition] = m.To.Seq
		}
	}
	return err
}

func (w *widest) at(partition int) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.moved[partition]
}
