package main

import (
	"bytes"
	"context"
	"encoding/json"
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
	"github.com/infinite-kanvas/kanvas/infra/doctor"
)

const (
	slowFsync = 20 * time.Millisecond // a median above makes editing feel slow
	lowDisk   = 1 << 30               // bytes
)

// examine says what is configured, reachable and wrong. It changes nothing that a start would not.
func examine(ctx context.Context, c *call) error {
	checks, err := examinations(c)
	if err != nil {
		return err
	}
	found := doctor.Run(ctx, checks)
	failed := 0
	for _, f := range found {
		if f.Level == doctor.LevelFail {
			failed++
		}
	}
	if err := printFindings(c.stdout, found, c.flag("json") == "true"); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d checks failed", failed)
	}
	return nil
}

// examinations are the checks that the settings ask for, in the order of the report.
func examinations(c *call) ([]doctor.Check, error) {
	checks := []doctor.Check{
		{Name: "setting", Run: func(context.Context) []doctor.Finding { return describe(c) }},
		{Name: "disk", Run: func(context.Context) []doctor.Finding { return checkDisk(c.cfg.Data) }},
		{Name: "server", Timeout: openTimeout + closeTimeout, Run: func(ctx context.Context) []doctor.Finding { return checkServer(ctx, c) }},
	}
	if c.cfg.NATSURL != "" {
		checks = append(checks, doctor.NATS(c.cfg.NATSURL))
	}
	outside, err := outsideChecks(c)
	return append(checks, outside...), err
}

// printFindings writes a line each, or one JSON object.
func printFindings(out io.Writer, found []doctor.Finding, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"findings": found})
	}
	for _, f := range found {
		line := fmt.Sprintf("%-4s  %-16s %s", f.Level, f.Check, f.Message)
		if f.Fix != "" {
			line += "\n      " + strings.Repeat(" ", 16) + " → " + f.Fix
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// describe lists the settings, secrets hidden, and warns of those that are no good idea.
func describe(c *call) (found []doctor.Finding) {
	for _, kv := range c.cfg.Describe() {
		value := kv[1]
		if value == "" {
			value = "–"
		}
		found = append(found, doctor.OK("%s = %s", kv[0], value))
	}
	if c.cfg.Durability != "always" {
		found = append(found, doctor.Warn("set --durability always", "acknowledged edits of the last seconds can be lost with the power").Named("durability"))
	}
	if !c.cfg.RateLimits {
		found = append(found, doctor.Warn("set KANVAS_RATE_LIMITS=on outside of load tests", "are off").Named("rate limits"))
	}
	if !c.cfg.Loopback() && c.cfg.PublicURL == "" {
		found = append(found, doctor.Warn("set --public-url, so that old clients get picture addresses they can reach", "the server listens on %s", c.cfg.Listen).Named("public url"))
	}
	return found
}

// checkServer asks the running server for its health, or opens the directory as a server would, looks, and closes it again.
func checkServer(ctx context.Context, c *call) []doctor.Finding {
	var out bytes.Buffer
	err := control.Call(ctx, c.cfg.Data, "health", nil, &out)
	if errors.Is(err, control.ErrNoServer) {
		return checkStopped(ctx, c)
	}
	var found []doctor.Finding
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &found)
	}
	if err != nil {
		return []doctor.Finding{doctor.Fail("see the server's log; where it is of another version than this program, use the same", "does not tell of its health: %v", err)}
	}
	return found
}

func checkStopped(ctx context.Context, c *call) []doctor.Finding {
	found := []doctor.Finding{doctor.OK("is not running on %s", c.cfg.Data), checkListen(c.cfg.Listen).Named("listen")}
	n, err := openNode(ctx, c.cfg, io.Discard)
	if err != nil {
		return append(found, doctor.Fail("see the message; kanvas serve would not start either", "%v", err).Named("data"))
	}
	found = append(found, n.health(ctx)...)
	if err := n.close(context.WithoutCancel(ctx)); err != nil {
		found = append(found, doctor.Fail("run it again", "%v", err).Named("close"))
	}
	return found
}

