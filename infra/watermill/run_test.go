package watermill_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
	"github.com/infinite-kanvas/kanvas/infra/watermill"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func openStore(t *testing.T, dir string) *jetstream.Store {
	t.Helper()
	s, err := jetstream.Open(context.Background(), jetstream.Config{Dir: dir, Partitions: 2, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t *testing.T, s *jetstream.Store) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

var fast = watermill.Options{Retries: 3, First: time.Millisecond, Longest: 4 * time.Millisecond, Nap: 10 * time.Millisecond}

func run(t *testing.T, s *jetstream.Store, o watermill.Options, hs ...watermill.Handler) *watermill.Runner {
	t.Helper()
	o.Logger = quiet()
	r, err := watermill.Run(logtest.Context(t), s, hs, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRunner(t, r) })
	return r
}

func closeRunner(t *testing.T, r *watermill.Runner) {
	t.Helper()
	if err := r.Close(logtest.Context(t)); err != nil {
		t.Error(err)
	}
}

// recorder is a handler that notes what it was given and fails as told.
type recorder struct {
	fail func(stream events.Stream, n, try int) error // n from 0; nil: never

	mu    sync.Mutex
	tries map[string]int
	seen  map[events.Stream][]int // numbers handled, by stream
	news  chan struct{}           // capacity 1
}

func newRecorder(fail func(events.Stream, int, int) error) *recorder {
	return &recorder{fail: fail, tries: map[string]int{}, seen: map[events.Stream][]int{}, news: make(chan struct{}, 1)}
}

func (r *recorder) handle(_ context.Context, rec events.Record) error {
	var n int
	if _, err := fmt.Sscanf(string(rec.Payload), `{"n":%d}`, &n); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := fmt.Sprint(rec.Stream, n)
	r.tries[key]++
	if r.fail != nil {
		if err := r.fail(rec.Stream, n, r.tries[key]); err != nil {
			return err
		}
	}
	r.seen[rec.Stream] = append(r.seen[rec.Stream], n)
	select {
	case r.news <- struct{}{}:
	default:
	}
	return nil
}

func (r *recorder) of(st events.Stream) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen[st])
}

// saw waits until the handler has handled so many records of the stream, and checks that they are 0, 1, 2 ….
func (r *recorder) saw(t *testing.T, st events.Stream, want int) {
	t.Helper()
	until(t, func() bool { return len(r.of(st)) >= want }, r.news)
	if got := r.of(st); !slices.Equal(got, upTo(want)) {
		t.Fatalf("%s: handled %v, want 0 to %d in order", st, got, want-1)
	}
}

// sawAgain is saw across a restart, after which the record that was in hand may come again.
func (r *recorder) sawAgain(t *testing.T, st events.Stream, want int) {
	t.Helper()
	once := func() []int { return slices.Compact(r.of(st)) }
	until(t, func() bool { return len(once()) >= want }, r.news)
	if got := once(); !slices.Equal(got, upTo(want)) {
		t.Fatalf("%s: handled %v, want 0 to %d in order", st, got, want-1)
	}
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// until waits for the fact, looking at news and at times.
func until(t *testing.T, fact func() bool, news <-chan struct{}) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := logtest.Context(t)
	for !fact() {
		select {
		case <-news:
		case <-tick.C:
		case <-end.Done():
			t.Fatal("it did not come to be")
		}
	}
}

