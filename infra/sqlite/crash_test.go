package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/projections"
	"github.com/infinite-kanvas/kanvas/projections/projectionstest"
)

// crashSeed makes the same log in parent and children.
const crashSeed = 21

func crashLog() *projectionstest.Log {
	h := projectionstest.NewHistory(projectionstest.NewLog(4), crashSeed)
	for range 250 {
		h.Step()
	}
	return h.Log
}

// TestCrashChild is no test of its own: it is the process that TestCrashAnywhere kills. It follows the log until it is killed, by itself
// and without any warning, before the statement whose number it is given; 0 is never.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv("KANVAS_TEST_CRASH_DIR")
	if dir == "" {
		t.Skip("run by TestCrashAnywhere")
	}
	after, err := strconv.Atoi(os.Getenv("KANVAS_TEST_CRASH_AFTER"))
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	statements := 0
	s.beforeExec = func(int) error {
		if statements++; statements == after {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	log := crashLog()
	r := projections.NewRunner(projections.Config{Source: projectionstest.Shake(log, uint64(after)), Streams: log, Store: s, Canvases: log, Unsealer: &projectionstest.Names{}, Linger: -1, Batch: 1})
	projectionstest.CatchUp(t, r)
	if os.Getenv("KANVAS_TEST_CRASH_REBUILD") != "" {
		if _, err := r.Rebuild(context.Background(), ""); err != nil {
			t.Fatal(err)
		}
	}
}

// child runs TestCrashChild and says whether it came to its end.
func child(t *testing.T, dir string, after int, rebuild bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCrashChild$")
	cmd.Env = append(os.Environ(), "KANVAS_TEST_CRASH_DIR="+dir, fmt.Sprintf("KANVAS_TEST_CRASH_AFTER=%d", after))
	if rebuild {
		cmd.Env = append(cmd.Env, "KANVAS_TEST_CRASH_REBUILD=1")
	}
	out, err := cmd.CombinedOutput()
	if err == nil {
		return true
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("child failed by itself: %v\n%s", err, out)
	}
	return false
}

// TestCrashAnywhere: a projector that is killed again and again, each time before a random statement, and started again, ends with the
// rows of one that never was, and at each of its deaths the rows are those of its checkpoint.
func TestCrashAnywhere(t *testing.T) {
	log := crashLog()
	sound := open(t, t.TempDir())
	projectionstest.CatchUp(t, projectionstest.Runner(log, log, sound, &projectionstest.Names{}))
	want, err := sound.Digest(context.Background(), false, "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(crashSeed, 3))
	deaths := 0
	for !child(t, dir, 1+random.IntN(60), false) {
		deaths++
		checkAtCheckpoint(t, dir, log)
	}
	if deaths < 3 {
		t.Errorf("only %d deaths: nothing was tried", deaths)
	}
	for range 4 { // in a rebuild, too: the live rows stay whole, or are exchanged as a whole
		child(t, dir, 1+random.IntN(1000), true)
		checkAtCheckpoint(t, dir, log)
	}
	if !child(t, dir, 0, true) {
		t.Fatal("killed although nobody asked")
	}
	end := open(t, dir)
	if got, err := end.Digest(context.Background(), false, ""); err != nil || got != want {
		t.Errorf("digest %s, not %s: %v", got, want, err)
	}
}

func checkAtCheckpoint(t *testing.T, dir string, log *projectionstest.Log) {
	t.Helper()
	s, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	v, err := projectionstest.Runner(log, log, s, &projectionstest.Names{}).Verify(context.Background(), "")
	if err != nil || !v.OK() {
		t.Fatalf("after a crash: %+v %v", v, err)
	}
}
