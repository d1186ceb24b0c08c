package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// rowAck: one editor, one command at a time, each acknowledged after its fsync.
func rowAck(ctx context.Context, e *env) ([]Result, error) {
	p, err := e.serve(ctx, "ack")
	if err != nil {
		return nil, err
	}
	defer p.stop() //nolint:errcheck // the row's own error says more
	v, err := editor(ctx, p.addr, "ack")
	if err != nil {
		return nil, err
	}
	defer v.Close()
	// The disk is measured before and after, so that a disk that changes its mood shows.
	before, err := rawFsync(e.dir, 500)
	if err != nil {
		return nil, err
	}
	v.latencies = nil
	for i := range 1000 {
		if err := v.command(uint64(i+2), "element.patch", patch("s", i)); err != nil {
			return nil, err
		}
		if err := v.wait(ctx, uint64(i+2)); err != nil {
			return nil, err
		}
	}
	after, err := rawFsync(e.dir, 500)
	if err != nil {
		return nil, err
	}
	raw := append(before, after...).q(.5)
	got, limit := v.latencies.q(.5), raw*2+time.Millisecond
	return []Result{{"one editor (v1), ack after fsync", fmt.Sprintf("p50 %s, p99 %s", ms(got), ms(v.latencies.q(.99))),
		fmt.Sprintf("raw write+fsync p50 %s", ms(raw)), fmt.Sprintf("p50 ≤ 2 × raw + 1 ms = %s", ms(limit)), got <= limit}}, nil
}

// editor joins a fresh room with one element "s" in it, acknowledged as seq 1.
func editor(ctx context.Context, addr, room string) (*v1client, error) {
	token, err := guest(ctx, addr, "editor")
	if err != nil {
		return nil, err
	}
	if err := createRoom(ctx, addr, token, room); err != nil {
		return nil, err
	}
	v, err := dialV1(ctx, addr, room, token, "bench")
	if err != nil {
		return nil, err
	}
	go func() { v.ended(v.loop()) }()
	if err := v.command(1, "element.add", addShape("s")); err != nil {
		return nil, err
	}
	return v, v.wait(ctx, 1)
}

// ended closes acked, so that waiters see that nothing will come.
func (v *v1client) ended(error) { close(v.acked) }

