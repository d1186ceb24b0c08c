package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/infinite-kanvas/kanvas/api/bench"
	"github.com/infinite-kanvas/kanvas/infra/control"
)

const (
	slowFsync = 20 * time.Millisecond // a median above makes editing feel slow
	lowDisk   = 1 << 30               // bytes
)

// report prints findings and remembers failures.
type report struct {
	out    io.Writer
	failed int
}

func (r *report) line(level, name, format string, args ...any) {
	if level == "fail" {
		r.failed++
	}
	fmt.Fprintf(r.out, "%-4s  %-16s %s\n", level, name, fmt.Sprintf(format, args...))
}

// doctor says what is configured, reachable and wrong. It changes nothing that a start would not.
func doctor(ctx context.Context, c *call) error {
	r := &report{out: c.stdout}
	for _, kv := range c.cfg.Describe() {
		value := kv[1]
		if value == "" {
			value = "–"
		}
		r.line("ok", "setting", "%s = %s", kv[0], value)
	}
	checkDisk(r, c.cfg.Data)
	err := control.Call(ctx, c.cfg.Data, "health", nil, c.stdout)
	switch {
	case err == nil:
	case errors.Is(err, control.ErrNoServer):
		checkStopped(ctx, r, c)
	default:
		r.line("fail", "server", "%v", err)
	}
	if c.cfg.Durability != "always" {
		r.line("warn", "durability", "acknowledged edits of the last seconds can be lost with the power: set --durability always")
	}
	if !c.cfg.RateLimits {
		r.line("warn", "rate limits", "are off: set KANVAS_RATE_LIMITS=on outside of load tests")
	}
	if !c.cfg.Loopback() && c.cfg.PublicURL == "" {
		r.line("warn", "public url", "the server listens on %s: set --public-url, so that old clients get picture addresses they can reach", c.cfg.Listen)
	}
	if r.failed > 0 {
		return fmt.Errorf("%d checks failed", r.failed)
	}
	return nil
}

// checkStopped opens the directory as a server would, looks, and closes it again.
func checkStopped(ctx context.Context, r *report, c *call) {
	r.line("ok", "server", "is not running on %s", c.cfg.Data)
	if ln, err := net.Listen("tcp", c.cfg.Listen); err != nil {
		r.line("fail", "listen", "%v: stop what holds the address, or choose another with --listen", err)
	} else if err := ln.Close(); err != nil {
		r.line("fail", "listen", "%v", err)
	} else {
		r.line("ok", "listen", "%s is free", c.cfg.Listen)
	}
	n, err := openNode(ctx, c.cfg, io.Discard)
	if err != nil {
		r.line("fail", "data", "%v", err)
		return
	}
	r.failed += n.health(ctx, c.stdout)
	if err := n.close(context.WithoutCancel(ctx)); err != nil {
		r.line("fail", "close", "%v", err)
	}
}

// opHealth is the part of doctor that runs where the stores are open.
func (n *node) opHealth(ctx context.Context, _ []string, out io.Writer) error {
	r := &report{out: out}
	r.line("ok", "server", "is running: pid %d", os.Getpid())
	if failed := n.health(ctx, out); failed > 0 {
		return fmt.Errorf("%d checks of the running server failed", failed)
	}
	return nil
}

func (n *node) health(ctx context.Context, out io.Writer) (failed int) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r := &report{out: out}
	n.checkLog(ctx, r)
	if err := n.tables.Ping(ctx); err != nil {
		r.line("fail", "tables", "%v", err)
	} else {
		r.line("ok", "tables", "%s", n.tables.Path())
	}
	if err := n.tryObjects(ctx); err != nil {
		r.line("fail", "objects", "%v", err)
	} else {
		r.line("ok", "objects", "put, get and delete work")
	}
	if err := n.tryKV(ctx); err != nil {
		r.line("fail", "cache", "%v", err)
	} else {
		r.line("ok", "cache", "write and read work")
	}
	if _, _, err := n.keys.Key(ctx, "doctor", false); err != nil {
		r.line("fail", "keys", "%v", err)
	} else {
		r.line("ok", "keys", "can be read")
	}
	return r.failed
}

func (n *node) checkLog(ctx context.Context, r *report) {
	if err := n.log.Ready(); err != nil {
		r.line("fail", "log", "%v: edits are refused until it can be written again", err)
		return
	}
	var commits uint64
	for p := range n.log.Partitions() {
		_, last, err := n.log.Bounds(ctx, p)
		if err != nil {
			r.line("fail", "log", "%v", err)
			return
		}
		commits += last
	}
	where := "embedded"
	if n.cfg.NATSURL != "" {
		where = "external"
	}
	r.line("ok", "log", "%s, %d partitions, %d commits, durability %s", where, n.log.Partitions(), commits, n.log.Durability())
}

const probe = "doctor/probe"

func (n *node) tryObjects(ctx context.Context) error {
	if err := n.objects.Put(ctx, probe, "text/plain", strings.NewReader("ok"), 2); err != nil {
		return err
	}
	rc, _, err := n.objects.Get(ctx, probe, 0, -1)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(rc)
	if err = errors.Join(err, rc.Close()); err != nil {
		return err
	}
	if string(b) != "ok" {
		return fmt.Errorf("stored %q, read %q", "ok", b)
	}
	return n.objects.Delete(ctx, probe)
}

func (n *node) tryKV(ctx context.Context) error {
	if err := n.kv.Put(ctx, "doctor:probe", []byte("ok"), time.Minute); err != nil {
		return err
	}
	b, ok, err := n.kv.Get(ctx, "doctor:probe")
	if err == nil && (!ok || string(b) != "ok") {
		err = fmt.Errorf("wrote %q, read %q", "ok", b)
	}
	return err
}

// checkDisk measures the disk below dir: room left, and what an fsync takes, which is what every ack waits for.
func checkDisk(r *report, dir string) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.line("fail", "data", "%v", err)
		return
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		r.line("fail", "disk", "%v", err)
	} else if free := st.Bavail * uint64(st.Bsize); free < lowDisk {
		r.line("warn", "disk", "%d MiB free: edits are refused when it is full", free>>20)
	} else {
		r.line("ok", "disk", "%d GiB free", free>>30)
	}
	d, err := bench.FsyncMedian(dir, 20)
	switch {
	case err != nil:
		r.line("fail", "fsync", "%v", err)
	case d > slowFsync:
		r.line("warn", "fsync", "takes %s (median of 20), every edit waits for one: use a faster disk", d.Round(10*time.Microsecond))
	default:
		r.line("ok", "fsync", "takes %s (median of 20)", d.Round(10*time.Microsecond))
	}
}
