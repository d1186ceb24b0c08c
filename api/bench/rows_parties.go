package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is clients of the old protocol in rooms; it runs the same way against the floor.
type crowd struct {
	clients   []*client
	delivered atomic.Int64 // messages that carry what is counted
	mu        sync.Mutex
	latencies samples
	began     time.Time
	marker    []byte // what a counted message holds
	record    bool
	wg        sync.WaitGroup
}

// join connects n clients; path gives each its address.
func join(ctx context.Context, addr string, n int, path func(i int) string, marker string) (*crowd, error) {
	c := &crowd{began: time.Now(), marker: []byte(marker), record: true}
	for i := range n {
		cl, err := dial(ctx, addr, path(i), "", 0)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.clients = append(c.clients, cl)
		c.wg.Go(func() { c.read(cl) })
	}
	return c, nil
}

func (c *crowd) Close() error {
	var errs []error
	for _, cl := range c.clients {
		errs = append(errs, cl.Close())
	}
	c.wg.Wait()
	return errors.Join(errs...)
}

// stampKey is the member in which a message says when it was sent (microseconds since began): latencies without a table.
const stampKey = `"currentTime":`

func (c *crowd) read(cl *client) {
	n := 0
	for {
		m, err := cl.read()
		if err != nil {
			return
		}
		if !bytes.Contains(m, c.marker) {
			continue
		}
		c.delivered.Add(1)
		if n++; !c.record || n%8 != 0 { // every eighth is enough for quantiles
			continue
		}
		if i := bytes.Index(m, []byte(stampKey)); i >= 0 {
			d := time.Since(c.began) - time.Duration(leadingInt(m[i+len(stampKey):]))*time.Microsecond
			c.mu.Lock()
			c.latencies = append(c.latencies, d)
			c.mu.Unlock()
		}
	}
}

// element is an image as old clients send it, about 300 bytes as a message.
func (c *crowd) element(kind, id string, n int) []byte {
	return fmt.Appendf(nil, `{"type":%q,"data":{"id":%q,"src":"https://example.com/images/user_2abc/01JABCDEFGHJKMNPQRSTVWXYZ0-photo.png","x":%d.25,"y":%d.5,"width":320.125,"height":200.5,"rotation":%d,"isGenerated":true,"parentGroupId":"group-1","scaleX":1,"scaleY":1,%s%d}}`,
		kind, id, n, n*2, n%360, stampKey, time.Since(c.began).Microseconds())
}

