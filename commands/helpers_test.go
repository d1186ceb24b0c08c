package commands_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
)

const owner = "user_owner"

// patience bounds every wait of these tests: long enough for a busy machine, reached only by a failure.
const patience = 60 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func openLog(t testing.TB) *jetstream.Store {
	t.Helper()
	return openLogAt(t, t.TempDir())
}

func openLogAt(t testing.TB, dir string) *jetstream.Store {
	t.Helper()
	s, err := jetstream.Open(testContext(t), jetstream.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newNode(t testing.TB, log commands.Log, options ...func(*commands.Config)) *commands.Dispatcher {
	t.Helper()
	cfg := commands.Config{Log: log}
	for _, o := range options {
		o(&cfg)
	}
	d := commands.NewDispatcher(cfg)
	t.Cleanup(func() { closeNode(t, d) })
	return d
}

func closeNode(t testing.TB, d *commands.Dispatcher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := d.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func element(t testing.TB, id string, members ...string) *domain.Element {
	t.Helper()
	body := fmt.Sprintf(`{"id":%q,"type":"shape"`, id)
	for _, m := range members {
		body += "," + m
	}
	e, err := domain.ParseElement([]byte(body + "}"))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func add(t testing.TB, id string, members ...string) domain.Command {
	return domain.AddElement{Element: element(t, id, members...)}
}

func patch(id, key, value string) domain.Command {
	return domain.PatchElement{ID: id, Set: events.Members{{Key: key, Value: []byte(value)}}}
}

func by(user string, cs ...domain.Command) commands.Request {
	return commands.Request{Actor: domain.Actor{ID: user}, Commands: cs}
}

func bySeq(user, client string, seq uint64, cs ...domain.Command) commands.Request {
	r := by(user, cs...)
	r.Client, r.Seq = client, seq
	return r
}

// born is the revision of a room that createRoom has just made: it is created, and its owner has joined.
const born = 2

func createRoom(t testing.TB, d commands.Rooms, room string) {
	t.Helper()
	mustDo(t, d, room, by(owner, domain.CreateRoom{Name: "Room", Visibility: domain.Unlisted, DefaultRole: domain.RoleEditor}))
}

func mustDo(t testing.TB, d commands.Rooms, room string, r commands.Request) commands.Result {
	t.Helper()
	res, err := d.Do(testContext(t), room, r)
	if err != nil {
		t.Fatalf("%s: %v", r.Commands[0].CommandName(), err)
	}
	return res
}

func hasCode(err error, code domain.Code) bool {
	var e *domain.Error
	return errors.As(err, &e) && e.Code == code
}

func wantCode(t testing.TB, err error, code domain.Code) {
	t.Helper()
	if !hasCode(err, code) {
		t.Fatalf("got error %v, want code %s", err, code)
	}
}

// canvasOf is the canvas as text, in paint order.
func canvasOf(es []*domain.Element) string {
	var b strings.Builder
	for _, e := range es {
		b.Write(e.JSON())
		b.WriteByte('\n')
	}
	return b.String()
}

// readRoom reads a room's commits from the log and verifies the chain and that no command is completed twice.
func readRoom(t testing.TB, log commands.Log, room string) []*events.Commit {
	t.Helper()
	var cs []*events.Commit
	var prev *events.Commit
	done := map[string]bool{}
	err := log.Read(testContext(t), events.Room(room), 1, func(rec events.Record) bool {
		c, err := events.Decode(rec.Payload)
		if err == nil {
			err = events.VerifyLink(prev, c)
		}
		if err != nil {
			t.Errorf("sequence %d: %v", rec.Seq, err)
			return false
		}
		c.Seq = rec.Seq
		for _, d := range c.Done {
			k := fmt.Sprintf("%s/%s/%d/%s", d.User, d.Client, d.Seq, d.Key)
			if done[k] {
				t.Errorf("revision %d completes %s again", c.First, k)
			}
			done[k] = true
		}
		prev = c
		cs = append(cs, c)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

// replayed folds commits into a room.
func replayed(t testing.TB, room string, cs []*events.Commit) *domain.Room {
	t.Helper()
	r := domain.NewRoom(room)
	for _, c := range cs {
		if err := r.Apply(c); err != nil {
			t.Fatalf("commit at revision %d: %v", c.First, err)
		}
		r.Release()
	}
	return r
}

// follower is a Watcher that keeps what it is told.
type follower struct {
	mu      sync.Mutex
	changed chan struct{} // closed and renewed at each call
	commits []*events.Commit
	ended   error
	isEnded bool
}

func newFollower() *follower { return &follower{changed: make(chan struct{})} }

func (f *follower) Committed(c *events.Commit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commits = append(f.commits, c)
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *follower) Ended(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended, f.isEnded = err, true
	close(f.changed)
	f.changed = make(chan struct{})
}

// wait returns when ok is true of the follower's state.
func (f *follower) wait(t testing.TB, what string, ok func(*follower) bool) {
	t.Helper()
	f.waitOr(t, nil, what, ok)
}

// waitOr returns earlier when stop is closed.
func (f *follower) waitOr(t testing.TB, stop <-chan struct{}, what string, ok func(*follower) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		f.mu.Lock()
		good, changed := ok(f), f.changed
		f.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-stop:
			return
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (f *follower) head() uint64 {
	if len(f.commits) == 0 {
		return 0
	}
	return f.commits[len(f.commits)-1].Last()
}

// eventually polls a fact that has no channel.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// faultyLog wraps the real log. Hooks may be nil; they are set before use.
type faultyLog struct {
	commands.Log
	onAppend func(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error)
	onRead   func(ctx context.Context, s events.Stream, from uint64, yield func(events.Record) bool) error
}

func (f *faultyLog) Append(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
	if f.onAppend != nil {
		return f.onAppend(ctx, s, after, payload)
	}
	return f.Log.Append(ctx, s, after, payload)
}

func (f *faultyLog) Read(ctx context.Context, s events.Stream, from uint64, yield func(events.Record) bool) error {
	if f.onRead != nil {
		return f.onRead(ctx, s, from, yield)
	}
	return f.Log.Read(ctx, s, from, yield)
}

// gate lets appends of rooms through one by one while it is shut.
type gate struct {
	mu      sync.Mutex
	shut    bool
	arrived chan struct{} // one for each append that waits
	pass    chan struct{}
}

func newGate() *gate { return &gate{arrived: make(chan struct{}, 1024), pass: make(chan struct{})} }

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
}

func (g *gate) through() {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut {
		g.arrived <- struct{}{}
		<-g.pass
	}
}

func gated(log commands.Log) (*faultyLog, *gate) {
	g := newGate()
	return &faultyLog{Log: log, onAppend: func(ctx context.Context, s events.Stream, after uint64, payload []byte) (uint64, error) {
		g.through()
		return log.Append(ctx, s, after, payload)
	}}, g
}
