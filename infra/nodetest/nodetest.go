// Package nodetest runs a Node script beside a test: it is asked by lines on its input and answers by lines on its output.
package nodetest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// maxLine bounds a line of the script's answer, in bytes.
const maxLine = 1 << 20

// Script is a running script. One goroutine at a time uses it.
type Script struct {
	In  io.Writer
	Out *bufio.Scanner // of lines of at most 1 MiB
}

// Start runs script in dir, which must have npmPackage installed (by make deps), until the test ends. env nil: that of the test.
func Start(t testing.TB, dir, script, npmPackage string, env []string) *Script {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "node_modules", npmPackage)); err != nil {
		t.Fatalf("%s is not installed in %s: run make deps", npmPackage, dir)
	}
	cmd := exec.Command("node", script)
	cmd.Dir, cmd.Stderr, cmd.Env = dir, os.Stderr, env
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // ends it
		if err := cmd.Wait(); err != nil {
			t.Errorf("node %s: %v", script, err)
		}
	})
	s := &Script{In: in, Out: bufio.NewScanner(out)}
	s.Out.Buffer(nil, maxLine)
	return s
}
