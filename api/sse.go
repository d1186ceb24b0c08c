package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

const (
	sseHeartbeat = 15 * time.Second
	sseRetry     = 2 * time.Second // what clients are told to wait before they come back
	sseMaxAge    = 12 * time.Hour  // then the client authenticates anew
	// sseBuffer is how many commits wait for a stream in memory. Past it they are dropped, and the stream reads them from the room's
	// memory or the log when its client has taken what came before.
	sseBuffer = 256
	// sseBatch is about how much is written at once, in bytes.
	sseBatch = 64 << 10
	// Streams at once, of one caller and on this node.
	streamsPerCaller = 64
	streamsPerNode   = 10_000
)

// Why the server ended a stream, as the metric's label.
var (
	errStreamRights = errors.New("rights")
	errStreamDrain  = errors.New("drain")
	errStreamAge    = errors.New("age")
	errStreamRoom   = errors.New("room")
	errStreamSlow   = errors.New("slow")
	errStreamUser   = errors.New("user") // was deleted
)

// tail is the Watcher of one stream. Safe for concurrent use.
type tail struct {
	wake chan struct{} // capacity 1

	mu      sync.Mutex
	commits []*events.Commit
	behind  bool // commits were dropped: read from the room
	over    bool
}

// Committed implements commands.Watcher.
func (t *tail) Committed(c *events.Commit) {
	t.mu.Lock()
	if len(t.commits) >= sseBuffer {
		t.commits, t.behind = nil, true
	}
	if !t.behind {
		t.commits = append(t.commits, c)
	}
	t.mu.Unlock()
	t.poke()
}

// Ended implements commands.Watcher.
func (t *tail) Ended(error) {
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	t.poke()
}

func (t *tail) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// take empties the buffer.
func (t *tail) take() (commits []*events.Commit, behind, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	commits, behind, over = t.commits, t.behind, t.over
	t.commits, t.behind = nil, false
	return commits, behind, over
}

// stream answers with the room's events after a revision, and then with those that happen. Last-Event-ID wins over ?after: a browser
// that comes back asks for the same address.
func (a *API) stream(c echo.Context, room string, after uint64) error {
	q, ctx := requestOf(c), c.Request().Context()
	if id := c.Request().Header.Get("Last-Event-ID"); id != "" {
		var err error
		if after, err = parseRevision(id); err != nil {
			return badRequest("Last-Event-ID: is not a revision")
		}
	}
	leave, err := a.streams.enter(callerKey(q))
	if err != nil {
		return err
	}
	defer leave()
	t := &tail{wake: make(chan struct{}, 1)}
	w, err := a.cfg.Rooms.Watch(ctx, room, t)
	if err != nil {
		return err
	}
	defer w.Close()
	// The room again, now that nothing after it can be missed: a client that has seen more than there is follows another room's past.
	if _, v, _, err := a.enter(c); err != nil {
		return err
	} else if after > v.Revision {
		return domain.Errorf(domain.CodeRevisionConflict, "the room has no revision %d, its last is %d", after, v.Revision)
	}
	s := &sseStream{api: a, c: c, room: room, after: after, tail: t, control: http.NewResponseController(c.Response().Writer)}
	a.metrics.streams.Inc()
	defer a.metrics.streams.Dec()
	err = s.run(ctx)
	if ctx.Err() == nil {
		a.metrics.streamsCut.WithLabelValues(streamEnd(err)).Inc()
	}
	return nil
}

func streamEnd(err error) string {
	for _, known := range []error{errStreamRights, errStreamDrain, errStreamAge, errStreamRoom, errStreamUser} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return errStreamSlow.Error()
}

// sseStream writes one stream. Owned by the request's goroutine.
type sseStream struct {
	api     *API
	c       echo.Context
	control *http.ResponseController
	room    string
	after   uint64 // revision of the last event written
	tail    *tail
	buf     []byte
	suspect bool // what was written may have changed the caller's rights
}

