package projections

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
)

// Status is how a Runner is doing.
type Status struct {
	Known   bool          // where it stands was read since the start
	Behind  uint64        // commits in the log that are not applied
	Age     time.Duration // of the oldest of them
	Standby bool          // another node applies
	Err     error         // of the last try, nil where it went well
}

// status is what Status shows; mu is held for moments only.
type status struct {
	mu      sync.Mutex
	at      map[int]Checkpoint
	known   bool
	standby bool
	err     error
	behind  uint64
	age     time.Duration
}

// failed keeps the error of a try, nil for one that went well, and says whether it is another than before.
func (s *status) failed(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.err
	s.err = err
	return err != nil && (before == nil || before.Error() != err.Error())
}

func (s *status) moved(at map[int]Checkpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.known, s.err, s.standby = at, true, nil, false
}

func (s *status) stoodBy(at map[int]Checkpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.known, s.err, s.standby = at, true, nil, true
}

func (s *status) position() map[int]Checkpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *status) lagging(behind uint64, age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind, s.age = behind, age
}

// Status says how the Runner is doing, as of at most two seconds ago. It asks nobody.
func (r *Runner) Status() Status {
	s := &r.status
	s.mu.Lock()
	defer s.mu.Unlock()
	return Status{Known: s.known, Behind: s.behind, Age: s.age, Standby: s.standby, Err: s.err}
}

// lagEvery is how often the log's bounds are compared with the position.
const lagEvery = 2 * time.Second

// watchLag goes on while the store is away, too.
func (r *Runner) watchLag(ctx context.Context) {
	for {
		if commits, oldest, err := r.lag(ctx, r.status.position()); err == nil {
			age := time.Duration(0)
			if oldest > 0 {
				age = max(0, r.cfg.Now().Sub(time.UnixMilli(oldest)))
			}
			r.status.lagging(commits, age)
			r.metrics.setLag(commits, age)
		}
		if sleep(ctx, lagEvery) != nil {
			return
		}
	}
}

// lag counts the commits that are not applied; oldest is the time of the oldest of them, 0 where there is none.
func (r *Runner) lag(ctx context.Context, at map[int]Checkpoint) (commits uint64, oldest int64, err error) {
	for p := range r.cfg.Source.Partitions() {
		_, last, err := r.cfg.Source.Bounds(ctx, p)
		if err != nil {
			return 0, 0, err
		}
		if last <= at[p].Seq {
			continue
		}
		commits += last - at[p].Seq
		recs, err := r.cfg.Source.Next(ctx, p, at[p].Seq, 1, 1)
		if err != nil {
			return 0, 0, err
		}
		if len(recs) == 0 {
			continue
		}
		if _, _, t, _, _, _, err := events.DecodeHeader(recs[0].Payload); err == nil && (oldest == 0 || t < oldest) {
			oldest = t
		}
	}
	return commits, oldest, nil
}

// standBy lets another node go on, until commits wait and the checkpoint has not moved between two looks.
func (r *Runner) standBy(ctx context.Context) {
	r.cfg.Logger.InfoContext(ctx, "projection: another node applies, standing by", "event", "projection_stand_by")
	r.metrics.setStandby(true)
	defer r.metrics.setStandby(false)
	var before map[int]Checkpoint
	for {
		at, err := r.cfg.Store.Checkpoints(ctx, Tables)
		if err != nil {
			before = nil
			r.status.failed(err)
		} else {
			r.status.stoodBy(at)
			behind, _, err := r.lag(ctx, at)
			if err == nil && behind > 0 && before != nil && maps.Equal(before, at) {
				r.cfg.Logger.InfoContext(ctx, "projection: nobody applies, taking over", "event", "projection_take_over")
				return
			}
			before = at
		}
		if sleep(ctx, r.cfg.Standby) != nil {
			return
		}
	}
}

// sleep waits, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
