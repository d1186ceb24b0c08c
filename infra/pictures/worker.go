package pictures

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/commands/media"
)

const (
	// workerIdle is how long the process waits for the next picture.
	workerIdle = 30 * time.Second
	// stderrKept is how much of what the process says at its end is logged, in bytes.
	stderrKept = 1 << 10
)

// Worker implements commands.Shrinker by a process of its own. Calls wait for each other.
type Worker struct {
	command []string
	logger  *slog.Logger
	turn    chan struct{} // capacity 1: held by who uses the process
	child   *child
	idle    *time.Timer
	ending  sync.WaitGroup // the timer's call
}

var _ commands.Shrinker = (*Worker)(nil)

// NewWorker starts nothing yet. command runs Serve on its standard input and output. logger nil: none. Close ends it.
func NewWorker(command []string, logger *slog.Logger) *Worker {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Worker{command: command, logger: logger, turn: make(chan struct{}, 1)}
}

// Close ends the process. Nothing may be asked for any more.
func (w *Worker) Close() {
	w.turn <- struct{}{}
	w.rest()
	w.end()
	<-w.turn
	w.ending.Wait()
}

// rest stops the clock after which the process ends.
func (w *Worker) rest() {
	if w.idle != nil && w.idle.Stop() {
		w.ending.Done()
	}
	w.idle = nil
}

// end ends the process, if there is one: it ends by itself where nothing comes any more.
func (w *Worker) end() {
	if w.child != nil {
		w.child.close()
		w.child = nil
	}
}

// Shrink implements commands.Shrinker: ErrShrinkerDied where the process ended over the picture.
func (w *Worker) Shrink(ctx context.Context, body io.Reader, size int64, found *media.Found, sizes []int) ([]commands.Shrunk, string, error) {
	if !decodes(found) {
		return nil, "", commands.ErrNotShrunk
	}
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	defer func() { <-w.turn }()
	w.rest()
	if w.child == nil {
		c, err := startChild(w.command)
		if err != nil {
			return nil, "", fmt.Errorf("start a process for pictures: %w", err)
		}
		w.child = c
	}
	a, data, err := w.child.ask(ctx, body, request{Size: size, Found: *found, Sizes: sizes})
	if err != nil {
		said := w.child.kill()
		w.child = nil
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		var ours *bodyError
		if errors.As(err, &ours) {
			return nil, "", ours.error
		}
		w.logger.Warn("pictures_process_died", slog.String("error", err.Error()), slog.String("said", said))
		return nil, "", fmt.Errorf("%w: %w", commands.ErrShrinkerDied, err)
	}
	w.later()
	if a.Refused != "" {
		return nil, "", fmt.Errorf("%w: %s", commands.ErrNotShrunk, a.Refused)
	}
	return a.list(data), a.Placeholder, nil
}

// later ends the process where nothing is asked for in a while.
func (w *Worker) later() {
	w.ending.Add(1)
	var t *time.Timer
	t = time.AfterFunc(workerIdle, func() {
		defer w.ending.Done()
		w.turn <- struct{}{}
		if w.idle == t {
			w.end()
			w.idle = nil
		}
		<-w.turn
	})
	w.idle = t
}

// child is the process.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	said *tail
}

// startChild starts the process to run where nobody else wants to (SCHED_IDLE), which it inherits from the thread that starts it. With a lower priority
// alone (nice 10) it is not put aside at once when the server has something to do: acks took two to three times as long.
func startChild(command []string) (*child, error) {
	c := &child{cmd: exec.Command(command[0], command[1:]...), said: &tail{}} //nolint:gosec // this program itself
	c.cmd.Env = []string{"GOMAXPROCS=1"}                                      // one core, and no secrets
	c.cmd.Stderr = c.said
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what a terminal sends to this program is not for it
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine, as nobody else shall have its priority
		err := yield()
		if err == nil {
			err = c.cmd.Start()
		}
		started <- err
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// yield has the thread run where nobody else wants to.
func yield() error {
	a, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return err
	}
	a.Policy = unix.SCHED_IDLE
	return unix.SchedSetAttr(0, a, 0)
}

// ask sends a picture and waits for the answer. After an error the process is of no use any more.
func (c *child) ask(ctx context.Context, body io.Reader, r request) (answer, []byte, error) {
	defer context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })() // an error: it ended by itself
	if err := send(c.in, r); err != nil {
		return answer{}, nil, err
	}
	if n, err := io.Copy(c.in, io.LimitReader(&bodyReader{body}, r.Size)); err != nil {
		return answer{}, nil, err
	} else if n != r.Size {
		return answer{}, nil, &bodyError{io.ErrUnexpectedEOF}
	}
	var a answer
	if err := receive(c.out, &a); err != nil {
		return a, nil, err
	}
	data := make([]byte, a.bytes())
	_, err := io.ReadFull(c.out, data)
	return a, data, err
}

func (c *child) close() {
	_ = c.in.Close()
	_ = c.cmd.Wait() // how it ended is of no interest: it has nothing to do
}

// kill ends it in the middle and returns what it said last.
func (c *child) kill() string {
	_ = c.cmd.Process.Kill() // an error: it ended by itself
	_ = c.in.Close()
	err := c.cmd.Wait()
	said := c.said.String()
	if err != nil {
		said = err.Error() + "\n" + said
	}
	return said
}

// bodyReader tells a body that can't be read from a process that does not listen.
type bodyReader struct{ r io.Reader }

type bodyError struct{ error }

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &bodyError{err}
	}
	return n, err
}

// tail keeps the first bytes of what is written: of a crash they say why.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p[:min(len(p), stderrKept-len(t.b))]...)
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