func (s *sseStream) run(ctx context.Context) error {
	h := s.c.Response().Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	s.c.Response().WriteHeader(http.StatusOK)
	s.buf = append(strconv.AppendInt([]byte("retry: "), sseRetry.Milliseconds(), 10), "\n\n"...)
	if err := s.flush(ctx); err != nil { // at once: the client knows that it is connected, however long the replay takes
		return err
	}
	if err := s.replay(ctx); err != nil {
		return err
	}
	beat := time.NewTicker(sseHeartbeat)
	defer beat.Stop()
	old := time.NewTimer(sseMaxAge)
	defer old.Stop()
	gone := s.api.forgotten.next()
	if s.deleted(ctx) { // before gone was asked for
		return errStreamUser
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-gone:
			gone = s.api.forgotten.next()
			if s.deleted(ctx) {
				return errStreamUser
			}
		case <-s.api.draining:
			return errStreamDrain
		case <-old.C:
			return errStreamAge
		case <-beat.C:
			s.buf = append(s.buf, ":\n\n"...)
			if err := s.flush(ctx); err != nil {
				return err
			}
		case <-s.tail.wake:
			if err := s.live(ctx); err != nil {
				return err
			}
		}
	}
}

// deleted reports whether the caller was deleted; where that can't be told the stream goes on, as the room's own commits do.
func (s *sseStream) deleted(ctx context.Context) bool {
	user := requestOf(s.c).user
	if user == "" {
		return false
	}
	gone, err := s.api.cfg.Users.Deleted(ctx, user)
	return err == nil && gone
}

// live writes what waits in the tail, from the room where some of it was dropped.
func (s *sseStream) live(ctx context.Context) error {
	commits, behind, over := s.tail.take()
	for _, c := range commits {
		if behind || c.First > s.after+1 {
			behind = true
			break
		}
		if err := s.add(ctx, c); err != nil {
			return err
		}
	}
	if behind {
		return s.replay(ctx)
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if over {
		return errStreamRoom
	}
	return nil
}

// replay writes what the room has after the last event written.
func (s *sseStream) replay(ctx context.Context) error {
	var failed error
	err := s.api.cfg.Rooms.Commits(ctx, s.room, s.after, func(c *events.Commit) bool {
		if s.api.isDraining() {
			failed = errStreamDrain
		} else {
			failed = s.add(ctx, c)
		}
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return errors.Join(errStreamRoom, err)
	}
	return s.flush(ctx)
}

// add appends the commit's events that were not written yet. Rights are asked for again after each commit that may have changed them: what
// comes after the revision at which a right ended is never written.
func (s *sseStream) add(ctx context.Context, c *events.Commit) error {
	if c.Last() <= s.after {
		return nil
	}
	if s.suspect {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	part := partOf(c, s.after+1, c.Last())
	for i := range part.Events {
		s.after = part.First + uint64(i)
		s.buf = append(strconv.AppendUint(append(s.buf, "id: "...), s.after, 10), "\ndata: "...)
		s.buf = append(s.api.encode.AppendEvent(ctx, s.buf, &part.Events[i], s.after, c.At), "\n\n"...)
		s.suspect = s.suspect || touchesRights(part.Events[i].Type)
	}
	if len(s.buf) >= sseBatch {
		return s.flush(ctx)
	}
	return nil
}

func touchesRights(t events.Type) bool {
	return t == events.ParticipantRemoved || t == events.RoomUpdated || t == events.RoomDeleted
}

// flush writes what was added, and ends the stream where the caller has no right to more.
func (s *sseStream) flush(ctx context.Context) error {
	if len(s.buf) > 0 {
		if _, err := s.c.Response().Write(s.buf); err != nil {
			return errors.Join(errStreamSlow, err)
		}
		if s.buf = s.buf[:0]; cap(s.buf) > 4*sseBatch {
			s.buf = nil
		}
		if err := s.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return errors.Join(errStreamSlow, err)
		}
	}
	if !s.suspect {
		return nil
	}
	s.suspect = false
	v, err := s.api.cfg.Rooms.View(ctx, s.room)
	if err == nil {
		_, err = v.RoleOf(requestOf(s.c).actor().ID)
	}
	var coded *domain.Error
	switch {
	case errors.As(err, &coded) && (coded.Code == domain.CodeForbidden || coded.Code == domain.CodeNotFound):
		return errStreamRights
	case err != nil:
		return errors.Join(errStreamRoom, err)
	}
	return nil
}
