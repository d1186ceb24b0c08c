package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// rowJoin: how long until a newcomer holds 2,000 elements, alone and with 19 others at once.
func rowJoin(ctx context.Context, e *env) ([]Result, error) {
	els, err := elements(e.drawings, 2000)
	if err != nil {
		return nil, err
	}
	p, err := e.serve(ctx, "join")
	if err != nil {
		return nil, err
	}
	defer p.stop() //nolint:errcheck // the row's own error says more
	token, err := guest(ctx, p.addr, "owner")
	if err != nil {
		return nil, err
	}
	if err := createRoom(ctx, p.addr, token, "join"); err != nil {
		return nil, err
	}
	size := 0
	for i := 0; i < len(els); i += 100 {
		var list []any
		for _, el := range els[i : i+100] {
			size += len(el)
			list = append(list, map[string]any{"command": "element.add", "data": map[string]any{"element": el}})
		}
		if err := post(ctx, p.addr, "/v1/rooms/join/commands", token, map[string]any{"commands": list}, nil); err != nil {
			return nil, err
		}
	}
	f, err := e.floor(ctx)
	if err != nil {
		return nil, err
	}
	defer f.stop() //nolint:errcheck // the row's own error says more
	if err := floorState(ctx, f.addr, els); err != nil {
		return nil, err
	}
	var out []Result
	for _, t := range []struct {
		name, addr string
		once       func(i int) error
	}{
		{"v1", p.addr, func(i int) error {
			v, err := dialV1(ctx, p.addr, "join", token, fmt.Sprintf("join-%d", i))
			if err != nil {
				return err
			}
			return v.Close()
		}},
		{"parties", p.addr, func(i int) error { return joinParty(ctx, p.addr, partyPath("join", i)) }},
	} {
		alone, crowd, err := joinTimes(t.once)
		if err != nil {
			return out, fmt.Errorf("%s: %w", t.name, err)
		}
		fAlone, fCrowd, err := joinTimes(func(int) error { return joinFloor(ctx, f.addr) })
		if err != nil {
			return out, fmt.Errorf("floor: %w", err)
		}
		out = append(out, Result{fmt.Sprintf("join, 2,000 elements (%d KB), %s", size/1000, t.name), fmt.Sprintf("p50 %s alone, %s when 20 join at once", ms(alone), ms(crowd)),
			fmt.Sprintf("%s and %s", ms(fAlone), ms(fCrowd)), "≤ 3 ms alone, ≤ 20 ms for 20", alone <= 3*time.Millisecond && crowd <= 20*time.Millisecond})
	}
	return out, nil
}

// joinTimes runs once 60 times alone and five times by twenty at the same moment, and gives the medians.
func joinTimes(once func(i int) error) (alone, crowd time.Duration, err error) {
	var a, b samples
	for i := range 60 {
		t := time.Now()
		if err := once(i); err != nil {
			return 0, 0, err
		}
		a = append(a, time.Since(t))
	}
	for range 5 {
		var mu sync.Mutex
		var wg sync.WaitGroup
		var failed error
		gate := make(chan struct{})
		for i := range 20 {
			wg.Go(func() {
				<-gate
				t := time.Now()
				err := once(1000 + i)
				mu.Lock()
				defer mu.Unlock()
				b = append(b, time.Since(t))
				failed = errors.Join(failed, err)
			})
		}
		close(gate)
		wg.Wait()
		if failed != nil {
			return 0, 0, failed
		}
	}
	return a.q(.5), b.q(.5), nil
}

func joinParty(ctx context.Context, addr, path string) error {
	c, err := dial(ctx, addr, path, "", 0)
	if err != nil {
		return err
	}
	for {
		m, err := c.read()
		if err != nil {
			return errors.Join(err, c.Close())
		}
		if bytes.HasPrefix(m, []byte(`{"type":"sync:full"`)) {
			return c.Close()
		}
	}
}

func floorState(ctx context.Context, addr string, els []json.RawMessage) error {
	state, err := json.Marshal(map[string]any{"type": "snapshot", "elements": els})
	if err != nil {
		return err
	}
	c, err := dial(ctx, addr, "/state/join", "", 0)
	if err != nil {
		return err
	}
	if err := c.text(state); err != nil {
		return errors.Join(err, c.Close())
	}
	_, err = c.read()
	return errors.Join(err, c.Close())
}

func joinFloor(ctx context.Context, addr string) error {
	c, err := dial(ctx, addr, "/x/join", "", 0)
	if err != nil {
		return err
	}
	_, err = c.read()
	return errors.Join(err, c.Close())
}

// The made logs: million events, busyCommit in a commit as group commit makes them in a busy room.
const (
	million    = 1_000_000
	busyCommit = 10
)

// rowStart: from the command line to listening with a log of a million events.
func rowStart(ctx context.Context, e *env) ([]Result, error) {
	dir := filepath.Join(e.dir, "start")
	if err := e.fill(ctx, dir, million, busyCommit); err != nil {
		return nil, err
	}
	// Once to let the projections catch up, once to measure: a restart is what an operator waits for.
	var took time.Duration
	var rss int64
	for range 2 {
		p, err := e.serve(ctx, "start")
		if err != nil {
			return nil, err
		}
		took = p.took
		if err := ready(ctx, p.addr); err != nil {
			return nil, errors.Join(err, p.stop())
		}
		if rss, err = p.rss(); err != nil {
			return nil, errors.Join(err, p.stop())
		}
		if err := p.stop(); err != nil {
			return nil, err
		}
	}
	return []Result{{"start with 1,000,000 events", fmt.Sprintf("%.2f s to listening, %d MiB", took.Seconds(), rss>>20), "–", "≤ 2 s, ≤ 400 MiB",
		took <= 2*time.Second && rss <= 400<<20}}, nil
}

