package realtime

import (
	"context"
	"fmt"

	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// What a v1 client is sent to catch up: written at the socket's own pace by its writer, outside of the queue's bound. Commits that come
// meanwhile are caught up afterwards: caughtUp says in the room's goroutine how far the client is.

// snapshotStream writes the view's snapshot, encoded once for all who join at its revision.
type snapshotStream struct {
	h      *v1Half
	p      *peer
	view   *commands.View
	role   domain.Role
	online int
	reset  bool
	snap   *wire.Snapshot
	part   int
}

func (s *snapshotStream) next(ctx context.Context) ([][]byte, error) {
	if s.snap == nil {
		s.h.room.hub.met.snapshots.Inc()
		s.snap = s.h.room.hub.encoder.SnapshotOf(ctx, s.view)
	}
	if s.part == len(s.snap.Parts) {
		return nil, nil
	}
	tail := s.snap.Parts[s.part]
	head := s.snap.AppendHead(newFrame(512), s.part, s.role, s.online, s.reset)
	s.part++
	return [][]byte{finishSplit(head, len(tail)), tail}, nil
}

func (s *snapshotStream) ended(err error) { s.h.streamEnded(s.p, s.view.Revision, err) }

// replayStream writes commits from memory.
type replayStream struct {
	h       *v1Half
	p       *peer
	commits []*encoded
	after   uint64
}

func (s *replayStream) next(context.Context) ([][]byte, error) {
	var batch [][]byte
	for size := 0; len(s.commits) > 0 && size < batchBytes; s.commits = s.commits[1:] {
		b := s.h.frameAfter(s.commits[0], s.after)
		batch = append(batch, b)
		size += len(b)
		s.after = s.commits[0].commit.Last()
	}
	return batch, nil
}

func (s *replayStream) ended(err error) { s.h.streamEnded(s.p, s.after, err) }

// logStream writes commits from the log, up to its head.
type logStream struct {
	h     *v1Half
	p     *peer
	after uint64
	begun bool
}

func (s *logStream) next(ctx context.Context) ([][]byte, error) {
	if !s.begun {
		s.begun = true
		s.h.room.hub.met.replays.Inc()
	}
	var batch [][]byte
	size := 0
	r := s.h.room
	err := r.hub.cfg.Rooms.Commits(ctx, r.id, s.after, func(c *events.Commit) bool {
		b := finishFrame(r.hub.encoder.AppendCommit(ctx, newFrame(sizeHint(c)), c, s.after))
		batch = append(batch, b)
		size += len(b)
		s.after = c.Last()
		return size < wire.PartBytes
	})
	if err != nil {
		return nil, fmt.Errorf("replay room %s after %d: %w", r.id, s.after, err)
	}
	return batch, nil
}

func (s *logStream) ended(err error) { s.h.streamEnded(s.p, s.after, err) }

// listStream writes one frame.
type listStream struct{ frame []byte }

func (s *listStream) next(context.Context) ([][]byte, error) {
	if s.frame == nil {
		return nil, nil
	}
	part := [][]byte{s.frame}
	s.frame = nil
	return part, nil
}

func (s *listStream) ended(error) {}

// streamEnded goes on in the room's goroutine. Any goroutine.
func (h *v1Half) streamEnded(p *peer, revision uint64, err error) {
	if err != nil {
		return // the socket is closing
	}
	h.room.post(funcMail(func(*room) { h.caughtUp(p, revision) }))
}
