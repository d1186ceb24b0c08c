package projections

import (
	"context"
	"time"
)

// applyAll gathers chunks into batches and applies them.
func (r *Runner) applyAll(ctx context.Context, e *engine, chunks <-chan chunk) error {
	for {
		batch, taken, err := r.gather(ctx, chunks)
		if err != nil {
			return err
		}
		if err := r.applyBatch(ctx, e, batch); err != nil {
			return err
		}
		for _, c := range taken {
			close(c)
		}
	}
}

func (r *Runner) applyBatch(ctx context.Context, e *engine, batch []*change) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	if err := ctx.Err(); err != nil {
		return err // a swap happened meanwhile
	}
	return e.apply(ctx, batch)
}

// gather collects a batch: it waits for a first chunk, and for more until the linger is over, the batch is full, or somebody waits for it.
func (r *Runner) gather(ctx context.Context, chunks <-chan chunk) (batch []*change, taken []chan struct{}, err error) {
	g := gathering{most: r.cfg.Batch}
	defer g.stop()
	for {
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case c := <-chunks:
			g.add(c)
			if g.full() || r.cfg.Linger < 0 || r.wait.any() {
				return g.batch, g.taken, nil
			}
			if g.timer == nil {
				g.wait(r.linger())
			}
		case <-g.timer:
			if g.settled || g.linger < minSettled {
				return g.batch, g.taken, nil
			}
			g.settle()
		case <-r.wait.kick:
			if len(g.batch) > 0 {
				return g.batch, g.taken, nil
			}
		}
	}
}

func (r *Runner) linger() time.Duration {
	if r.cfg.Pace != nil {
		return r.cfg.Pace()
	}
	return r.cfg.Linger
}

// A reader that is at the end of the log waits for its chunk to be applied, to read once for a batch. Where batches are far apart, what came
// meanwhile would be late by a whole linger more: so before a batch is closed its readers may read once more.
const (
	minSettled = 100 * time.Millisecond
	settleTime = 25 * time.Millisecond
)

// gathering is a batch in the making.
type gathering struct {
	most    int
	batch   []*change
	taken   []chan struct{}
	size    int
	linger  time.Duration
	timer   <-chan time.Time
	clock   *time.Timer
	settled bool
}

func (g *gathering) add(c chunk) {
	g.batch = append(g.batch, c.changes...)
	g.size += c.size
	if c.taken != nil {
		g.taken = append(g.taken, c.taken)
	}
}

func (g *gathering) full() bool { return len(g.batch) >= g.most || g.size >= 2*chunkBytes }

func (g *gathering) wait(d time.Duration) {
	g.stop()
	g.linger = d
	g.clock = time.NewTimer(d)
	g.timer = g.clock.C
}

func (g *gathering) stop() {
	if g.clock != nil {
		g.clock.Stop()
	}
}

// settle lets the readers go on for a moment.
func (g *gathering) settle() {
	for _, c := range g.taken {
		close(c)
	}
	g.taken, g.settled = nil, true
	g.wait(settleTime)
}

// applied tells whoever waits, and the caches.
func (r *Runner) applied(batch []*change) {
	r.wait.advance(batch)
	if r.cfg.Caches != nil {
		r.cfg.Caches.applied(batch)
	}
}