// rowRebuild: all projections from a log of a million events, and from one of as many commits with one event each.
func rowRebuild(ctx context.Context, e *env) (res []Result, err error) {
	for _, perCommit := range []int{busyCommit, 1} {
		dir := filepath.Join(e.dir, fmt.Sprintf("rebuild-%d", perCommit))
		if err := e.fill(ctx, dir, million*perCommit/busyCommit, perCommit); err != nil { // as many commits
			return res, err
		}
		n, took, err := e.rebuild(ctx, dir)
		if err != nil {
			return res, err
		}
		rate := float64(n) / took.Seconds()
		res = append(res, Result{fmt.Sprintf("rebuild, %d events a commit", perCommit), fmt.Sprintf("%.0f events/s (%d events in %.1f s)", rate, n, took.Seconds()),
			"–", "≥ 100,000 events/s on SQLite", rate >= 100_000})
	}
	return res, nil
}

// rowIdle: what a socket costs that does nothing.
func rowIdle(ctx context.Context, e *env) ([]Result, error) {
	p, err := e.serve(ctx, "idle")
	if err != nil {
		return nil, err
	}
	defer p.stop() //nolint:errcheck // the row's own error says more
	ed, err := editor(ctx, p.addr, "idle")
	if err != nil {
		return nil, err
	}
	defer ed.Close()
	before, err := p.rss()
	if err != nil {
		return nil, err
	}
	const n = 1000
	for i := range n {
		token, err := guest(ctx, p.addr, fmt.Sprintf("idle %d", i))
		if err != nil {
			return nil, err
		}
		v, err := dialV1(ctx, p.addr, "idle", token, "bench")
		if err != nil {
			return nil, err
		}
		defer v.Close()
		go func() { v.ended(v.loop()) }()
	}
	time.Sleep(3 * time.Second) // presence of the last ones has gone out, buffers have been given back
	after, err := p.rss()
	if err != nil {
		return nil, err
	}
	each := (after - before) / n
	return []Result{{"1,000 idle sockets (v1, one room, each a guest of its own)", fmt.Sprintf("%.1f KiB each", float64(each)/1024), "–", "≤ 40 KiB each", each <= 40<<10}}, nil
}

// rowSlow: the fast ones of a room while a thousand others do not read.
func rowSlow(ctx context.Context, e *env) ([]Result, error) {
	p, err := e.serve(ctx, "slow")
	if err != nil {
		return nil, err
	}
	defer p.stop() //nolint:errcheck // the row's own error says more
	v, err := editor(ctx, p.addr, "slow")
	if err != nil {
		return nil, err
	}
	defer v.Close()
	token, err := guest(ctx, p.addr, "fast")
	if err != nil {
		return nil, err
	}
	fast, err := dialV1(ctx, p.addr, "slow", token, "bench")
	if err != nil {
		return nil, err
	}
	defer fast.Close()
	// A picture: old clients are shown nothing else, and the slow ones must be sent every edit.
	if err := v.command(2, "element.add", addPicture("pic")); err != nil {
		return nil, err
	}
	if err := v.wait(ctx, 2); err != nil {
		return nil, err
	}
	var got atomic.Int64
	fast.onFrame = func(m []byte) { got.Add(int64(bytes.Count(m, []byte(`"type":"element.`)))) }
	go func() { fast.ended(fast.loop()) }()
	paced := func(first uint64) (time.Duration, error) {
		v.latencies = nil
		for i := range uint64(400) {
			if err := v.command(first+i, "element.patch", patch("pic", int(i))); err != nil {
				return 0, err
			}
			if err := v.wait(ctx, first+i); err != nil {
				return 0, err
			}
			time.Sleep(2 * time.Millisecond)
		}
		return v.latencies.q(.99), nil
	}
	alone, err := paced(3)
	if err != nil {
		return nil, err
	}
	const n = 1000
	for i := range n {
		c, err := dial(ctx, p.addr, partyPath("slow", i), "", 4096)
		if err != nil {
			return nil, err
		}
		defer c.Close()
	}
	before, err := p.rss()
	if err != nil {
		return nil, err
	}
	with, err := paced(1000)
	if err != nil {
		return nil, err
	}
	// Then as much as fills every queue: 4 MiB of commits to each.
	if _, _, err := v.flood(ctx, "pic", 10_000, 64, time.Duration(e.seconds)*time.Second); err != nil {
		return nil, err
	}
	after, err := p.rss()
	if err != nil {
		return nil, err
	}
	each := (after - before) / n
	// The median of the slow machine's noise: p99 may double or move by two milliseconds.
	limit := max(alone*2, alone+2*time.Millisecond)
	return []Result{{"1,000 slow readers in one room", fmt.Sprintf("%.0f KiB each; the fast ones' ack p99 %s (alone %s); the fast reader got %d events", float64(each)/1024, ms(with), ms(alone), got.Load()),
		"–", "≤ 256 KiB each, p99 unchanged within noise", each <= 256<<10 && with <= limit}}, nil
}

// ready waits until /readyz answers 200.
func ready(ctx context.Context, addr string) error {
	for deadline := time.Now().Add(60 * time.Second); ; {
		ok, err := get(ctx, addr, "/readyz")
		if ok {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready after a minute: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
