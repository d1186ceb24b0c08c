package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/prometheus/client_golang/prometheus"
)

// SnapshotKey is where the snapshot of a room at a revision is in the object store.
func SnapshotKey(room string, revision uint64) string {
	return fmt.Sprintf("snapshots/%s/%d.json", room, revision)
}

// SnapshotSource makes snapshots; *Dispatcher is one.
type SnapshotSource interface {
	// SnapshotAt returns a room's encoded state at the end of the commit with that last revision.
	SnapshotAt(ctx context.Context, room string, revision uint64) ([]byte, SnapshotRef, error)
}

// SnapshotAt implements SnapshotSource from what the actor kept at its checkpoint, or from the nearest snapshot and the log; the bytes are the same
// and depend on the log alone. CodeNotFound where there is no such revision, CodeConflict where it is within a commit.
func (d *Dispatcher) SnapshotAt(ctx context.Context, roomID string, revision uint64) (body []byte, ref SnapshotRef, err error) {
	if !domain.ValidRoomID(roomID) || revision == 0 {
		return nil, SnapshotRef{}, errNoRoom
	}
	if room := d.takeCheckpoint(roomID, revision); room != nil {
		return room.EncodeSnapshot(), snapshotRef(room), nil
	}
	err = d.heavy(ctx, func(ctx context.Context) error {
		f, err := d.foldAt(ctx, roomID, revision)
		if err != nil {
			return err
		}
		if !f.whole {
			return domain.Errorf(domain.CodeConflict, "revision %d is within a commit", revision)
		}
		body = f.room.EncodeSnapshot()
		ref = snapshotRef(f.room)
		return nil
	})
	return body, ref, err
}

func snapshotRef(r *domain.Room) SnapshotRef {
	return SnapshotRef{Revision: r.Revision(), Seq: r.Seq(), Sum: r.Sum(), Key: SnapshotKey(r.ID(), r.Revision())}
}

// SnapshotConfig is what a SnapshotWriter needs.
type SnapshotConfig struct {
	Source  SnapshotSource
	Objects Objects
	// Written, when not nil, is told of each snapshot that is in the store, also of one that was there before.
	Written func(ctx context.Context, room string, ref SnapshotRef) error
	Logger  *slog.Logger
	Metrics prometheus.Registerer

	Workers  int           // 1
	MaxRooms int           // waiting; 4,096. Beyond it a snapshot is left out: that costs time at a later load, no more
	Timeout  time.Duration // of one snapshot; 60 s
}

// SnapshotWriter writes a room's snapshot at each revision that a room.checkpointed names. Only the newest of a room waits. Close it.
type SnapshotWriter struct {
	cfg     SnapshotConfig
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	queue   chan string
	written prometheus.Counter
	failed  prometheus.Counter

	mu      sync.Mutex
	waiting map[string]uint64 // revision by room
}

// NewSnapshotWriter starts the workers.
func NewSnapshotWriter(cfg SnapshotConfig) *SnapshotWriter {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&cfg.Workers, 1)
	setDefault(&cfg.MaxRooms, 4096)
	setDefault(&cfg.Timeout, 60*time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	w := &SnapshotWriter{cfg: cfg, cancel: cancel, queue: make(chan string, cfg.MaxRooms), waiting: map[string]uint64{},
		written: counter("kanvas_snapshots_written_total", "Snapshots of rooms written."),
		failed:  counter("kanvas_snapshots_failed_total", "Snapshots that could not be written or were left out."),
	}
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(w.written, w.failed)
	}
	for range cfg.Workers {
		w.wg.Go(func() { w.work(ctx) })
	}
	return w
}

// Close gives up what waits and waits for the workers.
func (w *SnapshotWriter) Close() {
	w.cancel()
	w.wg.Wait()
}

// Handle is a Handler.
func (w *SnapshotWriter) Handle(_ context.Context, rec events.Record) error {
	if rec.Stream.Kind != events.KindRoom || !AboutCheckpoints(rec) {
		return nil
	}
	c, err := decode(rec)
	if err != nil {
		return fmt.Errorf("%s: sequence %d: %w", rec.Stream, rec.Seq, err)
	}
	if revision, _, ok := checkpointOf(c); ok {
		w.enqueue(rec.Stream.ID, revision)
	}
	return nil
}

func (w *SnapshotWriter) enqueue(room string, revision uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old, ok := w.waiting[room]; ok {
		w.waiting[room] = max(old, revision)
		return
	}
	select {
	case w.queue <- room:
		w.waiting[room] = revision
	default:
		w.failed.Inc()
	}
}

func (w *SnapshotWriter) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case room := <-w.queue:
			w.mu.Lock()
			revision := w.waiting[room]
			delete(w.waiting, room)
			w.mu.Unlock()
			if err := w.write(ctx, room, revision); err != nil && ctx.Err() == nil {
				w.failed.Inc()
				w.cfg.Logger.Warn("snapshot failed", slog.String("event", "snapshot_failed"), slog.String("roomId", room),
					slog.Uint64("revision", revision), slog.Any("error", err))
			}
		}
	}
}

func (w *SnapshotWriter) write(ctx context.Context, room string, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	body, ref, err := w.cfg.Source.SnapshotAt(ctx, room, revision)
	if err != nil {
		return err
	}
	o, err := w.cfg.Objects.Head(ctx, ref.Key)
	switch {
	case err != nil && !errors.Is(err, ErrNoObject):
		return fmt.Errorf("head %s: %w", ref.Key, err)
	case err != nil || o.Size != int64(len(body)):
		if err := w.cfg.Objects.Put(ctx, ref.Key, "application/json", bytes.NewReader(body), int64(len(body))); err != nil {
			return fmt.Errorf("put %s: %w", ref.Key, err)
		}
		w.written.Inc()
	}
	if w.cfg.Written != nil {
		return w.cfg.Written(ctx, room, ref)
	}
	return nil
}