func (v *v1client) wait(ctx context.Context, seq uint64) error {
	t := time.NewTimer(20 * time.Second)
	defer t.Stop()
	for {
		select {
		case got, ok := <-v.acked:
			if !ok {
				return errors.New("socket ended before the ack")
			}
			if got >= seq {
				return nil
			}
		case <-t.C:
			return fmt.Errorf("no ack of %d in 20 s", seq)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rowFloodV1: one room, an editor that keeps 64 commands in flight, nine receivers; and the same with one in flight, where
// every event is a commit of its own.
func rowFloodV1(ctx context.Context, e *env) ([]Result, error) {
	raw, err := rawFsync(e.dir, 500)
	if err != nil {
		return nil, err
	}
	p, err := e.serve(ctx, "flood")
	if err != nil {
		return nil, err
	}
	defer p.stop() //nolint:errcheck // the row's own error says more
	v, err := editor(ctx, p.addr, "flood")
	if err != nil {
		return nil, err
	}
	defer v.Close()
	single, _, err := v.flood(ctx, "s", 2, 1, time.Second)
	if err != nil {
		return nil, err
	}
	var receivers []*v1client
	for i := range 9 {
		token, err := guest(ctx, p.addr, fmt.Sprintf("receiver %d", i))
		if err != nil {
			return nil, err
		}
		r, err := dialV1(ctx, p.addr, "flood", token, "bench")
		if err != nil {
			return nil, err
		}
		defer r.Close()
		go func() { r.ended(r.loop()) }()
		receivers = append(receivers, r)
	}
	count := func() (n int64) {
		for _, r := range receivers {
			n += r.events.Load()
		}
		return n
	}
	before, cpu0 := count(), mustCPU(p)
	began := time.Now()
	rate, n, err := v.flood(ctx, "s", 1_000_000, 64, time.Duration(e.seconds)*time.Second)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(5 * time.Second)
	for count()-before < int64(9*n) && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	delivered := float64(count()-before) / time.Since(began).Seconds()
	cpu := mustCPU(p) - cpu0
	res := []Result{{"edits as fast as they go (v1), 1 room, 64 in flight, 9 receivers",
		fmt.Sprintf("%.0f durable events/s, %.0f delivered/s, %.1f µs CPU an event", rate, delivered, float64(cpu.Microseconds())/float64(n)),
		fmt.Sprintf("one commit per event: %.0f/s", single), "≥ 20,000 durable/s, ≥ 180,000 delivered/s", rate >= 20_000 && delivered >= 180_000}}
	ratio := Result{"… against one commit per event", fmt.Sprintf("%.1f ×", rate/single), fmt.Sprintf("raw fsync p50 %s", ms(raw.q(.5))), "≥ 20 × where raw fsync p50 ≥ 0.4 ms", true}
	if raw.q(.5) >= 400*time.Microsecond {
		ratio.OK = rate/single >= 20
	}
	return append(res, ratio), nil
}

// flood keeps window commands on an element in flight for d and returns acks per second and how many.
func (v *v1client) flood(ctx context.Context, id string, first uint64, window int, d time.Duration) (float64, int, error) {
	began, n := time.Now(), 0
	next, done := first, first-1
	for time.Since(began) < d {
		for next <= done+uint64(window) {
			if err := v.command(next, "element.patch", patch(id, int(next))); err != nil {
				return 0, 0, err
			}
			next++
		}
		seq, ok := <-v.acked
		if !ok {
			return 0, 0, errors.New("socket ended")
		}
		done = max(done, seq)
		n++
	}
	rate := float64(n) / time.Since(began).Seconds()
	return rate, int(next - first), v.waitIf(ctx, done, next-1)
}

func (v *v1client) waitIf(ctx context.Context, done, last uint64) error {
	if done >= last {
		return nil
	}
	return v.wait(ctx, last)
}

func mustCPU(p *process) time.Duration {
	d, err := p.cpu()
	if err != nil {
		panic(fmt.Sprintf("read the server's CPU time: %v", err)) // /proc is there or nothing here can be measured
	}
	return d
}

// rowRoomsV1: 200 rooms, ten commits a second in each.
func rowRoomsV1(ctx context.Context, e *env) ([]Result, error) {
	p, err := e.serve(ctx, "rooms")
	if err != nil {
		return nil, err
	}
	defer p.stop() //nolint:errcheck // the row's own error says more
	const rooms, rate = 200, 10
	vs := make([]*v1client, rooms)
	for i := range vs {
		if vs[i], err = editor(ctx, p.addr, fmt.Sprintf("room-%d", i)); err != nil {
			return nil, err
		}
		defer vs[i].Close()
	}
	for _, v := range vs {
		v.latencies = nil
	}
	var wg sync.WaitGroup
	errs := make(chan error, rooms)
	cpu0, began := mustCPU(p), time.Now()
	for i, v := range vs {
		wg.Go(func() {
			next := began.Add(time.Duration(i) * time.Second / rate / rooms)
			for n := range e.seconds * rate {
				time.Sleep(time.Until(next))
				next = next.Add(time.Second / rate)
				if err := v.command(uint64(n+2), "element.patch", patch("s", n)); err != nil {
					errs <- err
					return
				}
			}
			if err := v.wait(ctx, uint64(e.seconds*rate+1)); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	cpu := mustCPU(p) - cpu0
	close(errs)
	if err := <-errs; err != nil {
		return nil, err
	}
	var all samples
	for _, v := range vs {
		all = append(all, v.latencies...)
	}
	return []Result{{"v1: 200 rooms × 10 commits/s", fmt.Sprintf("%d acked, p50 %s, p99 %s, %.0f µs CPU a commit", len(all), ms(all.q(.5)), ms(all.q(.99)), float64(cpu.Microseconds())/float64(len(all))),
		"–", "all served, ack p50 ≤ 15 ms", len(all) == rooms*rate*e.seconds && all.q(.5) <= 15*time.Millisecond}}, nil
}
