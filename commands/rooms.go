package commands

import (
	"context"
	"sync"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"golang.org/x/sync/semaphore"
)

// Dispatcher implements Rooms: it loads rooms when they are asked for, keeps their actors and unloads idle ones.
type Dispatcher struct {
	cfg     Config
	ids     *idSource
	metrics *metrics
	loads   *semaphore.Weighted
	folds   *semaphore.Weighted
	past    viewCache

	base   context.Context // of loads and appends; ends when Close has waited long enough
	cancel context.CancelFunc
	wg     sync.WaitGroup // actors, loads, the janitor
	quit   chan struct{}

	mu     sync.Mutex
	slots  map[string]*slot
	closed bool
}

// slot is the place of one room. Fields but ready are guarded by Dispatcher.mu; a and err are fixed once ready is closed.
type slot struct {
	room  string
	ready chan struct{}
	a     *actor
	err   error
	until time.Time // a failed slot refuses until then

	holds    int // callers that use the room or wait for it
	lastUsed time.Time
}

// keepFailed is how long a damaged room is refused without being read again.
const keepFailed = 2 * time.Second

// NewDispatcher starts the road to all rooms of this process. Close it.
func NewDispatcher(cfg Config) *Dispatcher {
	cfg = cfg.withDefaults()
	d := &Dispatcher{
		cfg:   cfg,
		ids:   newIDSource(cfg.Clock),
		loads: semaphore.NewWeighted(int64(cfg.LoadsAtOnce)),
		folds: semaphore.NewWeighted(int64(cfg.FoldsAtOnce)),
		quit:  make(chan struct{}),
		slots: map[string]*slot{},
	}
	d.metrics = newMetrics(cfg.Metrics, func() float64 { return float64(d.Loaded()) })
	d.base, d.cancel = context.WithCancel(context.Background())
	d.wg.Go(d.janitor)
	return d
}

// Loaded is how many rooms are in memory.
func (d *Dispatcher) Loaded() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.slots)
}

// Do implements Rooms.
func (d *Dispatcher) Do(ctx context.Context, roomID string, r Request) (Result, error) {
	s, err := d.acquire(ctx, roomID)
	if err != nil {
		return Result{}, err
	}
	defer d.release(s)
	type reply struct {
		res Result
		err error
	}
	ch := make(chan reply, 1)
	if err := s.a.box.submit(r, func(res Result, err error) { ch <- reply{res, err} }); err != nil {
		d.metrics.refusedRequest()
		return Result{}, err
	}
	select {
	case rep := <-ch:
		return rep.res, rep.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// Watch implements Rooms.
func (d *Dispatcher) Watch(ctx context.Context, roomID string, w Watcher) (Watch, error) {
	s, err := d.acquire(ctx, roomID)
	if err != nil {
		return nil, err
	}
	a := s.a
	wt := &watch{a: a, w: w, release: func() { d.release(s) }}
	if !a.box.task(func() { a.watchers = append(a.watchers, wt) }) {
		d.release(s)
		return nil, a.box.stopped()
	}
	return wt, nil
}

// View implements Rooms.
func (d *Dispatcher) View(ctx context.Context, roomID string) (*View, error) {
	s, err := d.acquire(ctx, roomID)
	if err != nil {
		return nil, err
	}
	defer d.release(s)
	v, err := s.a.current(ctx)
	if err != nil {
		return nil, err
	}
	if v.Revision == 0 || v.Deleted {
		return nil, errNoRoom
	}
	return v, nil
}

// Close lets pending commits finish and ends all actors: requests get CodeReadOnly from now on, watchers are told by Ended. Where ctx ends
// first, appends under way are given up (their outcome is told as unknown) and ctx's error is returned.
func (d *Dispatcher) Close(ctx context.Context) error {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.quit)
	}
	for _, s := range d.slots {
		if s.a != nil {
			s.a.box.close(errShutdown)
		}
	}
	d.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends when the wait group is done, which the cancel below forces
		d.wg.Wait()
		close(done)
	}()
	defer d.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		d.cancel()
		<-done
		return ctx.Err()
	}
}

// acquire returns the room's slot, loaded, and keeps it from being unloaded until release.
func (d *Dispatcher) acquire(ctx context.Context, roomID string) (*slot, error) {
	if !events.ValidStreamID(roomID) || !domain.ValidRoomID(roomID) {
		return nil, errNoRoom
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, errShutdown
	}
	s := d.slots[roomID]
	if s != nil && !s.until.IsZero() && time.Now().After(s.until) {
		delete(d.slots, roomID)
		s = nil
	}
	if s == nil {
		if !d.makePlace(ctx) {
			d.mu.Unlock()
			return nil, errTooMany
		}
		if d.closed { // while it waited
			d.mu.Unlock()
			return nil, errShutdown
		}
		s = d.slots[roomID] // somebody else may have loaded it meanwhile
	}
	if s == nil {
		s = &slot{room: roomID, ready: make(chan struct{})}
		d.slots[roomID] = s
		d.wg.Go(func() { d.load(s) })
	}
	s.holds++
	d.mu.Unlock()
	select {
	case <-s.ready:
	case <-ctx.Done():
		d.release(s)
		return nil, ctx.Err()
	}
	if s.err != nil {
		d.release(s)
		return nil, s.err
	}
	return s, nil
}

func (d *Dispatcher) release(s *slot) {
	d.mu.Lock()
	s.holds--
	s.lastUsed = time.Now()
	d.mu.Unlock()
}

// failed marks a slot whose room can't be served; it is tried again after keepFailed, other errors at once.
func (d *Dispatcher) failed(s *slot, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.slots[s.room] != s {
		return
	}
	if !isCode(err, domain.CodeInternal) {
		delete(d.slots, s.room)
		return
	}
	s.until = time.Now().Add(keepFailed)
}
