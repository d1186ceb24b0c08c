package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
)

// eventStream reads one stream.
type eventStream struct {
	t   testing.TB
	res *http.Response
	r   *bufio.Reader
}

func (w *world) stream(path, token string, headers ...string) *eventStream {
	w.t.Helper()
	res := w.open("GET", path, token, nil, append(headers, "Accept", "text/event-stream")...)
	w.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("%s: %d %v", path, res.StatusCode, res.Header)
	}
	return &eventStream{w.t, res, bufio.NewReader(res.Body)}
}

// next returns the next event, or ok false where the stream ended.
func (s *eventStream) next() (id uint64, event cmd, ok bool) {
	s.t.Helper()
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return 0, nil, false
		}
		line = strings.TrimRight(line, "\n")
		if v, is := strings.CutPrefix(line, "id: "); is {
			if id, err = strconv.ParseUint(v, 10, 64); err != nil {
				s.t.Fatal(err)
			}
		}
		if v, is := strings.CutPrefix(line, "data: "); is {
			if err := json.Unmarshal([]byte(v), &event); err != nil {
				s.t.Fatalf("%q: %v", v, err)
			}
		}
		if line == "" && event != nil {
			if uint64(event["revision"].(float64)) != id {
				s.t.Fatalf("id %d of %v", id, event)
			}
			return id, event, true
		}
	}
}

// want reads events up to a revision and checks that none is missing or doubled.
func (s *eventStream) want(after, last uint64) {
	s.t.Helper()
	for r := after + 1; r <= last; r++ {
		id, _, ok := s.next()
		if !ok || id != r {
			s.t.Fatalf("event %d (%v), not %d", id, ok, r)
		}
	}
}

func TestStreamReplaysThenFollowsAndResumes(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	post := func(i int) uint64 {
		return w.call("POST", room+"/commands", ada.token, commandsBody(addText(fmt.Sprint("e", i), "x"))).ok(200).num("revision")
	}
	head := post(0)
	s := w.stream(room+"/events", ada.token)
	s.want(0, head)
	for i := 1; i < 20; i++ {
		next := post(i)
		s.want(head, next)
		head = next
	}
	s.res.Body.Close()
	missed := post(20)
	resumed := w.stream(room+"/events?after=1", ada.token, "Last-Event-ID", fmt.Sprint(head))
	resumed.want(head, missed)
	live := post(21)
	resumed.want(missed, live)
	w.stream(room+"/events?after="+fmt.Sprint(head), "").want(head, live) // anonymous, in a public room
	w.call("GET", room+"/events", ada.token, nil, "Accept", "text/event-stream", "Last-Event-ID", "x").refused(400, "bad_request")
	w.call("GET", room+"/events", ada.token, nil, "Accept", "text/event-stream", "Last-Event-ID", "99999").refused(409, "revision_conflict")
	w.call("GET", room+"/events", ada.token, nil, "Accept", "text/event-stream;q=0, application/json").ok(200).list("events")
}

func TestStreamEndsWhereTheRightEnds(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	room := w.room(ada, "r1", "private")
	head := w.call("PUT", room+"/participants/"+bob.id, ada.token, cmd{"role": "viewer"}).ok(200).num("revision")
	s := w.stream(room+"/events", bob.token)
	s.want(0, head)
	w.call("DELETE", room+"/participants/"+bob.id, ada.token, nil).ok(204)
	w.call("POST", room+"/commands", ada.token, commandsBody(addText("secret", "x"))).ok(200)
	id, event, ok := s.next()
	if ok && (id != head+1 || event["type"] != "participant.removed") {
		t.Fatalf("after the removal: %d %v", id, event)
	}
	if ok {
		if id, event, ok = s.next(); ok {
			t.Fatalf("seen after the removal: %d %v", id, event)
		}
	}
	// A public room that becomes private loses its strangers.
	open := w.room(ada, "r2", "public")
	head = w.call("GET", open, ada.token, nil).num("revision")
	stranger := w.stream(open+"/events", "")
	stranger.want(0, head)
	w.call("PATCH", open, ada.token, cmd{"visibility": "private"}).ok(200)
	w.call("POST", open+"/commands", ada.token, commandsBody(addText("secret", "x"))).ok(200)
	for {
		id, event, ok := stranger.next()
		if !ok {
			break
		}
		if event["type"] != "room.updated" && event["type"] != "room.key_rotated" { // one commit, which takes the links to pictures back
			t.Fatalf("seen by a stranger: %d %v", id, event)
		}
	}
}

