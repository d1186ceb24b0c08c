package jetstream

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// guard watches the disk of the embedded store. While there is too little room, or after a failed write, the log is
// read-only; once a write to the disk works again it restarts the server, since a JetStream stream that failed to write
// stays dumb until it is opened again.
type guard struct {
	dir     string
	minFree uint64
	metrics *metrics
	log     *slog.Logger

	why     atomic.Pointer[error] // nil: writable
	damaged chan struct{}         // capacity 1: a write failed
	quit    chan struct{}
	done    sync.WaitGroup
}

func newGuard(dir string, minFree uint64, m *metrics, log *slog.Logger) (*guard, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	g := &guard{dir: dir, minFree: minFree, metrics: m, log: log, damaged: make(chan struct{}, 1), quit: make(chan struct{})}
	for _, d := range g.probe(probeTimes) {
		m.fsync.Observe(d.Seconds())
	}
	g.check()
	return g, nil
}

// reason is nil while the disk may be written to.
func (g *guard) reason() error {
	if p := g.why.Load(); p != nil {
		return *p
	}
	return nil
}

var writeFailed error = errWriteFailed

// damage says that a write of the server failed. It never blocks.
func (g *guard) damage() {
	g.why.Store(&writeFailed)
	select {
	case g.damaged <- struct{}{}:
	default:
	}
}

func (g *guard) run(s *Store) {
	g.done.Add(1)
	go func() {
		defer g.done.Done()
		tick := time.NewTicker(guardEvery)
		defer tick.Stop()
		damaged := false
		for {
			select {
			case <-g.quit:
				return
			case <-g.damaged:
				damaged = true
				g.why.Store(&writeFailed)        // a check at the same moment may have cleared it
				s.writes.failAll(errWriteFailed) // the server answers none of them
			case <-tick.C:
				if damaged {
					damaged = !g.repair(s)
				} else {
					g.check()
				}
			}
		}
	}()
}

func (g *guard) stop() {
	close(g.quit)
	g.done.Wait()
}

// check compares the free space with minFree.
func (g *guard) check() {
	free, err := freeBytes(g.dir)
	if err == nil && free < g.minFree {
		err = fmt.Errorf("the disk of %s has %d MiB left, %d are kept free", g.dir, free>>20, g.minFree>>20)
	}
	was := g.reason()
	if err == nil {
		if was != nil {
			g.log.Info("log is writable again")
			g.why.Store(nil)
		}
		g.metrics.readOnly.Set(0)
		return
	}
	g.why.Store(&err)
	g.metrics.readOnly.Set(1)
	if was == nil {
		g.log.Error("log is read-only", "error", err)
	}
}

// repair restarts the server if the disk takes writes again.
func (g *guard) repair(s *Store) bool {
	g.metrics.readOnly.Set(1)
	free, err := freeBytes(g.dir)
	if err != nil || free < g.minFree || g.probe(1) == nil {
		return false
	}
	g.log.Warn("restarting the embedded server after a failed write")
	s.ns.stop()
	if err := s.ns.start(); err != nil {
		g.log.Error("embedded server", "error", err)
		return false
	}
	g.why.Store(nil)
	g.check()
	return true
}

func freeBytes(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("statfs of %s: %w", dir, err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// Size and count of the fsync probe at start.
const (
	probeBytes = 512
	probeTimes = 20
)

// probe measures n times how long write and fsync of probeBytes take on the store's disk. It is nil where the disk refuses.
func (g *guard) probe(n int) []time.Duration {
	f, err := os.CreateTemp(g.dir, ".fsync-probe-*")
	if err != nil {
		g.log.Warn("fsync probe", "error", err)
		return nil
	}
	name := f.Name()
	defer func() {
		if err := os.Remove(name); err != nil {
			g.log.Warn("fsync probe", "error", err)
		}
	}()
	times, err := writeSync(f, n)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		g.log.Warn("fsync probe", "dir", filepath.Base(g.dir), "error", err)
		return nil
	}
	return times
}

func writeSync(f *os.File, n int) ([]time.Duration, error) {
	buf := make([]byte, probeBytes)
	times := make([]time.Duration, 0, n)
	for range n {
		start := time.Now()
		if _, err := f.Write(buf); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
	}
	return times, nil
}
