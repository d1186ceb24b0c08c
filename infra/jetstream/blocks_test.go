package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

// killedStore is a store whose process was killed after some acks, and its largest file of records.
func killedStore(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	p := startProcess(t, "append", "KANVAS_TEST_DIR="+dir)
	for range 300 {
		if !p.out.Scan() {
			t.Fatal("the child ended by itself")
		}
	}
	p.kill()
	for p.out.Scan() {
	}
	_ = p.cmd.Wait() // it was killed
	files, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "*", "msgs", "*.blk"))
	if err != nil {
		t.Fatal(err)
	}
	most := int64(0)
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if st.Size() > most {
			file, most = f, st.Size()
		}
	}
	if most < 10_000 {
		t.Fatalf("%v are too small", files)
	}
	return dir, file
}

func commitsIn(t *testing.T, dir string, cut bool) (n int) {
	t.Helper()
	s, err := jetstream.Open(context.Background(), jetstream.Config{Dir: dir, Partitions: 3, Logger: quiet(), CutDamage: cut})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	for room := range crashRooms {
		n += len(logtest.ReadAll(t, s, crashRoom(room), 0))
	}
	return n
}

// TestDamageBehindWhichRecordsLieStopsTheStart: after a kill, a byte that is wrong in the middle of the log stops the start, and nothing is cut off; put
// right again, everything is there. A torn end does not, and where the settings say so nothing does.
func TestDamageBehindWhichRecordsLieStopsTheStart(t *testing.T) {
	dir, file := killedStore(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	body := bytes.Index(whole[len(whole)/2:], []byte("xxxxxxxx")) + len(whole)/2
	for name, at := range map[string]int{"the first record's length": 0, "its sequence": 5, "a subject": bytes.Index(whole, []byte("kanvas.")), "what was said": body} {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x55
		write(damaged)
		s, err := jetstream.Open(context.Background(), jetstream.Config{Dir: dir, Partitions: 3, Logger: quiet()})
		if err == nil {
			closeStore(t, s)
			t.Fatalf("%s is wrong, and the log is opened", name)
		}
		if !errors.Is(err, jetstream.ErrDamaged) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "KANVAS_CUT_DAMAGED_LOG") || strings.Contains(err.Error(), "; 0 that can") {
			t.Errorf("%s: %v", name, err)
		}
		after, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(after, damaged) {
			t.Fatalf("%s: %d bytes of %d are left: %v", name, len(after), len(damaged), err)
		}
	}
	write(whole)
	all := commitsIn(t, dir, false)
	if all < 300 {
		t.Fatalf("%d commits", all)
	}
	if _, err := os.Stat(filepath.Join(dir, "open")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a store that was closed is marked as open: %v", err)
	}
}

func TestATornEndStopsNothing(t *testing.T) {
	dir, file := killedStore(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, torn := range map[string][]byte{
		"half a record": append(bytes.Clone(whole), whole[:40]...), "a head": append(bytes.Clone(whole), whole[:22]...), "zeros": append(bytes.Clone(whole), make([]byte, 4096)...),
	} {
		at := filepath.Join(t.TempDir(), "log")
		if err := os.CopyFS(at, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(strings.Replace(file, dir, at, 1), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		if n := commitsIn(t, at, false); n < 300 {
			t.Errorf("%s: %d commits", name, n)
		}
	}
}

func TestDamageIsCutOffWhereTheSettingsSaySo(t *testing.T) {
	dir, file := killedStore(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)/2] ^= 0x55
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := commitsIn(t, dir, true); n == 0 {
		t.Error("nothing is left")
	} else {
		t.Log(fmt.Sprint(n, " commits are left"))
	}
	commitsIn(t, dir, false) // it is sound again
}
