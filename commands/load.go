package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
)

const (
	snapshotTries    = 3         // snapshots tried before a room is read from its first commit
	maxSnapshotBytes = 256 << 20 // of one snapshot object; larger ones are not ours
)

// load fills a slot: the log's watch first, so that nothing is missed between reading and following, then snapshot and tail. It ends when
// the actor does.
func (d *Dispatcher) load(s *slot) {
	a := newActor(d, s.room)
	a.onFail = func(err error) { d.failed(s, err) }
	stop, err := d.loadActor(a)
	d.mu.Lock()
	s.lastUsed = time.Now()
	if err != nil {
		s.err = d.loadError(s.room, err)
	} else {
		s.a = a
		if d.closed {
			a.box.close(errShutdown)
		}
	}
	d.mu.Unlock()
	if err != nil {
		d.failed(s, s.err)
	}
	close(s.ready)
	if err != nil {
		return
	}
	a.run()
	stop()
}

func (d *Dispatcher) loadActor(a *actor) (stop func(), err error) {
	ctx, cancel := context.WithTimeout(d.base, d.cfg.LoadTimeout)
	defer cancel()
	if err := d.loads.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer d.loads.Release(1)
	start := time.Now()
	stop, err = d.cfg.Log.Watch(a.stream, a.box.arrived)
	if err != nil {
		return nil, fmt.Errorf("watch room %s: %w", a.stream.ID, err)
	}
	f, err := d.fold(ctx, a.stream.ID, 0, a.ring.add)
	if err != nil {
		stop()
		return nil, err
	}
	a.ring.endAt(f.room.Revision())
	a.loaded(f.room)
	d.metrics.loaded(time.Since(start))
	return stop, nil
}

func (d *Dispatcher) loadError(room string, err error) error {
	var e *domain.Error
	switch {
	case errors.As(err, &e):
	case isDamage(err):
		e = damage(room, err)
	default:
		e = errUnread
	}
	if isDamage(err) {
		d.metrics.damaged.Inc()
	}
	d.cfg.Logger.Error("room can't be loaded", slog.String("event", "room_load_failed"), slog.String("roomId", room), slog.Any("error", err))
	return e
}

// snapshot returns the newest usable snapshot at or below revision (0: any), or nil. What is wrong with one costs time only.
func (d *Dispatcher) snapshot(ctx context.Context, roomID string, revision uint64) *domain.Room {
	if d.cfg.Snapshots == nil || d.cfg.Objects == nil {
		return nil
	}
	for range snapshotTries {
		ref, ok, err := d.cfg.Snapshots.Newest(ctx, roomID, revision)
		if err == nil && !ok {
			return nil
		}
		if err == nil {
			var room *domain.Room
			if room, err = d.readSnapshot(ctx, roomID, ref); err == nil {
				return room
			}
		}
		d.metrics.badSnapshots.Inc()
		d.cfg.Logger.Warn("snapshot can't be used", slog.String("event", "snapshot_refused"), slog.String("roomId", roomID),
			slog.Uint64("revision", ref.Revision), slog.Any("error", err))
		if ref.Revision <= 1 || errors.Is(err, ErrObjectsDown) || errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		revision = ref.Revision - 1
	}
	return nil
}

func (d *Dispatcher) readSnapshot(ctx context.Context, roomID string, ref SnapshotRef) (*domain.Room, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.SnapshotWait)
	defer cancel()
	body, o, err := d.cfg.Objects.Get(ctx, ref.Key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("get snapshot %s: %w", ref.Key, err)
	}
	defer body.Close()
	if o.Size > maxSnapshotBytes {
		return nil, fmt.Errorf("snapshot %s has %d bytes", ref.Key, o.Size)
	}
	b, err := io.ReadAll(io.LimitReader(body, maxSnapshotBytes))
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", ref.Key, err)
	}
	room, err := domain.DecodeSnapshot(b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("decode snapshot %s: %w", ref.Key, err)
	case room.ID() != roomID, room.Revision() != ref.Revision, ref.Sum != "" && room.Sum() != ref.Sum, ref.Seq != 0 && room.Seq() != ref.Seq, room.Seq() == 0:
		return nil, fmt.Errorf("snapshot %s holds room %s at revision %d, sequence %d", ref.Key, room.ID(), room.Revision(), room.Seq())
	}
	return room, nil
}
