package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Op runs one operation and writes what a person reads to out. A returned error is shown and makes the exit status 1.
type Op func(ctx context.Context, args []string, out io.Writer) error

// ErrNoServer: no process serves the directory's socket.
var ErrNoServer = errors.New("no server is running on this data directory")

// maxRequest is the largest request line in bytes; maxClients bounds operations under way at once.
const (
	maxRequest = 64 << 10
	maxClients = 8
)

type request struct {
	Op   string   `json:"op"`
	Args []string `json:"args"`
}

// reply is one line of the answer: text to show, or the end.
type reply struct {
	Out   string `json:"out,omitempty"`
	Done  bool   `json:"done,omitempty"`
	Error string `json:"error,omitempty"`
}

// Server answers on the socket of a data directory. Whoever holds the directory's Lock owns it.
type Server struct {
	ln     net.Listener
	ops    map[string]Op
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	places chan struct{}
}

// socketPath gives an address below the 108 bytes that a socket's name may have, however long dir is.
func socketPath(dir string) (path string, done func(), err error) {
	path = filepath.Join(dir, "control.sock")
	if len(path) < 100 {
		return path, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/control.sock", d.Fd()), func() { _ = d.Close() }, nil // read-only handle: nothing to lose
}

// Serve listens on dir's socket. The caller holds dir's Lock, so a socket file that is there is stale.
func Serve(dir string, ops map[string]Op) (*Server, error) {
	path, done, err := socketPath(dir)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	defer done()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("control socket: %w", errors.Join(err, ln.Close()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{ln: ln, ops: ops, ctx: ctx, cancel: cancel, places: make(chan struct{}, maxClients)}
	s.wg.Add(1)
	go s.accept()
	return s, nil
}

// Close ends operations under way and waits for them.
func (s *Server) Close() error {
	s.cancel()
	err := s.ln.Close()
	s.wg.Wait()
	return err
}

func (s *Server) accept() {
	defer s.wg.Done()
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return // closed
		}
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			defer c.Close()
			s.serve(c)
		}()
	}
}

func (s *Server) serve(c net.Conn) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	enc := json.NewEncoder(c)
	end := func(err error) {
		r := reply{Done: true}
		if err != nil {
			r.Error = err.Error()
		}
		_ = enc.Encode(r) // the other side may be gone: there is nobody left to tell
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second)) // fails only on a closed connection, as the read then does
	br := bufio.NewReader(io.LimitReader(c, maxRequest))
	line, err := br.ReadBytes('\n')
	if err != nil {
		end(fmt.Errorf("read request: %w", err))
		return
	}
	var req request
	if err := json.Unmarshal(line, &req); err != nil {
		end(fmt.Errorf("bad request: %w", err))
		return
	}
	op, ok := s.ops[req.Op]
	if !ok {
		end(fmt.Errorf("the running server does not know the operation %q", req.Op))
		return
	}
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		end(fmt.Errorf("%d operations are under way already", maxClients))
		return
	}
	// A caller that goes away ends its operation: the read below returns at its close.
	_ = c.SetReadDeadline(time.Time{})
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		_, _ = c.Read(make([]byte, 1))
		cancel()
	}()
	err = op(ctx, req.Args, writerFunc(func(p []byte) (int, error) {
		if err := enc.Encode(reply{Out: string(p)}); err != nil {
			return 0, err
		}
		return len(p), nil
	}))
	end(err)
	_ = c.Close() // lets the reader above return
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Call runs op in the server of dir and copies what it prints to out. ErrNoServer where none runs.
func Call(ctx context.Context, dir, op string, args []string, out io.Writer) error {
	path, done, err := socketPath(dir)
	if err != nil {
		return ErrNoServer
	}
	defer done()
	c, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
	if err != nil {
		return ErrNoServer
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if err := json.NewEncoder(c).Encode(request{op, args}); err != nil {
		return fmt.Errorf("ask the running server: %w", err)
	}
	dec := json.NewDecoder(c)
	for {
		var r reply
		if err := dec.Decode(&r); err != nil {
			return fmt.Errorf("the running server broke off: %w", err)
		}
		if r.Out != "" {
			if _, err := io.WriteString(out, r.Out); err != nil {
				return err
			}
		}
		if r.Done {
			if r.Error != "" {
				return errors.New(r.Error)
			}
			return nil
		}
	}
}
