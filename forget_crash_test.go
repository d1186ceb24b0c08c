package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// killedAfter runs a tool and kills it with SIGKILL when it has printed so many lines; false where it ended before.
func killedAfter(t *testing.T, lines int, args ...string) (killed bool) {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(pipe)
	n := 0
	for n < lines && sc.Scan() {
		n++
	}
	_ = cmd.Process.Kill() // it may have ended
	return cmd.Wait() != nil && n == lines
}

// copyOf copies a data directory that no server holds, without the sockets.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if out, err := exec.Command("cp", "-a", dir, to).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return to
}

// TestForgetKilledAtEveryStep: killed after any of its steps, forgetting is finished by the next call, and by the next start of a server too.
func TestForgetKilledAtEveryStep(t *testing.T) {
	w := newForgetWorld(t, t.TempDir())
	w.fill()
	w.s.stop()
	whole := w.dir
	for lines, killed := 1, true; killed; lines++ {
		w.dir = copyOf(t, whole)
		killed = killedAfter(t, lines, "forget", "user_ann", "--data", w.dir)
		if lines == 1 && !killed {
			t.Fatal("it was over before it was killed: the test shows nothing")
		}
		if lines%2 == 0 {
			mustTool(t, "forget", "user_ann", "--data", w.dir)
			w.serve()
		} else {
			w.serve()
			until(t, "the server goes on with it", func() bool { return !pending(t, w.dir) })
		}
		w.nothingFound(fmt.Sprintf("an answer, killed after line %d", lines), w.answers())
		if hits := found(t, w.dir, w.words); len(hits) > 0 {
			t.Errorf("killed after line %d: %s", lines, strings.Join(hits, "\n"))
		}
		if out := mustTool(t, "verify", "--data", w.dir); !strings.HasSuffix(out, "sound\n") {
			t.Errorf("killed after line %d: %s", lines, out)
		}
		w.s.stop()
	}
}

// pending reports whether the list names somebody of whom something may be left.
func pending(t *testing.T, dir string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "forgotten"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), `"done":true`) < strings.Count(string(text), `"at":`)
}