// send runs k senders, each rate messages a second for d.
func (c *crowd) send(senders []*client, rate int, d time.Duration, message func(sender, n int) []byte) error {
	errs := make(chan error, len(senders))
	var wg sync.WaitGroup
	began := time.Now()
	for i, cl := range senders {
		wg.Go(func() {
			step := time.Second / time.Duration(rate)
			next := began.Add(step * time.Duration(i) / time.Duration(len(senders)))
			for n := 0; time.Since(began) < d; n++ {
				time.Sleep(time.Until(next))
				next = next.Add(step)
				if err := cl.text(message(i, n)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// settle waits until nothing more is delivered for a while.
func (c *crowd) settle() {
	for last, quiet := int64(-1), 0; quiet < 5; {
		if n := c.delivered.Load(); n != last {
			last, quiet = n, 0
		} else {
			quiet++
		}
		time.Sleep(50 * time.Millisecond)
	}
}

type load struct {
	perThousand float64 // CPU seconds of the server per 1,000 deliveries
	delivered   int64
	p99         time.Duration
	rss         int64
}

// measure runs one load against one server and takes its CPU time per delivery.
func measure(p *process, c *crowd, run func() error) (load, error) {
	c.settle()
	c.mu.Lock()
	c.latencies = nil
	c.mu.Unlock()
	n0, cpu0 := c.delivered.Load(), mustCPU(p)
	if err := run(); err != nil {
		return load{}, err
	}
	c.settle()
	n, cpu := c.delivered.Load()-n0, mustCPU(p)-cpu0
	if n == 0 {
		return load{}, errors.New("nothing was delivered")
	}
	rss, err := p.rss()
	c.mu.Lock()
	defer c.mu.Unlock()
	return load{cpu.Seconds() / float64(n) * 1000, n, c.latencies.q(.99), rss}, err
}

func partyPath(room string, i int) string {
	return fmt.Sprintf("/parties/main/%s?_pk=client-%d&name=Client%%20%d", room, i, i)
}

// rowPartiesEdits: 50 old clients in a room, five of them edit 20 times a second.
func rowPartiesEdits(ctx context.Context, e *env) ([]Result, error) {
	raw, err := rawFsync(e.dir, 1000)
	if err != nil {
		return nil, err
	}
	const clients, editors, rate = 50, 5, 20
	run := func(p *process, path func(i int) string) (load, error) {
		c, err := join(ctx, p.addr, clients, path, `"image:update"`)
		if err != nil {
			return load{}, err
		}
		defer c.Close()
		for i := range editors {
			if err := c.clients[i].text(c.element("image:add", fmt.Sprintf("e%d", i), 0)); err != nil {
				return load{}, err
			}
		}
		return measure(p, c, func() error {
			return c.send(c.clients[:editors], rate, time.Duration(e.seconds)*time.Second, func(i, n int) []byte {
				return c.element("image:update", fmt.Sprintf("e%d", i), n)
			})
		})
	}
	floor, ours, durable, err := against(ctx, e, "parties-edits", run, func(i int) string { return "/x/room" }, func(i int) string { return partyPath("bench-edits", i) })
	if err != nil {
		return nil, err
	}
	limit := raw.q(.99)*4 + 10*time.Millisecond
	ratio := ours.perThousand / floor.perThousand
	return []Result{{"parties: one room, 50 clients, 5 editors × 20 edits/s of 300 B",
		fmt.Sprintf("%.4f s CPU per 1,000 (%.2f × floor), p99 %s, %d deliveries, %d durable commits", ours.perThousand, ratio, ms(ours.p99), ours.delivered, durable),
		fmt.Sprintf("%.4f s, p99 %s; raw fsync p99 %s", floor.perThousand, ms(floor.p99), ms(raw.q(.99))),
		fmt.Sprintf("≤ 1.5 × floor (stretch 1.2), p99 ≤ %s", ms(limit)), ratio <= 1.5 && ours.p99 <= limit}}, nil
}

// against runs a load on the floor, then on Kanvas; durable is how many commits Kanvas stored.
func against(ctx context.Context, e *env, name string, run func(*process, func(int) string) (load, error), floorPath, ourPath func(int) string) (floor, ours load, durable int64, err error) {
	f, err := e.floor(ctx)
	if err != nil {
		return floor, ours, 0, err
	}
	floor, err = run(f, floorPath)
	if err = errors.Join(err, f.stop()); err != nil {
		return floor, ours, 0, fmt.Errorf("floor: %w", err)
	}
	p, err := e.serve(ctx, name)
	if err != nil {
		return floor, ours, 0, err
	}
	ours, err = run(p, ourPath)
	if err == nil {
		durable, err = commits(ctx, p.addr)
	}
	return floor, ours, durable, errors.Join(err, p.stop())
}

// commits reads how many commits the server has stored from its metrics.
func commits(ctx context.Context, addr string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	for _, l := range strings.Split(string(body), "\n") {
		if v, ok := strings.CutPrefix(l, "kanvas_commit_seconds_count"); ok {
			f := strings.Fields(v)
			var n float64
			if _, err := fmt.Sscan(f[len(f)-1], &n); err != nil {
				return 0, err
			}
			return int64(n), nil
		}
	}
	return 0, errors.New("no kanvas_commit_seconds in the metrics")
}

// rowCursors: 50 clients, each moves its cursor 30 times a second.
func rowCursors(ctx context.Context, e *env) ([]Result, error) {
	const clients, rate = 50, 30
	d := time.Duration(e.seconds) * time.Second
	run := func(p *process, path func(i int) string) (load, error) {
		c, err := join(ctx, p.addr, clients, path, `"cursor:move"`)
		if err != nil {
			return load{}, err
		}
		defer c.Close()
		return measure(p, c, func() error {
			return c.send(c.clients, rate, d, func(i, n int) []byte {
				return fmt.Appendf(nil, `{"type":"cursor:move","data":{"userId":"client-%d","cursor":{"x":%d.5,"y":%d}}}`, i, time.Since(c.began).Microseconds(), n)
			})
		})
	}
	floor, ours, _, err := against(ctx, e, "cursors", run, func(i int) string { return "/x/room" }, func(i int) string { return partyPath("bench-cursors", i) })
	if err != nil {
		return nil, err
	}
	ratio := ours.perThousand / floor.perThousand
	res := []Result{{"parties: 50 clients × 30 cursors/s", fmt.Sprintf("%.4f s CPU per 1,000 (%.2f × floor), %d delivered", ours.perThousand, ratio, ours.delivered),
		fmt.Sprintf("%.4f s, %d delivered", floor.perThousand, floor.delivered), "≤ 1.2 × floor", ratio <= 1.2}}
	v1, err := cursorsV1(ctx, e, clients, rate, d)
	if err != nil {
		return res, err
	}
	ratio = v1.perThousand / floor.perThousand
	return append(res, Result{"v1: 50 clients × 30 cursors/s", fmt.Sprintf("%.4f s CPU per 1,000 positions (%.2f × floor), p99 %s, %d positions", v1.perThousand, ratio, ms(v1.p99), v1.delivered),
		fmt.Sprintf("%.4f s", floor.perThousand), "≤ 0.4 × floor, p99 ≤ 40 ms", ratio <= .4 && v1.p99 <= 40*time.Millisecond}), nil
}

func cursorsV1(ctx context.Context, e *env, clients, rate int, d time.Duration) (load, error) {
	p, err := e.serve(ctx, "cursors-v1")
	if err != nil {
		return load{}, err
	}
	defer p.stop() //nolint:errcheck // the row's own error says more
	first, err := editor(ctx, p.addr, "cursors")
	if err != nil {
		return load{}, err
	}
	defer first.Close()
	c := &crowd{began: time.Now(), record: true}
	for i := range clients {
		token, err := guest(ctx, p.addr, fmt.Sprintf("c%d", i))
		if err != nil {
			return load{}, err
		}
		v, err := dialV1(ctx, p.addr, "cursors", token, "bench")
		if err != nil {
			return load{}, err
		}
		v.onFrame = func(m []byte) { c.positionsIn(m) }
		c.clients = append(c.clients, v.client)
		c.wg.Go(func() { v.ended(v.loop()) })
	}
	defer c.Close()
	return measure(p, c, func() error {
		return c.send(c.clients, rate, d, func(i, n int) []byte {
			return fmt.Appendf(nil, `{"type":"cursor","x":%d,"y":%d}`, time.Since(c.began).Microseconds(), n)
		})
	})
}

// positionsIn counts the cursor positions of a frame and takes the age of one of them (x is the time it was sent).
func (c *crowd) positionsIn(m []byte) {
	n := bytes.Count(m, []byte(`"cursor":{`))
	if n == 0 {
		return
	}
	c.delivered.Add(int64(n))
	i := bytes.Index(m, []byte(`"cursor":{`))
	var pos struct{ X float64 }
	if json.NewDecoder(bytes.NewReader(m[i+len(`"cursor":`):])).Decode(&pos) == nil && pos.X > 0 {
		age := time.Since(c.began) - time.Duration(pos.X)*time.Microsecond
		c.mu.Lock()
		c.latencies = append(c.latencies, age)
		c.mu.Unlock()
	}
}

// rowFloodParties: one sender as fast as it can, nine receivers, both servers.
func rowFloodParties(ctx context.Context, e *env) ([]Result, error) {
	d := time.Duration(e.seconds) * time.Second
	run := func(p *process, path func(i int) string) (load, error) {
		c, err := join(ctx, p.addr, 10, path, `"image:update"`)
		if err != nil {
			return load{}, err
		}
		defer c.Close()
		c.record = false
		for i := range 64 {
			if err := c.clients[0].text(c.element("image:add", fmt.Sprintf("e%d", i), 0)); err != nil {
				return load{}, err
			}
		}
		var took time.Duration
		l, err := measure(p, c, func() error {
			began := time.Now()
			for n := 0; time.Since(began) < d; n++ {
				// At most 64 edits ahead of the slowest count: "64 in flight", as in the v1 row.
				if err := c.clients[0].text(c.element("image:update", fmt.Sprintf("e%d", n%64), n)); err != nil {
					return err
				}
				for stall := 0; int64(n-64)*9 > c.delivered.Load() && stall < 2000; stall++ {
					time.Sleep(50 * time.Microsecond)
				}
			}
			took = time.Since(began)
			return nil
		})
		l.p99 = took
		return l, err
	}
	floor, ours, durable, err := against(ctx, e, "flood-parties", run, func(int) string { return "/x/room" }, func(i int) string { return partyPath("bench-flood", i) })
	if err != nil {
		return nil, err
	}
	rate := func(l load) float64 { return float64(l.delivered) / l.p99.Seconds() }
	return []Result{{"parties: edits as fast as they go, 1 room, 9 receivers", fmt.Sprintf("%.0f delivered/s, %.4f s CPU per 1,000, %d durable commits", rate(ours), ours.perThousand, durable),
		fmt.Sprintf("%.0f delivered/s, %.4f s CPU", rate(floor), floor.perThousand), "≥ 250,000 delivered/s", rate(ours) >= 250_000}}, nil
}

// rowRoomsParties: 200 rooms of three old clients, each edits once a second.
func rowRoomsParties(ctx context.Context, e *env) ([]Result, error) {
	const rooms, people = 200, 3
	run := func(p *process, path func(i int) string) (load, error) {
		c, err := join(ctx, p.addr, rooms*people, path, `"image:update"`)
		if err != nil {
			return load{}, err
		}
		defer c.Close()
		for i, cl := range c.clients {
			if err := cl.text(c.element("image:add", fmt.Sprintf("e%d", i), 0)); err != nil {
				return load{}, err
			}
		}
		return measure(p, c, func() error {
			return c.send(c.clients, 1, time.Duration(e.seconds)*time.Second, func(i, n int) []byte {
				return c.element("image:update", fmt.Sprintf("e%d", i), n)
			})
		})
	}
	floor, ours, durable, err := against(ctx, e, "rooms-parties", run,
		func(i int) string { return fmt.Sprintf("/x/room-%d", i/people) }, func(i int) string { return partyPath(fmt.Sprintf("bench-room-%d", i/people), i) })
	if err != nil {
		return nil, err
	}
	ratio := ours.perThousand / floor.perThousand
	return []Result{{"parties: 200 rooms × 3 clients × 1 edit/s",
		fmt.Sprintf("%.3f s CPU per 1,000 (%.2f × floor), %d MiB, %d deliveries, %d durable commits", ours.perThousand, ratio, ours.rss>>20, ours.delivered, durable),
		fmt.Sprintf("%.4f s", floor.perThousand), "≤ 4.8 × floor (stretch 3.5), ≤ 120 MiB", ratio <= 4.8 && ours.rss <= 120<<20}}, nil
}
