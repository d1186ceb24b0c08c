package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// binary is the program under test, built once; deadly the one that kills itself where it is told to (crashpoints.go).
var (
	binary = sync.OnceValues(func() (string, error) { return build("kanvas", "nodynamic") })
	deadly = sync.OnceValues(func() (string, error) { return build("deadly", "nodynamic,crashtest") })
)

func build(name, tags string) (string, error) {
	dir, err := binaries()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, name)
	build := exec.Command("go", "build", "-tags", tags, "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return bin, nil
}

// binaries is where programs are built, made where a test asks for one.
var binaries = sync.OnceValues(func() (dir string, err error) {
	binaryDir, err = os.MkdirTemp("", "kanvas-test-")
	return binaryDir, err
})

// binaryDir is what binaries returned; "" where nothing asked for it.
var binaryDir string

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == shrinking { // a node of a test started it, as a server starts the program
		main()
		return
	}
	code := m.Run()
	if binaryDir != "" { // only where a test asked for a program
		_ = os.RemoveAll(binaryDir) // the tests are over, a leftover hurts nobody
	}
	os.Exit(code)
}

// server is a running `kanvas serve`.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string
	out  *lockedBuffer
	done chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) line(s []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Write(append(s, '\n'))
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startServer runs the binary on dir and waits until it listens.
func startServer(t *testing.T, dir, listen string, env ...string) *server {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return startProgram(t, bin, dir, listen, env...)
}

func startProgram(t *testing.T, bin, dir, listen string, env ...string) *server {
	t.Helper()
	s := &server{t: t, cmd: exec.Command(bin, "serve", "--listen", listen, "--data", dir), out: &lockedBuffer{}, done: make(chan error, 1)}
	s.cmd.Env = slices.Concat(os.Environ(), cloudflareEnv(t, dir), env)
	pipe, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = s.cmd.Stdout
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan string, 1)
	go func() {
		sc := bufio.NewScanner(pipe)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			var line struct{ Event, Address string }
			if json.Unmarshal(sc.Bytes(), &line) == nil && line.Event == "listening" {
				listening <- line.Address
			}
			s.out.line(sc.Bytes())
		}
		s.done <- s.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // gone already where the test ended it
		if out := s.out.String(); t.Failed() && len(out) > 0 {
			t.Logf("server:\n%s", out)
		}
	})
	select {
	case s.addr = <-listening:
	case err := <-s.done:
		t.Fatalf("server ended: %v\n%s", err, s.out)
	case <-time.After(60 * time.Second):
		t.Fatalf("server does not listen\n%s", s.out)
	}
	return s
}

// stop ends it with SIGTERM and expects exit status 0.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Fatalf("server ended with %v\n%s", err, s.out)
		}
	case <-time.After(60 * time.Second):
		s.t.Fatalf("server does not stop\n%s", s.out)
	}
}

// tool runs a subcommand to its end.
func tool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	if dir := dataOf(args); dir != "" {
		cmd.Env = append(os.Environ(), cloudflareEnv(t, dir)...)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustTool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tool(t, args...)
	if err != nil {
		t.Fatalf("kanvas %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// httpJSON calls the API and decodes the answer into into, which may be nil.
func httpJSON(method, url, token string, body, into any) (int, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		r = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		return 0, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	b, err := io.ReadAll(res.Body)
	err = errors.Join(err, res.Body.Close())
	if err == nil && into != nil && res.StatusCode < 300 {
		err = json.Unmarshal(b, into)
	}
	if err == nil && res.StatusCode >= 300 && into != nil {
		err = fmt.Errorf("%s %s: %s %s", method, url, res.Status, b)
	}
	return res.StatusCode, err
}