func fill(t *testing.T, s *jetstream.Store, st events.Stream, from, to int) {
	t.Helper()
	last, _, err := s.Last(logtest.Context(t), st)
	if err != nil {
		t.Fatal(err)
	}
	after := last.Seq
	for n := from; n < to; n++ {
		if after, err = s.Append(logtest.Context(t), st, after, logtest.Text(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOrderUnderRetries: every third record fails twice first, on three streams of three kinds.
func TestOrderUnderRetries(t *testing.T) {
	s := openStore(t, t.TempDir())
	streams := []events.Stream{logtest.NewRoom(), events.User("anon:" + logtest.NewRoom().ID), events.Asset(logtest.NewRoom().ID)}
	for _, st := range streams {
		fill(t, s, st, 0, 15) // before the handler exists: it begins at the beginning
	}
	all := newRecorder(func(_ events.Stream, n, try int) error {
		if n%3 == 0 && try <= 2 {
			return errors.New("not yet")
		}
		if n%5 == 0 && try <= 3 {
			panic("not yet either")
		}
		return nil
	})
	rooms, two := newRecorder(nil), newRecorder(nil)
	run(t, s, fast, watermill.Handler{Name: "all", Fn: all.handle},
		watermill.Handler{Name: "rooms", Kinds: []events.Kind{events.KindRoom}, Fn: rooms.handle},
		watermill.Handler{Name: "two", Kinds: []events.Kind{events.KindUser, events.KindAsset}, Fn: two.handle})
	for _, st := range streams {
		fill(t, s, st, 15, 30)
	}
	for i, st := range streams {
		all.saw(t, st, 30)
		if i == 0 {
			rooms.saw(t, st, 30)
		} else {
			two.saw(t, st, 30)
		}
	}
	if len(rooms.of(streams[1])) != 0 || len(two.of(streams[0])) != 0 {
		t.Error("a handler was given kinds that it does not want")
	}
}

// sameLane makes rooms of one partition, so that one could hold up the other.
func sameLane(s *jetstream.Store, n int) []events.Stream {
	rooms := []events.Stream{logtest.NewRoom()}
	for len(rooms) < n {
		if r := logtest.NewRoom(); s.Partition(r) == s.Partition(rooms[0]) {
			rooms = append(rooms, r)
		}
	}
	return rooms
}

// TestPoison: a record that keeps failing parks its room for its handler, and nothing else; it stays so over a restart; a release
// gives all that was missed, in order, and the room goes on.
func TestPoison(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	rooms := sameLane(s, 2)
	bad, good := rooms[0], rooms[1]
	var mu sync.Mutex
	broken := true
	rec := newRecorder(func(st events.Stream, n, _ int) error {
		mu.Lock()
		defer mu.Unlock()
		if broken && st == bad && n == 3 {
			return errors.New("cannot read\nthis")
		}
		return nil
	})
	other := newRecorder(nil)
	reg := prometheus.NewRegistry()
	o := fast
	o.Registerer = reg
	hs := []watermill.Handler{{Name: "first", Fn: rec.handle}, {Name: "second", Fn: other.handle}}
	r := run(t, s, o, hs...)
	fill(t, s, bad, 0, 6)
	fill(t, s, good, 0, 6)
	rec.saw(t, good, 6)
	rec.saw(t, bad, 3)
	other.saw(t, bad, 6)
	if n := rec.tries[fmt.Sprint(bad, 3)]; n != 4 {
		t.Errorf("tried %d times, want 4", n)
	}
	parked := r.Parked()
	if len(parked) != 1 || parked[0].Handler != "first" || parked[0].Stream != bad || !strings.Contains(parked[0].Reason, "cannot read") {
		t.Fatalf("parked: %+v", parked)
	}
	poison, err := s.JetStream().Stream(logtest.Context(t), "KANVAS_POISON")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := poison.GetLastMsgForSubject(logtest.Context(t), "poison.first.>")
	if err != nil || string(msg.Data) != string(logtest.Text(3)) || msg.Header.Get("Kanvas-Reason") != "cannot read this" {
		t.Errorf("poison: %+v %v", msg, err)
	}
	if v := gauge(t, reg, "kanvas_handler_parked_streams"); v != 1 {
		t.Errorf("parked streams: %v", v)
	}

	closeRunner(t, r)
	closeStore(t, s)
	s = openStore(t, dir)
	r = run(t, s, fast, hs...)
	fill(t, s, bad, 6, 9)
	fill(t, s, good, 6, 9)
	rec.sawAgain(t, good, 9)
	if got := rec.of(bad); len(slices.Compact(got)) != 3 {
		t.Fatalf("after the restart the parked room was handled: %v", got)
	}

	ctx := logtest.Context(t)
	if err := r.Release(ctx, "first", bad); err == nil || !strings.Contains(err.Error(), "still fails") {
		t.Errorf("release of what still fails: %v", err)
	}
	if len(r.Parked()) != 1 {
		t.Error("a failed release unparked")
	}
	mu.Lock()
	broken = false
	mu.Unlock()
	if err := r.Release(ctx, "first", bad); err != nil {
		t.Fatal(err)
	}
	fill(t, s, bad, 9, 12)
	rec.sawAgain(t, bad, 12)
	other.sawAgain(t, bad, 12)
	if err := r.Release(ctx, "first", bad); !errors.Is(err, watermill.ErrNotParked) {
		t.Errorf("second release: %v", err)
	}
	if err := r.Release(ctx, "third", bad); !errors.Is(err, watermill.ErrNoHandler) {
		t.Errorf("release for no handler: %v", err)
	}
}

// TestHandlersOfALaneParkApart: of three handlers that share a consumer, what one can't take neither stops nor repeats the others.
func TestHandlersOfALaneParkApart(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	rooms := sameLane(s, 2)
	bad, good := rooms[0], rooms[1]
	var mu sync.Mutex
	broken := true
	before, after := newRecorder(nil), newRecorder(nil)
	fails := newRecorder(func(st events.Stream, n, try int) error {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case broken && st == bad && n == 3:
			panic("cannot read this")
		case st == good && n == 5 && try <= 6:
			return commands.ErrLogReadOnly // all three wait, and the two others are not given it again
		}
		return nil
	})
	hs := []watermill.Handler{{Name: "before", Lane: "process", Fn: before.handle}, {Name: "fails", Lane: "process", Fn: fails.handle},
		{Name: "after", Lane: "process", Kinds: []events.Kind{events.KindRoom}, Fn: after.handle}}
	r := run(t, s, fast, hs...)
	fill(t, s, bad, 0, 6)
	fill(t, s, good, 0, 6)
	for _, rec := range []*recorder{before, after} {
		rec.saw(t, bad, 6)
		rec.saw(t, good, 6)
	}
	fails.saw(t, bad, 3)
	fails.saw(t, good, 6)
	if parked := r.Parked(); len(parked) != 1 || parked[0].Handler != "fails" || parked[0].Stream != bad {
		t.Fatalf("parked: %+v", parked)
	}
	closeRunner(t, r)
	closeStore(t, s)
	s = openStore(t, dir)
	names := map[string]bool{}
	for info := range s.JetStream().ListStreams(logtest.Context(t)).Info() {
		stream, err := s.JetStream().Stream(logtest.Context(t), info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		for c := range stream.ListConsumers(logtest.Context(t)).Info() {
			names[c.Name] = true
		}
	}
	if len(names) != s.Partitions() || !names["process-0"] {
		t.Errorf("consumers: %v", names)
	}
	r = run(t, s, fast, hs...)
	fill(t, s, bad, 6, 9)
	before.saw(t, bad, 9)
	after.saw(t, bad, 9)
	if got := fails.of(bad); len(got) != 3 {
		t.Fatalf("after the restart the parked room was handled: %v", got)
	}
	mu.Lock()
	broken = false
	mu.Unlock()
	if err := r.Release(logtest.Context(t), "process", bad); !errors.Is(err, watermill.ErrNoHandler) {
		t.Errorf("a lane is no handler: %v", err)
	}
	if err := r.Release(logtest.Context(t), "fails", bad); err != nil {
		t.Fatal(err)
	}
	fill(t, s, bad, 9, 12)
	for _, rec := range []*recorder{before, fails, after} {
		rec.saw(t, bad, 12)
	}
}

func gauge(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestReleaseUnderLoad: records that come while a release is under way are neither lost nor repeated nor out of order.
func TestReleaseUnderLoad(t *testing.T) {
	s := openStore(t, t.TempDir())
	room := logtest.NewRoom()
	var mu sync.Mutex
	broken := true
	rec := newRecorder(func(_ events.Stream, n, _ int) error {
		mu.Lock()
		defer mu.Unlock()
		if broken && n == 1 {
			return errors.New("broken")
		}
		return nil
	})
	r := run(t, s, fast, watermill.Handler{Name: "h", Fn: rec.handle})
	fill(t, s, room, 0, 100)
	until(t, func() bool { return len(r.Parked()) == 1 }, nil)
	mu.Lock()
	broken = false
	mu.Unlock()
	released := make(chan error, 1)
	go func() { released <- r.Release(logtest.Context(t), "h", room) }()
	fill(t, s, room, 100, 300)
	if err := <-released; err != nil {
		t.Fatal(err)
	}
	rec.saw(t, room, 300)
}

// TestTransient: what is not the record's fault is tried until it goes, and parks nothing.
func TestTransient(t *testing.T) {
	s := openStore(t, t.TempDir())
	room := logtest.NewRoom()
	rec := newRecorder(func(_ events.Stream, n, try int) error {
		if n == 2 && try <= 10 {
			return fmt.Errorf("append: %w", commands.ErrLogReadOnly)
		}
		return nil
	})
	r := run(t, s, fast, watermill.Handler{Name: "h", Fn: rec.handle})
	fill(t, s, room, 0, 5)
	rec.saw(t, room, 5)
	if n := rec.tries[fmt.Sprint(room, 2)]; n != 11 || len(r.Parked()) != 0 {
		t.Errorf("%d tries, parked %v", n, r.Parked())
	}
}

// TestRestart: a new runner goes on behind what was acknowledged; a record that was under way at Close is finished.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	room := logtest.NewRoom()
	inside := make(chan struct{})
	rec := newRecorder(nil)
	atWork := func(ctx context.Context, r events.Record) error {
		if string(r.Payload) == string(logtest.Text(4)) {
			close(inside)
			select {
			case <-ctx.Done(): // Close cut it off
				return ctx.Err()
			case <-time.After(200 * time.Millisecond): // nothing to wait for: what is shown is that nothing comes
			}
		}
		return rec.handle(ctx, r)
	}
	r := run(t, s, fast, watermill.Handler{Name: "h", Fn: atWork})
	fill(t, s, room, 0, 10)
	<-inside
	closeRunner(t, r)
	if n := len(rec.of(room)); n < 5 {
		t.Errorf("close did not wait: %d records handled", n)
	}
	closeStore(t, s)
	s = openStore(t, dir)
	run(t, s, fast, watermill.Handler{Name: "h", Fn: rec.handle})
	until(t, func() bool { return slices.Contains(rec.of(room), 9) }, rec.news)
	got := rec.of(room)
	if compact := slices.Compact(slices.Clone(got)); !slices.Equal(compact, upTo(10)) || len(got) > 11 {
		t.Errorf("handled %v: want 0 to 9, at most one of them twice in a row", got)
	}
}

// TestOneProcess: a handler runs once; the second runner says so, and may take over when the first has ended.
func TestOneProcess(t *testing.T) {
	s := openStore(t, t.TempDir())
	rec := newRecorder(nil)
	h := watermill.Handler{Name: "h", Fn: rec.handle}
	r := run(t, s, fast, h)
	o := fast
	o.Logger = quiet()
	if _, err := watermill.Run(logtest.Context(t), s, []watermill.Handler{h}, o); err == nil || !strings.Contains(err.Error(), "another process runs it") {
		t.Errorf("second runner: %v", err)
	}
	closeRunner(t, r)
	run(t, s, fast, h)
	room := logtest.NewRoom()
	fill(t, s, room, 0, 3)
	rec.saw(t, room, 3)
}

func TestBadHandlers(t *testing.T) {
	s := openStore(t, t.TempDir())
	ok := newRecorder(nil).handle
	for name, hs := range map[string][]watermill.Handler{
		"no name":  {{Fn: ok}},
		"bad name": {{Name: "A.b", Fn: ok}},
		"twice":    {{Name: "a", Fn: ok}, {Name: "a", Fn: ok}},
		"no fn":    {{Name: "a"}},
		"bad kind": {{Name: "a", Fn: ok, Kinds: []events.Kind{"thing"}}},
	} {
		if _, err := watermill.Run(logtest.Context(t), s, hs, fast); err == nil {
			t.Errorf("%s: it runs", name)
		}
	}
}

// TestALaneWantsNoNap: each handler of a lane gets a context that is alive, though the one before had a deadline of its own: none of them is made to
// wait for the next delivery. Here that would never come. A handler that does not want a record is not asked.
func TestALaneWantsNoNap(t *testing.T) {
	s := openStore(t, t.TempDir())
	alive := func(r *recorder) func(context.Context, events.Record) error {
		return func(ctx context.Context, rec events.Record) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return r.handle(ctx, rec)
		}
	}
	first, second, third, never := newRecorder(nil), newRecorder(nil), newRecorder(nil), newRecorder(nil)
	o := fast
	o.Nap = time.Hour
	run(t, s, o, watermill.Handler{Name: "first", Lane: "process", Fn: alive(first)},
		watermill.Handler{Name: "never", Lane: "process", Wants: func(events.Record) bool { return false }, Fn: alive(never)},
		watermill.Handler{Name: "second", Lane: "process", Wants: func(events.Record) bool { return true }, Fn: alive(second)},
		watermill.Handler{Name: "third", Lane: "process", Fn: alive(third)})
	room := logtest.NewRoom()
	fill(t, s, room, 0, 20)
	for _, r := range []*recorder{first, second, third} {
		r.saw(t, room, 20)
	}
	if got := never.of(room); len(got) != 0 {
		t.Errorf("a handler was given what it does not want: %v", got)
	}
}
