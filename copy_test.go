package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/infra/objects"
	"github.com/infinite-kanvas/kanvas/infra/r2/s3test"
)

// toolWith runs a subcommand with settings from the environment.
func toolWith(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var digests = regexp.MustCompile(`objects: digest of the source ([0-9a-f]{64})\nobjects: digest of the copy   ([0-9a-f]{64})\n`)

func copied(t *testing.T, out string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("copy: %v\n%s", err, out)
	}
	if d := digests.FindStringSubmatch(out); d == nil || d[1] != d[2] {
		t.Fatalf("no equal digests in\n%s", out)
	}
}

// TestCopy moves a server to Cloudflare and back: pictures and tables are there afterwards, and the log never moved.
func TestCopy(t *testing.T) {
	t.Setenv("KANVAS_TEST_CLOUDFLARE", "") // says itself what is where
	w, s3, dir := edgetest.Shared(t), s3test.Start(t), t.TempDir()
	env := append(onR2(s3), append(onKV(w), "D1_DATABASE_ID="+w.Database)...)
	s := startServer(t, dir, "127.0.0.1:0")
	ann := guest(t, s)
	ann.room("closed", "private")
	pictures := map[string][]byte{}
	for i := range 5 {
		id := fmt.Sprint("p", i)
		data, url := picture(t, uint8(i))
		if status, code := ann.add("closed", id, url); status != 200 {
			t.Fatalf("add: %d %s", status, code)
		}
		pictures[id] = data
	}
	args := []string{"copy", "--from", "local", "--to", "cloudflare", "--data", dir}
	out, err := toolWith(t, env, append(args, "--dry-run")...)
	if err != nil || !strings.Contains(out, "to be copied") || !strings.Contains(out, "tables: to be made from the log (kanvas rebuild --target=d1)") || strings.Contains(out, "digest") {
		t.Fatalf("dry run: %v\n%s", err, out)
	}
	out, err = toolWith(t, onR2(s3), args...) // beside the server, which needs no settings for it
	copied(t, out, err)
	s.stop()
	out, err = toolWith(t, env, args...)
	copied(t, out, err)
	if !strings.Contains(out, "sound") || !strings.Contains(out, "rebuilt tables") {
		t.Errorf("the tables were not proved:\n%s", out)
	}
	if rows := w.Query(t, "SELECT count(*) AS n FROM assets"); rows[0]["n"] != float64(5) {
		t.Errorf("D1 has %v", rows)
	}
	if err := os.Rename(filepath.Join(dir, "objects"), filepath.Join(dir, "put-away")); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, dir, "127.0.0.1:0", env...)
	ann.s = s
	served := func() {
		t.Helper()
		for id, data := range pictures {
			if status, _, body := ann.get("GET", ann.asset("closed", id), nil); status != 200 || !bytes.Equal(body, data) {
				t.Errorf("%s: %d, %d bytes", id, status, len(body))
			}
		}
	}
	served()
	data, url := picture(t, 99)
	if status, code := ann.add("closed", "new", url); status != 200 {
		t.Fatalf("add: %d %s", status, code)
	}
	pictures["new"] = data
	out, err = toolWith(t, env, "copy", "--from", "cloudflare", "--to", "local", "--data", dir) // the tables in the server that runs
	copied(t, out, err)
	s.stop()
	ann.s = startServer(t, dir, "127.0.0.1:0")
	served()
	ann.s.stop()
	for _, secret := range []string{s3.SecretKey, w.Secret} {
		if strings.Contains(out+s.out.String(), secret) {
			t.Error("a secret is told")
		}
	}
}

// TestCopyKilled: killed in the middle, it goes on where it was.
func TestCopyKilled(t *testing.T) {
	t.Setenv("KANVAS_TEST_CLOUDFLARE", "") // says itself what is where
	s3, dir := s3test.Start(t), t.TempDir()
	store, err := objects.OpenDir(filepath.Join(dir, "objects"), nil)
	if err != nil {
		t.Fatal(err)
	}
	const n = 400
	for i := range n {
		text := fmt.Sprint("picture ", i)
		if err := store.Put(t.Context(), fmt.Sprintf("images/u/%04d.png", i), "image/png", strings.NewReader(text), int64(len(text))); err != nil {
			t.Fatal(err)
		}
	}
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"copy", "--from", "local", "--to", "cloudflare", "--data", dir}
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), onR2(s3)...)
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(pipe).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "objects: 100 ") {
		t.Errorf("progress: %q %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	out, err := toolWith(t, onR2(s3), args...)
	copied(t, out, err)
	last := regexp.MustCompile(`objects: 400 .* found, (\d+) there already, (\d+) `).FindAllStringSubmatch(out, -1)
	if len(last) == 0 || len(last[0][1]) < 3 { // at least 100
		t.Errorf("it began again:\n%s", out)
	}
}

func TestCopyRefusesBadUse(t *testing.T) {
	t.Setenv("KANVAS_TEST_CLOUDFLARE", "") // says itself what is where
	s3 := s3test.Start(t)
	for _, c := range []struct {
		want string
		env  []string
		args []string
	}{
		{"--from local --to cloudflare", onR2(s3), []string{"--from", "local"}},
		{"--from local --to cloudflare", onR2(s3), []string{"--from", "local", "--to", "local"}},
		{"neither R2 nor D1 is configured", nil, []string{"--from", "local", "--to", "cloudflare"}},
		{"nothing to copy", onR2(s3), []string{"--from", "local", "--to", "cloudflare", "--data", filepath.Join(t.TempDir(), "none")}},
		{"r2: ping", append(onR2(s3), "R2_BUCKET_NAME=another"), []string{"--from", "local", "--to", "cloudflare", "--data", t.TempDir()}},
	} {
		if out, err := toolWith(t, c.env, append([]string{"copy"}, c.args...)...); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%v: %v, not %q: %s", c.args, err, c.want, out)
		}
	}
}