func TestStreamTakesATicketOnce(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room, other := w.room(ada, "r1", "private"), w.room(ada, "r2", "private")
	ticket := func() string { return w.call("POST", room+"/tickets", ada.token, nil).ok(201).str("ticket") }
	used := ticket()
	head := w.call("GET", room, ada.token, nil).num("revision")
	w.stream(room+"/events?ticket="+used, "").want(0, head)
	w.call("GET", room+"/events?ticket="+used, "", nil).refused(401, "unauthenticated")
	w.call("GET", other+"/events?ticket="+ticket(), "", nil).refused(401, "unauthenticated")
	w.call("GET", room+"?ticket="+ticket(), "", nil).refused(404, "not_found") // no route of tickets
	w.call("POST", room+"/commands?ticket="+ticket(), "", commandsBody(addText("a", "x"))).refused(401, "unauthenticated")
	w.call("POST", room+"/tickets", "", nil).refused(401, "unauthenticated")
	late := ticket()
	w.clock.advance(61e9)
	w.call("GET", room+"/events?ticket="+late, "", nil).refused(401, "unauthenticated")
	if log := w.logs.String(); strings.Contains(log, used) || strings.Contains(log, late) || strings.Contains(log, ada.token) {
		t.Error("a ticket or token is in the log")
	}
}

func TestDrainEndsStreamsAndRefusesChanges(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	head := w.call("GET", room, ada.token, nil).num("revision")
	s := w.stream(room+"/events", ada.token)
	s.want(0, head)
	w.api.Drain()
	if id, event, ok := s.next(); ok {
		t.Errorf("%d %v", id, event)
	}
	a := w.call("POST", room+"/commands", ada.token, commandsBody(addText("a", "x"))).refused(503, "read_only")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.call("POST", "/v1/guests", "", cmd{"name": "x"}).refused(503, "read_only")
	w.call("GET", room, ada.token, nil).ok(200)
	w.call("GET", "/readyz", "", nil).ok(503)
}

func TestShutdownDoesNotWaitForStreams(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	s := w.stream(room+"/events", ada.token)
	s.want(0, w.call("GET", room, ada.token, nil).num("revision"))
	if err := w.server.Config.Shutdown(soon(t)); err != nil {
		t.Fatal(err)
	}
	if id, event, ok := s.next(); ok {
		t.Errorf("%d %v", id, event)
	}
}

// TestTailIsBounded: a stream whose client takes nothing holds at most sseBuffer commits, and has all of them afterwards.
func TestTailIsBounded(t *testing.T) {
	tl := &tail{wake: make(chan struct{}, 1)}
	for i := range 10 * sseBuffer {
		tl.Committed(&events.Commit{First: uint64(i + 1), Events: make([]events.Event, 1)})
		if len(tl.commits) > sseBuffer {
			t.Fatalf("%d commits wait", len(tl.commits))
		}
	}
	if _, behind, _ := tl.take(); !behind {
		t.Fatal("commits were dropped, and the stream is not told to read them")
	}
}

func TestStreamThatFellBehindMissesNothing(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	rooms := &pausedRooms{Rooms: w.cfg.Rooms, held: make(chan struct{}), watching: make(chan struct{})}
	w.api.cfg.Rooms = rooms
	s := w.stream(room+"/events", ada.token)
	<-rooms.watching // in its replay, and held there
	var last uint64
	for i := range sseBuffer + 50 {
		last = w.call("POST", room+"/commands", ada.token, commandsBody(addText(fmt.Sprint("e", i), "x"))).ok(200).num("revision")
	}
	close(rooms.held)
	s.want(0, last)
	next := w.call("POST", room+"/commands", ada.token, commandsBody(addText("after", "x"))).ok(200).num("revision")
	s.want(last, next)
}

// pausedRooms holds the first replay of a stream until held is closed.
type pausedRooms struct {
	commands.Rooms
	held, watching chan struct{}
	once           bool
}

func (p *pausedRooms) Commits(ctx context.Context, room string, after uint64, yield func(*events.Commit) bool) error {
	if p.once {
		return p.Rooms.Commits(ctx, room, after, yield)
	}
	p.once = true
	var first []*events.Commit
	err := p.Rooms.Commits(ctx, room, after, func(c *events.Commit) bool { first = append(first, c); return true })
	close(p.watching)
	<-p.held
	for _, c := range first {
		if !yield(c) {
			return nil
		}
	}
	return err
}
