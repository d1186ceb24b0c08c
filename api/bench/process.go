package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a server under measurement.
type process struct {
	cmd  *exec.Cmd
	addr string
	log  *bytes.Buffer
	done chan error
	took time.Duration // from start to listening
}

// startTimeout is how long a server may take to listen.
const startTimeout = 60 * time.Second

// start runs this program with args on core 0 (the load runs on the others) and waits for its line "listening".
func start(ctx context.Context, env []string, args ...string) (*process, error) {
	return startOn(ctx, []int{0}, env, args...)
}

// startOn is start on other cores.
func startOn(ctx context.Context, cores []int, env []string, args ...string) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, exe, args...), log: &bytes.Buffer{}, done: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), env...)
	pipe, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr = p.cmd.Stdout
	began := time.Now()
	if err := onCores(cores, p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %v: %w", args, err)
	}
	listening := make(chan string, 1)
	go func() {
		sc := bufio.NewScanner(pipe)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			var line struct{ Event, Address string }
			if json.Unmarshal(sc.Bytes(), &line) == nil && line.Event == "listening" {
				p.took = time.Since(began)
				listening <- line.Address
			}
			if p.log.Len() < 1<<20 {
				p.log.Write(append(sc.Bytes(), '\n'))
			}
		}
		p.done <- p.cmd.Wait()
	}()
	select {
	case p.addr = <-listening:
		return p, nil
	case err := <-p.done:
		return nil, fmt.Errorf("%v ended before it listened: %w\n%s", args, err, p.log)
	case <-time.After(startTimeout):
		return nil, errors.Join(fmt.Errorf("%v does not listen after %s", args, startTimeout), p.cmd.Process.Kill())
	}
}

// allCores are those of the machine.
func allCores() (cores []int) {
	for i := range runtime.NumCPU() {
		cores = append(cores, i)
	}
	return cores
}

// onCores runs fn with the calling thread, and so what it starts, bound to some cores where the machine has several.
func onCores(cores []int, fn func() error) error {
	if runtime.NumCPU() < 2 {
		return fn()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, some unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read affinity: %w", err)
	}
	for _, core := range cores {
		some.Set(core)
	}
	if err := unix.SchedSetaffinity(0, &some); err != nil {
		return fmt.Errorf("bind to cores %v: %w", cores, err)
	}
	return errors.Join(fn(), unix.SchedSetaffinity(0, &before))
}

// pinLoad binds all threads of this process to the cores after the first, and its scheduler to as many.
func pinLoad() error {
	n := runtime.NumCPU()
	if n < 2 {
		return nil
	}
	var set unix.CPUSet
	for i := 1; i < n; i++ {
		set.Set(i)
	}
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("bind load: %w", err)
		}
	}
	runtime.GOMAXPROCS(n - 1)
	return nil
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() > 0 {
			return fmt.Errorf("server ended with %w\n%s", err, tail(p.log.String(), 2000))
		}
		return nil
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("server does not stop after 30 s"), p.cmd.Process.Kill())
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}

// cpu is the time all threads of the process have been running, from the scheduler's own books (nanoseconds). Threads that
// ended since are in utime+stime only, so the larger of both counts.
func (p *process) cpu() (time.Duration, error) {
	pid := p.cmd.Process.Pid
	var ns uint64
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		v, err := strconv.ParseUint(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		ns += v
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+2:]))
	var ticks uint64
	for _, i := range []int{11, 12} { // utime, stime (proc(5)), counted from the state field
		v, err := strconv.ParseUint(f[i], 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += v
	}
	return max(time.Duration(ns), time.Duration(ticks)*10*time.Millisecond), nil
}

// rss is the process's resident memory in bytes.
func (p *process) rss() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for _, l := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(l, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS")
}
