package pictures

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/commands/media"
)

// asWorker is what the test's program is started with to be the process of a Worker.
const asWorker = "be-the-worker"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == asWorker {
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func newWorker(t testing.TB) *Worker {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := NewWorker([]string{exe, asWorker}, nil)
	t.Cleanup(w.Close)
	return w
}

func jpegOf(w, h int) *media.Found {
	return &media.Found{Type: media.Type{ContentType: "image/jpeg"}, Width: w, Height: h, Orientation: 1}
}

func TestTheProcessGivesWhatIsMadeHere(t *testing.T) {
	data, w := photograph(t, 1300, 900), newWorker(t)
	for range 3 {
		want, tiny, err := Shrinker{}.Shrink(t.Context(), bytes.NewReader(data), int64(len(data)), jpegOf(1300, 900), []int{1024, 256})
		if err != nil {
			t.Fatal(err)
		}
		got, placeholder, err := w.Shrink(t.Context(), bytes.NewReader(data), int64(len(data)), jpegOf(1300, 900), []int{1024, 256})
		if err != nil || len(got) != len(want) || placeholder != tiny {
			t.Fatalf("%d of %d: %v", len(got), len(want), err)
		}
		for i := range got {
			if !bytes.Equal(got[i].Data, want[i].Data) || got[i].Width != want[i].Width || got[i].Size != want[i].Size {
				t.Errorf("size %d is another picture", want[i].Size)
			}
		}
		bad := append(bytes.Clone(data[:len(data)/2]), make([]byte, len(data)/2)...)
		if _, _, err := w.Shrink(t.Context(), bytes.NewReader(bad), int64(len(bad)), jpegOf(1300, 900), []int{256}); !errors.Is(err, commands.ErrNotShrunk) {
			t.Errorf("a broken picture: %v", err)
		}
	}
}

// TestTheProcessIsModest: all of its threads run where nobody else wants to, and it has nothing of the environment.
func TestTheProcessIsModest(t *testing.T) {
	t.Setenv("A_SECRET", "not for it")
	data, w := photograph(t, 64, 64), newWorker(t)
	if _, _, err := w.Shrink(t.Context(), bytes.NewReader(data), int64(len(data)), jpegOf(64, 64), []int{32}); err != nil {
		t.Fatal(err)
	}
	if a, err := unix.SchedGetAttr(0, 0); err != nil || a.Policy == unix.SCHED_IDLE {
		t.Errorf("this one: %+v, %v", a, err)
	}
	pid := w.child.cmd.Process.Pid
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		if a, err := unix.SchedGetAttr(tid, 0); err != nil || a.Policy != unix.SCHED_IDLE {
			t.Errorf("thread %d: %+v, %v", tid, a, err)
		}
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || bytes.Contains(env, []byte("A_SECRET")) {
		t.Errorf("%q %v", env, err)
	}
}

func TestAProcessThatDiesIsReplaced(t *testing.T) {
	data, w := photograph(t, 300, 200), newWorker(t)
	good := func() {
		t.Helper()
		if list, _, err := w.Shrink(t.Context(), bytes.NewReader(data), int64(len(data)), jpegOf(300, 200), []int{256}); err != nil || len(list) != 1 {
			t.Fatalf("%d: %v", len(list), err)
		}
	}
	good()
	died := io.MultiReader(bytes.NewReader(data[:100]), readerFunc(func([]byte) (int, error) {
		if err := w.child.cmd.Process.Kill(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}), bytes.NewReader(data[100:]))
	if _, _, err := w.Shrink(t.Context(), died, int64(len(data)), jpegOf(300, 200), []int{256}); !errors.Is(err, commands.ErrShrinkerDied) {
		t.Errorf("killed: %v", err)
	}
	good()
	away := errors.New("the store is away")
	if _, _, err := w.Shrink(t.Context(), io.MultiReader(bytes.NewReader(data[:100]), iotest.ErrReader(away)), int64(len(data)), jpegOf(300, 200), []int{256}); !errors.Is(err, away) || errors.Is(err, commands.ErrShrinkerDied) {
		t.Errorf("the store is away: %v", err)
	}
	good()
	if _, _, err := w.Shrink(t.Context(), bytes.NewReader(data[:100]), int64(len(data)), jpegOf(300, 200), []int{256}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stuck := io.MultiReader(bytes.NewReader(data[:100]), readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF }), bytes.NewReader(data[100:]))
	if _, _, err := w.Shrink(ctx, stuck, int64(len(data)), jpegOf(300, 200), []int{256}); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	good()
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestManyAskAtOnce(t *testing.T) {
	data, w := photograph(t, 300, 200), newWorker(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if list, _, err := w.Shrink(t.Context(), bytes.NewReader(data), int64(len(data)), jpegOf(300, 200), []int{256}); err != nil || len(list) != 1 {
				t.Errorf("%d: %v", len(list), err)
			}
		})
	}
	all.Wait()
	pid := w.child.cmd.Process.Pid
	w.Close()
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("the process is still there: %v", err)
	}
}

func TestAProgramThatIsNoWorker(t *testing.T) {
	for name, command := range map[string][]string{"missing": {"/nowhere/kanvas"}, "another": {"/bin/true"}} {
		w := NewWorker(command, nil)
		if _, _, err := w.Shrink(t.Context(), strings.NewReader("x"), 1, jpegOf(9, 9), []int{256}); err == nil || errors.Is(err, commands.ErrNotShrunk) {
			t.Errorf("%s: %v", name, err)
		}
		w.Close()
	}
	if _, err := exec.LookPath("/bin/true"); err != nil {
		t.Fatal(err)
	}
}
