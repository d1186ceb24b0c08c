package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecondHolderIsToldWhoHasIt(t *testing.T) {
	dir := t.TempDir()
	l, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Describe("pid 42, serving on 127.0.0.1:1999"); err != nil {
		t.Fatal(err)
	}
	_, err = Acquire(dir)
	var held *HeldError
	if !errors.As(err, &held) || !strings.Contains(err.Error(), "pid 42") {
		t.Fatalf("%v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	l2, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l2.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestOperationsOverTheSocket(t *testing.T) {
	// A long name: a socket address holds only 108 bytes.
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := Call(ctx, dir, "echo", nil, io.Discard); !errors.Is(err, ErrNoServer) {
		t.Fatalf("without a server: %v", err)
	}
	started := make(chan struct{})
	s, err := Serve(dir, map[string]Op{
		"echo": func(_ context.Context, args []string, out io.Writer) error {
			for _, a := range args {
				fmt.Fprintln(out, a)
			}
			return nil
		},
		"fail": func(context.Context, []string, io.Writer) error { return errors.New("it broke") },
		"wait": func(ctx context.Context, _ []string, _ io.Writer) error {
			close(started)
			<-ctx.Done()
			return ctx.Err()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(dir, "control.sock")); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", st.Mode(), err)
	}
	var out bytes.Buffer
	if err := Call(ctx, dir, "echo", []string{"a", "b\nc"}, &out); err != nil || out.String() != "a\nb\nc\n" {
		t.Fatalf("%q, %v", out.String(), err)
	}
	if err := Call(ctx, dir, "fail", nil, io.Discard); err == nil || err.Error() != "it broke" {
		t.Fatalf("%v", err)
	}
	if err := Call(ctx, dir, "nothing", nil, io.Discard); err == nil {
		t.Fatal("an unknown operation passed")
	}
	if err := Call(ctx, dir, "echo", []string{strings.Repeat("x", maxRequest)}, io.Discard); err == nil {
		t.Fatal("a request over the limit passed")
	}
	ended := make(chan error, 1)
	go func() { ended <- Call(ctx, dir, "wait", nil, io.Discard) }()
	<-started
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Fatal("an operation survived its server")
	}
}
