package d1

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/cloudflare/faulttest"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/projections"
	"github.com/infinite-kanvas/kanvas/projections/projectionstest"
)

// audit makes the database note each move of a checkpoint and of a room's revision, so that a batch applied twice would show.
var audit = []string{
	"CREATE TABLE audit (what TEXT, was INTEGER, now INTEGER)",
	`CREATE TRIGGER audit_first AFTER INSERT ON projection_checkpoints WHEN new.projection = 'tables' BEGIN
 INSERT INTO audit VALUES ('partition ' || new.partition, 0, new.seq); END`,
	`CREATE TRIGGER audit_next AFTER UPDATE ON projection_checkpoints WHEN new.projection = 'tables' BEGIN
 INSERT INTO audit VALUES ('partition ' || new.partition, old.seq, new.seq); END`,
	`CREATE TRIGGER audit_rooms AFTER UPDATE OF revision ON rooms BEGIN
 INSERT INTO audit VALUES ('room ' || new.id, old.revision, new.revision); END`,
	`CREATE TRIGGER audit_chat AFTER INSERT ON chat_messages BEGIN
 INSERT INTO audit VALUES ('chat ' || new.room_id, new.revision - 1, new.revision); END`,
}

// checkAudit: each partition went on from where it was, and no row was written twice.
func checkAudit(t *testing.T, e *edgetest.Worker) {
	t.Helper()
	at, moves := map[string]float64{}, 0
	for _, row := range e.Query(t, "SELECT what, was, now FROM audit ORDER BY rowid") {
		what, was, now := row["what"].(string), row["was"].(float64), row["now"].(float64)
		moves++
		switch {
		case now <= was || now <= at[what]:
			t.Errorf("%s went from %v to %v, and had been at %v", what, was, now, at[what])
		case what[0] == 'p' && was != at[what]:
			t.Errorf("%s went on from %v, and had been at %v", what, was, at[what])
		}
		at[what] = now
	}
	if moves < 10 {
		t.Errorf("only %d moves were noted", moves)
	}
}

const faultRooms = 10

// TestFaults: while everything that can go wrong between here and D1 does, rooms are edited and every edit is answered; afterwards D1 holds
// what the local tables hold and what a rebuild gives, and no statement was applied twice. KANVAS_FAULTS says how many faults.
func TestFaults(t *testing.T) {
	want := number(t, "KANVAS_FAULTS", 100)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(want)*time.Second)
	defer cancel()
	e := edgetest.Shared(t)
	for _, sql := range audit {
		e.Query(t, sql)
	}
	w := newWorld(t)
	proxy := faulttest.Start(t, e.URL)
	remote := w.store(e, proxy.URL+"/client/v4", cloudflare.Config{Timeout: 400 * time.Millisecond})
	here, there := w.runner(w.local), w.runner(remote, func(c *projections.Config) { c.Name, c.Linger = "d1", 10*time.Millisecond })
	projectionstest.StartRunner(t, here)
	projectionstest.StartRunner(t, there)
	for i := range faultRooms {
		if err := w.create(ctx, fmt.Sprint("room", i), i); err != nil {
			t.Fatal(err)
		}
	}
	proxy.Use(faulttest.Random(uint64(number(t, "KANVAS_FAULTS_SEED", 1)), 2))
	edits := w.editWhile(ctx, faultRooms, 100, func() bool { n, _ := proxy.Faults(); return n < want })
	total, by := proxy.Faults()
	proxy.Use(nil)
	proxy.Settle()
	if err := there.WaitHead(ctx); err != nil {
		t.Fatalf("D1 does not catch up: %v, %+v", err, there.Status())
	}
	if err := here.WaitHead(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d faults %v in %d calls, %d edits", total, by, proxy.Calls(), edits)
	for _, f := range faulttest.All() {
		if by[f] == 0 {
			t.Errorf("no call was spoilt by %q", f)
		}
	}
	if a, b := sum(t, remote, ""), sum(t, w.local, ""); a != b {
		t.Errorf("digest %s in D1, %s in SQLite", a, b)
	}
	checkAudit(t, e)
	if res, err := there.Rebuild(ctx, ""); err != nil || !res.Equal || len(res.Parked) > 0 {
		t.Errorf("rebuild: %+v %v", res, err)
	}
	for _, resolved := range []string{"applied", "not_applied"} {
		n := testutil.ToFloat64(remote.metrics.outcomes.WithLabelValues(resolved))
		if t.Logf("%v batches without an answer: %s", n, resolved); n == 0 {
			t.Errorf("no batch whose answer was lost turned out as %s", resolved)
		}
	}
}

// editWhile edits rooms, all at once and perSecond together, while more says so; every edit must succeed. It returns how many there were.
func (w *world) editWhile(ctx context.Context, rooms, perSecond int, more func() bool) int {
	w.t.Helper()
	pace := rate.NewLimiter(rate.Limit(perSecond), 1)
	var g errgroup.Group
	counts := make([]int, rooms)
	for i := range rooms {
		g.Go(func() error {
			r := rand.New(rand.NewPCG(uint64(i), 8))
			for ; more(); counts[i]++ {
				if err := pace.Wait(ctx); err != nil {
					return err
				}
				if err := w.edit(ctx, fmt.Sprint("room", i), counts[i], r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		w.t.Fatal(err)
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}
