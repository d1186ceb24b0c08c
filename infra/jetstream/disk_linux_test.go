package jetstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	kjs "github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

// TestStoreLimit: a store that is full is read-only, readable, and goes on when there is room again.
func TestStoreLimit(t *testing.T) {
	s := open(t, kjs.Config{Dir: t.TempDir(), MaxStore: 8 << 20, Partitions: 2, Logger: quiet()})
	ctx := logtest.Context(t)
	filler, err := s.JetStream().CreateStream(ctx, jetstream.StreamConfig{Name: "filler", Subjects: []string{"filler"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.JetStream().Publish(ctx, "filler", make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
	st := logtest.NewRoom()
	payload := bytes.Repeat([]byte("k"), 256<<10)
	var after uint64
	n := 0
	for ; n < 100; n++ {
		var seq uint64
		if seq, err = s.Append(ctx, st, after, payload); err != nil {
			break
		}
		after = seq
	}
	if !errors.Is(err, commands.ErrLogReadOnly) || n == 0 {
		t.Fatalf("append %d to a full store: %v", n, err)
	}
	if got := len(logtest.ReadAll(t, s, st, 0)); got != n {
		t.Errorf("%d commits in the full store, %d were acknowledged", got, n)
	}
	if err := filler.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(ctx, st, after, payload); err != nil {
		t.Errorf("append after room was made: %v", err)
	}
}

// smallDisk is a disk of its own with so many bytes.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Skipf("no right to mount a small disk here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestDiskKeepsRoom: below MinFree the log is read-only before a write can fail; it goes on when there is room.
func TestDiskKeepsRoom(t *testing.T) {
	dir := smallDisk(t, 64<<20)
	s := open(t, kjs.Config{Dir: filepath.Join(dir, "log"), MinFree: 16 << 20, Partitions: 2, Logger: quiet()})
	st := logtest.NewRoom()
	seqs := logtest.Fill(t, s, st, 1, logtest.Text)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 50<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return s.Ready() != nil })
	if _, err := s.Append(logtest.Context(t), st, seqs[0], logtest.Text(1)); !errors.Is(err, commands.ErrLogReadOnly) {
		t.Errorf("append to a disk with 14 MiB left: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return s.Ready() == nil })
	if _, err := s.Append(logtest.Context(t), st, seqs[0], logtest.Text(1)); err != nil {
		t.Errorf("append after room was made: %v", err)
	}
}

// TestDiskFull: a write that fails (no room at all) does not hang: its outcome is unknown, later appends are refused, and when
// there is room the server is restarted in place, with everything acknowledged there and watches alive.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t, 48<<20)
	s := open(t, kjs.Config{Dir: filepath.Join(dir, "log"), MinFree: 1, Partitions: 1, Logger: quiet()})
	ctx := logtest.Context(t)
	ballast := filepath.Join(dir, "ballast")
	if out, err := exec.Command("dd", "if=/dev/zero", "of="+ballast, "bs=1M", "count=40").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	st := logtest.NewRoom()
	payload := bytes.Repeat([]byte("k"), 256<<10)
	var after uint64
	var err error
	n := 0
	for ; ; n++ {
		var seq uint64
		if seq, err = s.Append(ctx, st, after, payload); err != nil {
			break
		}
		after = seq
	}
	if !errors.Is(err, commands.ErrUnknownOutcome) && !errors.Is(err, commands.ErrLogReadOnly) {
		t.Fatalf("append to a full disk: %v", err)
	}
	t.Logf("after %d commits: %v", n, err)
	if _, err := s.Append(ctx, st, after, payload); !errors.Is(err, commands.ErrLogReadOnly) {
		t.Errorf("next append: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return s.Ready() == nil })
	recs := logtest.ReadAll(t, s, st, 0)
	if len(recs) != n && len(recs) != n+1 {
		t.Errorf("%d commits, %d were acknowledged", len(recs), n)
	}
	after = recs[len(recs)-1].Seq
	seen := make(chan uint64, 1)
	stop, err := s.Watch(st, func(r events.Record, gap bool) { seen <- r.Seq })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	seq, err := s.Append(ctx, st, after, payload)
	if err != nil {
		t.Fatalf("append after room was made: %v", err)
	}
	if got := <-seen; got != seq {
		t.Errorf("watch saw %d, want %d", got, seq)
	}
}
