package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
)

// front is a Worker in front of a server that will listen on behind, with everything of the server on the Worker's D1, KV and R2.
type front struct {
	*edgetest.Worker
	behind string   // host:port
	cable  *cable   // between the two
	env    []string // of the server
}

func newFront(t *testing.T, opts ...edgetest.Option) *front {
	t.Helper()
	// The Worker must know where the server is, and the server the Worker's address: so one of them gets a place that is free now.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{behind: ln.Addr().String()}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	f.cable = newCable(t, f.behind)
	f.Worker = edgetest.Start(t, append(opts, edgetest.WithVar("ORIGIN", "http://"+f.cable.addr))...)
	f.env = slices.Concat(gatewayEnv(f.Worker), objectsEnv(f.S3, f.Bucket), []string{"KANVAS_PUBLIC_URL=" + f.URL})
	return f
}

// node runs a Node test file of the page or of the old clients against the front; the file starts servers itself where it wants to.
func (f *front) node(t *testing.T, dir, file string, env ...string) string {
	t.Helper()
	return f.run(t, dir, file, append(env, "KANVAS_FRONT="+f.URL, "KANVAS_BEHIND="+f.behind)...)
}

// run is node without the front's addresses.
func (f *front) run(t *testing.T, dir, file string, env ...string) string {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return nodeTest(t, dir, file, slices.Concat(f.env, []string{"KANVAS_BIN=" + bin}, env)...)
}

// nodeTest runs a Node test file, all of whose tests must pass, and returns what it said.
func nodeTest(t *testing.T, dir, file string, env ...string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		t.Fatalf("the npm packages of %s are not installed: run make deps", dir)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", "--test-timeout=240000", file)
	cmd.Dir = dir
	cmd.Env = slices.Concat(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", file, err, out)
	}
	if !strings.Contains(string(out), "fail 0") || strings.Contains(string(out), "pass 0") || !strings.Contains(string(out), "skipped 0") {
		t.Fatalf("%s: not every test ran:\n%s", file, out)
	}
	return string(out)
}

// TestBrowsersThroughTheWorker runs the page's tests with the Worker's address as the page's: its sockets, its pictures and the kill -9 of the
// server go through the Worker, and tables, caches and objects are on its D1, KV and R2. KANVAS_TEST_CLOUDFLARE runs all of them.
func TestBrowsersThroughTheWorker(t *testing.T) {
	files := []string{"together.test.mjs", "large.test.mjs"}
	if onCloudflare() {
		files = append(files, "page.test.mjs", "saving.test.mjs")
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			f := newFront(t)
			f.node(t, "api/web", filepath.Join("test", file))
			if rooms := f.Query(t, "SELECT id FROM rooms WHERE revision > 0"); len(rooms) == 0 {
				t.Error("no room came to D1")
			}
		})
	}
}

// TestOldClientsThroughTheWorker runs the real npm client of the old protocol through the Worker.
func TestOldClientsThroughTheWorker(t *testing.T) {
	f := newFront(t)
	s := startServer(t, t.TempDir(), f.behind, append(f.env, "KANVAS_RATE_LIMITS=off")...)
	out := f.node(t, "api/realtime/parties_npm", "parties.test.mjs", "KANVAS_HOST="+strings.TrimPrefix(f.URL, "http://"), "KANVAS_CUT="+f.cable.cutURL(t))
	if !strings.Contains(out, "pass 8") {
		t.Errorf("not every test ran:\n%s", out)
	}
	s.stop()
}
