package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inProcess runs the program in-process, for what needs no server.
func inProcess(args ...string) (string, error) {
	var out bytes.Buffer
	err := run(context.Background(), args, func(string) string { return "" }, &out, &out)
	return out.String(), err
}

func TestHelpNamesEveryCommandAndSetting(t *testing.T) {
	out, err := inProcess("help")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range subcommands() {
		if !strings.Contains(out, c.name) || !strings.Contains(out, c.short) {
			t.Errorf("help does not tell of %s", c.name)
		}
		if c.name == "bench" {
			continue
		}
		own, err := inProcess(c.name, "--help")
		if err != nil || !strings.Contains(own, c.long) || !strings.Contains(own, "-data") {
			t.Errorf("kanvas %s --help: %v\n%s", c.name, err, own)
		}
	}
	if out, err := inProcess("serve", "--help"); err != nil || !strings.Contains(out, "KANVAS_NATS_URL") {
		t.Errorf("serve --help does not name its settings: %v\n%s", err, out)
	}
}

func TestBadUseIsRefused(t *testing.T) {
	for _, args := range [][]string{{"dance"}, {"serve", "now"}, {"serve", "--partitions", "0"}, {"serve", "--dance"}, {"token"}, {"token", "a b"}, {"token", "a", "--ttl", "-1h"},
		{"log"}, {"log", "../x"}, {"log", "dog/x"}} {
		args = append(args, "--data", filepath.Join(t.TempDir(), "d"))
		if out, err := inProcess(args...); err == nil {
			t.Errorf("kanvas %v passed: %s", args, out)
		}
	}
}

// TestTools: every tool works beside a running server and without one, and says the same.
func TestTools(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir, "127.0.0.1:0")
	token := strings.TrimSpace(mustTool(t, "token", "ann", "--name", "Ann Lee", "--data", dir))
	var me struct{ Name string }
	if _, err := httpJSON("GET", "http://"+s.addr+"/v1/me", token, nil, &me); err != nil || me.Name != "Ann Lee" {
		t.Errorf("%+v, %v", me, err)
	}
	base := "http://" + s.addr + "/v1/rooms"
	if _, err := httpJSON("POST", base, token, map[string]any{"id": "tools", "name": "Tools", "visibility": "public"}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	add := map[string]any{"commands": []any{
		map[string]any{"command": "element.add", "data": map[string]any{"element": map[string]any{"id": "a", "type": "note", "text": "x"}}},
		map[string]any{"command": "chat.post", "data": map[string]any{"text": "a secret word: xyzzy"}}}}
	if _, err := httpJSON("POST", base+"/tools/commands", token, add, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	t.Run("a second server refuses", func(t *testing.T) {
		out, err := tool(t, "serve", "--data", dir, "--listen", "127.0.0.1:0")
		if err == nil || !strings.Contains(out, s.addr) || !strings.Contains(out, "pid") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	both := func(t *testing.T) (log string) {
		log = mustTool(t, "log", "tools", "--data", dir)
		if strings.Contains(log, "xyzzy") || !strings.Contains(log, `"element.added"`) {
			t.Errorf("log: %s", log)
		}
		if out := mustTool(t, "verify", "--data", dir); !strings.Contains(out, "sound") {
			t.Error(out)
		}
		if out := mustTool(t, "verify", "tools", "--data", dir); !strings.Contains(out, "sound") {
			t.Error(out)
		}
		if out := mustTool(t, "rebuild", "--data", dir); !strings.Contains(out, "the same rows as before") {
			t.Error(out)
		}
		if out := mustTool(t, "rebuild", "--room", "tools", "--data", dir); !strings.Contains(out, "the same rows as before") {
			t.Error(out)
		}
		if out, err := tool(t, "log", "nothing", "--data", dir); err == nil {
			t.Errorf("log of no room: %s", out)
		}
		if out, err := tool(t, "rebuild", "dreams", "--data", dir); err == nil {
			t.Errorf("rebuild of no projection: %s", out)
		}
		return log
	}
	var with, without string
	t.Run("beside a server", func(t *testing.T) {
		with = both(t)
		if out := mustTool(t, "doctor", "--data", dir); strings.Contains(out, "fail") || !strings.Contains(out, "is running") {
			t.Error(out)
		}
	})
	s.stop()
	t.Run("without one", func(t *testing.T) {
		without = both(t)
		if out := mustTool(t, "doctor", "--data", dir, "--listen", "127.0.0.1:0"); strings.Contains(out, "fail") || !strings.Contains(out, "is not running") {
			t.Error(out)
		}
	})
	if with != without {
		t.Errorf("the log reads differently:\n%s\n%s", with, without)
	}
	if strings.Contains(s.out.String(), token) || strings.Contains(s.out.String(), "xyzzy") {
		t.Error("the server's log holds a token or a body")
	}
	oneDatabase(t, dir)
}

// oneDatabase: exactly one SQLite file below the data directory.
func oneDatabase(t *testing.T, dir string) {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		head := make([]byte, 15)
		if n, _ := f.Read(head); n == 15 && string(head) == "SQLite format 3" {
			found = append(found, p)
		}
		return nil
	})
	if err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
}

// TestLostLogStopsTheStart is promise 6: tables that have seen more than the log holds are no reason to go on.
func TestLostLogStopsTheStart(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir, "127.0.0.1:0")
	token := strings.TrimSpace(mustTool(t, "token", "ann", "--data", dir))
	if _, err := httpJSON("POST", "http://"+s.addr+"/v1/rooms", token, map[string]any{"id": "lost", "name": "Lost", "visibility": "public"}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	if _, err := httpJSON("GET", "http://"+s.addr+"/v1/rooms?min_revision=2", token, nil, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	s.stop()
	if err := os.RemoveAll(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	out, err := tool(t, "serve", "--data", dir, "--listen", "127.0.0.1:0")
	if err == nil || !strings.Contains(out, "missing") || !strings.Contains(out, "KANVAS_") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestMasterKeyLossIsRefused: a lost key file must be restored; a new one would make every name and text unreadable.
func TestMasterKeyLossIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir, "127.0.0.1:0")
	if _, err := httpJSON("POST", "http://"+s.addr+"/v1/guests", "", map[string]any{"name": "Ann"}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	s.stop()
	if err := os.Remove(filepath.Join(dir, "master.key")); err != nil {
		t.Fatal(err)
	}
	if out, err := tool(t, "serve", "--data", dir, "--listen", "127.0.0.1:0"); err == nil {
		t.Fatalf("a server started without the key that its people's texts are sealed with\n%s", out)
	}
}
