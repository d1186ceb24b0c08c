package main

import (
	"bufio"
	"context"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nonroot is the user of the image.
const nonroot = 65532

// TestImage does by hand what .ci/Dockerfile does: its own build command, then the program alone in an empty root, as its user, with its
// variables. What Docker itself adds (layers, the base image) is not run here.
func TestImage(t *testing.T) {
	text, err := os.ReadFile(".ci/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	build := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .*) -o /out/kanvas \.$`).FindStringSubmatch(string(text))
	env := regexp.MustCompile(`(?m)^ENV KANVAS_DATA=/data KANVAS_LISTEN=0\.0\.0\.0:1999$`).FindString(string(text))
	health := regexp.MustCompile(`(?m)^HEALTHCHECK .* CMD \["/kanvas", "ready"\]$`).FindString(string(text))
	if build == nil || env == "" || health == "" {
		t.Fatal("the Dockerfile is not what this test knows")
	}
	root := t.TempDir()
	if out, err := exec.Command("sh", "-c", build[1]+" -o "+filepath.Join(root, "kanvas")+" .").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	static(t, filepath.Join(root, "kanvas"))
	if err := os.Mkdir(filepath.Join(root, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	serve := inRoot(t, ctx, root, "KANVAS_LISTEN=127.0.0.1:0", "serve")
	pipe, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	var line struct{ Event, Address string }
	for sc := bufio.NewScanner(pipe); line.Event != "listening" && sc.Scan(); {
		_ = json.Unmarshal(sc.Bytes(), &line) // other lines are of no interest
	}
	if out, err := inRoot(t, ctx, root, "KANVAS_LISTEN=0.0.0.0:"+line.Address[strings.LastIndex(line.Address, ":")+1:], "ready").CombinedOutput(); err != nil {
		t.Errorf("ready: %v\n%s", err, out)
	}
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := serve.Wait(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if out, err := inRoot(t, ctx, root, "KANVAS_LISTEN="+line.Address, "ready").CombinedOutput(); err == nil {
		t.Errorf("nobody is ready, but: %s", out)
	}
}

// static fails where the program asks for libraries that an empty image does not have.
func static(t *testing.T, path string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
		t.Errorf("needs %v, %v", libs, err)
	}
}

// inRoot runs the program with root as its whole file system and as the image's user, where the test may do that (as root), else in root.
func inRoot(t *testing.T, ctx context.Context, root, listen, command string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, filepath.Join(root, "kanvas"), command)
	cmd.Dir, cmd.Env = root, []string{"KANVAS_DATA=data", listen}
	if os.Getuid() == 0 {
		for _, dir := range []string{root, filepath.Join(root, "data")} {
			if err := os.Chown(dir, nonroot, nonroot); err != nil {
				t.Fatal(err)
			}
		}
		cmd.Path, cmd.Dir, cmd.Env[0] = "/kanvas", "/", "KANVAS_DATA=/data"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: nonroot, Gid: nonroot}}
	}
	return cmd
}