func checkListen(address string) doctor.Finding {
	ln, err := net.Listen("tcp", address)
	if err == nil {
		err = ln.Close()
	}
	if err != nil {
		return doctor.Fail("stop what holds the address, or choose another with --listen", "%v", err)
	}
	return doctor.OK("%s is free", address)
}

// opHealth is the part of doctor that runs where the stores are open.
func (n *node) opHealth(ctx context.Context, _ []string, out io.Writer) error {
	return json.NewEncoder(out).Encode(append([]doctor.Finding{doctor.OK("is running: pid %d", os.Getpid()).Named("server")}, n.health(ctx)...))
}

// health looks at the open stores.
func (n *node) health(ctx context.Context) []doctor.Finding {
	return doctor.Run(ctx, []doctor.Check{
		{Name: "log", Run: n.checkLog},
		store("tables", "rebuild them: kanvas rebuild", n.tables.Path(), n.tables.Ping),
		store("objects", "see the message; pictures can't be put or shown until it works", "put, get and delete work", n.tryObjects),
		store("cache", "see the message; everything works without it, slower", "write and read work", n.tryKV),
		store("keys", "see the message; names and chat can't be read until it works", "can be read", func(ctx context.Context) error {
			_, _, err := n.keys.Key(ctx, "doctor", false)
			return err
		}),
		{Name: "forgotten", Run: n.checkForgotten},
	})
}

// store is a check that either works or says why not.
func store(name, fix, good string, try func(context.Context) error) doctor.Check {
	return doctor.Check{Name: name, Run: func(ctx context.Context) []doctor.Finding {
		if err := try(ctx); err != nil {
			return []doctor.Finding{doctor.Fail(fix, "%v", err)}
		}
		return []doctor.Finding{doctor.OK("%s", good)}
	}}
}

func (n *node) checkLog(ctx context.Context) []doctor.Finding {
	if err := n.log.Ready(); err != nil {
		return []doctor.Finding{doctor.Fail("free space, or see the message: edits are refused until it can be written again", "%v", err)}
	}
	var commits uint64
	for p := range n.log.Partitions() {
		_, last, err := n.log.Bounds(ctx, p)
		if err != nil {
			return []doctor.Finding{doctor.Fail("see the message", "%v", err)}
		}
		commits += last
	}
	where := "embedded"
	if n.cfg.NATSURL != "" {
		where = "external"
	}
	return []doctor.Finding{doctor.OK("%s, %d partitions, %d commits, durability %s", where, n.log.Partitions(), commits, n.log.Durability())}
}

const probe = "doctor/store" // another name than the checks of R2 and KV use at the same time

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
	if err := n.kv.Put(ctx, "doctor:store", []byte("ok"), time.Minute); err != nil {
		return err
	}
	b, ok, err := n.kv.Get(ctx, "doctor:store")
	if err == nil && (!ok || string(b) != "ok") {
		err = fmt.Errorf("wrote %q, read %q", "ok", b)
	}
	return err
}

// checkDisk measures the disk below dir: room left, and what an fsync takes, which is what every ack waits for.
func checkDisk(dir string) []doctor.Finding {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return []doctor.Finding{doctor.Fail("choose a directory that this user may write, with --data", "%v", err).Named("data")}
	}
	return []doctor.Finding{checkSpace(dir), checkFsync(dir).Named("fsync")}
}

func checkSpace(dir string) doctor.Finding {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return doctor.Fail("see the message", "%v", err)
	}
	free := st.Bavail * uint64(st.Bsize)
	if free < lowDisk {
		return doctor.Warn("make room: edits are refused when it is full", "%d MiB free", free>>20)
	}
	return doctor.OK("%d GiB free", free>>30)
}

func checkFsync(dir string) doctor.Finding {
	d, err := bench.FsyncMedian(dir, 20)
	switch {
	case err != nil:
		return doctor.Fail("see the message", "%v", err)
	case d > slowFsync:
		return doctor.Warn("use a faster disk: every edit waits for one", "takes %s (median of 20)", d.Round(10*time.Microsecond))
	}
	return doctor.OK("takes %s (median of 20)", d.Round(10*time.Microsecond))
}