// TestAnOlderBackupForgetsAgain: a data directory from before, beside the newest list of forgotten people, forgets them before it serves; without the
// list the keys of before would read everything, so the list is what does it.
func TestAnOlderBackupForgetsAgain(t *testing.T) {
	w := newForgetWorld(t, t.TempDir())
	w.fill()
	w.s.stop()
	backup := copyOf(t, w.dir)
	mustTool(t, "forget", "user_ann", "--data", w.dir)
	list, err := os.ReadFile(filepath.Join(w.dir, "forgotten"))
	if err != nil {
		t.Fatal(err)
	}
	w.dir = copyOf(t, backup)
	w.serve()
	if !strings.Contains(w.answers(), "anns-chat-word") {
		t.Error("the backup holds nothing: the test shows nothing")
	}
	w.s.stop()

	w.dir = backup
	for _, table := range []string{"kanvas.db", "kanvas.db-wal", "kanvas.db-shm"} { // of a time after the log's
		if err := os.Remove(filepath.Join(w.dir, table)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(w.dir, "forgotten"), list, 0o600); err != nil {
		t.Fatal(err)
	}
	w.serve()
	w.nothingFound("an answer", w.answers())
	until(t, "the tables are scrubbed", func() bool { return !pending(t, w.dir) })
	if status, err := httpJSON("GET", w.url("/v1/me"), w.ann, nil, nil); status != 401 || err != nil {
		t.Errorf("their token: %d %v", status, err)
	}
	w.s.stop()
	if hits := found(t, w.dir, w.words); len(hits) > 0 {
		t.Error(strings.Join(hits, "\n"))
	}
	if out := mustTool(t, "verify", "--data", w.dir); !strings.HasSuffix(out, "sound\n") {
		t.Error(out)
	}
}

// TestRotateKilledAtEveryStep: killed after any of its steps, everything can be read, and the next call finishes.
func TestRotateKilledAtEveryStep(t *testing.T) {
	w := newForgetWorld(t, t.TempDir())
	w.fill()
	w.s.stop()
	before, err := os.ReadFile(filepath.Join(w.dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	whole := w.dir
	for lines, killed := 1, true; killed; lines++ {
		w.dir = copyOf(t, whole)
		killed = killedAfter(t, lines, "keys", "rotate", "--data", w.dir)
		if lines == 1 && !killed {
			t.Fatal("it was over before it was killed: the test shows nothing")
		}
		w.serve()
		if !strings.Contains(w.answers(), "anns-chat-word") {
			t.Errorf("killed after line %d: nothing can be read", lines)
		}
		if out := mustTool(t, "keys", "rotate", "--data", w.dir); !strings.Contains(out, "rotated") { // in the running server
			t.Error(out)
		}
		if !strings.Contains(w.answers(), "anns-chat-word") {
			t.Errorf("killed after line %d and rotated: nothing can be read", lines)
		}
		w.s.stop()
		after, err := os.ReadFile(filepath.Join(w.dir, "master.key"))
		if err != nil || string(after) == string(before) {
			t.Errorf("the master key is the same: %v", err)
		}
		if err := os.Remove(filepath.Join(w.dir, "master.key.old")); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(w.dir, "master.key.next")); !os.IsNotExist(err) {
			t.Errorf("a next key is left: %v", err)
		}
		w.serve()
		if !strings.Contains(w.answers(), "anns-chat-word") {
			t.Errorf("killed after line %d: nothing can be read with the new key alone", lines)
		}
		w.s.stop()
	}
}

// TestKeysAreBackedUpApart: a log whose keys were lost is readable again with the newest backup of the keys, but for who was forgotten before that
// backup or since.
func TestKeysAreBackedUpApart(t *testing.T) {
	w := newForgetWorld(t, t.TempDir())
	w.fill()
	file := filepath.Join(t.TempDir(), "keys")
	env := []string{"KANVAS_KEYS_PASSPHRASE=correct horse battery"}
	if out, err := tool(t, "keys", "backup", file, "--data", w.dir); err == nil || !strings.Contains(out, "KANVAS_KEYS_PASSPHRASE") {
		t.Errorf("without a passphrase: %v %s", err, out)
	}
	if out, err := toolWith(t, env, "keys", "backup", file, "--data", w.dir); err != nil || !strings.Contains(out, "people are in") { // beside the server
		t.Fatalf("%v %s", err, out)
	}
	if out, err := toolWith(t, env, "keys", "restore", file, "--data", w.dir); err == nil || !strings.Contains(out, "serving on") {
		t.Errorf("restored below a running server: %v %s", err, out)
	}
	w.s.stop()
	whole := w.dir
	lose := func() {
		w.dir = copyOf(t, whole)
		lost, err := filepath.Glob(filepath.Join(w.dir, "log", "*", "*", "streams", "KV_KANVAS_KEYS"))
		if err != nil || len(lost) != 1 {
			t.Fatalf("%q %v", lost, err)
		}
		if err := os.RemoveAll(lost[0]); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(w.dir, "master.key")); err != nil {
			t.Fatal(err)
		}
	}
	lose()
	if out, err := toolWith(t, []string{"KANVAS_KEYS_PASSPHRASE=another passphrase"}, "keys", "restore", file, "--data", w.dir); err == nil {
		t.Errorf("opened by another passphrase: %s", out)
	}
	if out, err := toolWith(t, env, "keys", "restore", file, "--data", w.dir); err != nil || !strings.Contains(out, "keys restored, 0 were there, 0 people are forgotten") {
		t.Errorf("%v %s", err, out)
	}
	w.serve()
	if told := w.answers(); !strings.Contains(told, "anns-chat-word") || !strings.Contains(told, "Guestabelle") {
		t.Error("nothing can be read")
	}
	w.s.stop()

	mustTool(t, "forget", "user_ann", "--data", whole)
	newer := filepath.Join(t.TempDir(), "newer")
	if out, err := toolWith(t, env, "keys", "backup", newer, "--data", whole); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for name, backup := range map[string]string{"a backup of before, and the list": file, "a backup of after": newer} {
		list := filepath.Join(whole, "forgotten")
		w.dir = whole
		lose()
		if backup == newer { // which says it too
			if err := os.Remove(filepath.Join(w.dir, "forgotten")); err != nil {
				t.Fatal(err)
			}
		} else if _, err := os.Stat(list); err != nil {
			t.Fatal(err)
		}
		if out, err := toolWith(t, env, "keys", "restore", backup, "--data", w.dir); err != nil || !strings.Contains(out, "2 people are forgotten") {
			t.Errorf("%s: %v %s", name, err, out)
		}
		w.serve()
		told := w.answers()
		w.nothingFound(name, told)
		if !strings.Contains(told, "Bob Staywell") {
			t.Errorf("%s: bob is gone too", name)
		}
		w.s.stop()
	}
}
