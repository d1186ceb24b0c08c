package jetstream_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

func TestExternal(t *testing.T) {
	port := freePort(t)
	startNATS(t, t.TempDir(), port, 16<<20)
	logtest.Run(t, func(t *testing.T) logtest.Store { return open(t, jetstream.Config{URL: "nats://127.0.0.1:" + port}) })
}

// TestExternalTwoNodes: what one node appends, the other's watch and Next see at once.
func TestExternalTwoNodes(t *testing.T) {
	port := freePort(t)
	startNATS(t, t.TempDir(), port, 16<<20)
	a := open(t, jetstream.Config{URL: "nats://127.0.0.1:" + port, Name: "a"})
	b := open(t, jetstream.Config{URL: "nats://127.0.0.1:" + port, Name: "b"})
	st := logtest.NewRoom()
	seen := make(chan uint64, 10)
	stop, err := b.Watch(st, func(r events.Record, _ bool) { seen <- r.Seq })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	seqs := logtest.Fill(t, a, st, 3, logtest.Text)
	for _, want := range seqs {
		if got := <-seen; got != want {
			t.Errorf("watch saw %d, want %d", got, want)
		}
	}
	for after := seqs[0] - 1; after < seqs[2]; {
		recs, err := b.Next(logtest.Context(t), b.Partition(st), after, 10, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		after = recs[len(recs)-1].Seq
	}
	if _, err := b.Append(logtest.Context(t), st, seqs[1], logtest.Text(9)); !errors.Is(err, commands.ErrSequence) {
		t.Errorf("append of the node that is behind: %v", err)
	}
}

func TestExternalMaxPayload(t *testing.T) {
	port := freePort(t)
	startNATS(t, t.TempDir(), port, 1<<20)
	_, err := jetstream.Open(context.Background(), jetstream.Config{URL: "nats://127.0.0.1:" + port, Logger: quiet()})
	if err == nil || !strings.Contains(err.Error(), "max_payload: 16777216") {
		t.Errorf("a server of 1 MiB: %v", err)
	}
}

func TestExternalUnreachable(t *testing.T) {
	_, err := jetstream.Open(context.Background(), jetstream.Config{URL: "nats://user:hunter2@127.0.0.1:" + freePort(t), Logger: quiet()})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("no server: %v", err)
	}
}

// TestExternalKilled: the server is killed under load and comes back on its disk. Calls in flight end at once with an unknown
// outcome, later ones are refused, the client comes back by itself, watchers are told, and everything acknowledged is there.
func TestExternalKilled(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	ns := startNATS(t, dir, port, 16<<20)
	s := open(t, jetstream.Config{URL: "nats://127.0.0.1:" + port, Logger: quiet()})
	rooms := make([]events.Stream, 8)
	acked := make([]uint64, len(rooms)) // last acknowledged, by room
	count := make([]int, len(rooms))
	var failures sync.Map
	ready := make(chan struct{}, len(rooms))
	var wg sync.WaitGroup
	gaps := make(chan struct{}, 1)
	for i := range rooms {
		rooms[i] = logtest.NewRoom()
		wg.Go(func() {
			for {
				seq, err := s.Append(logtest.Context(t), rooms[i], acked[i], logtest.Text(count[i]))
				if err != nil {
					failures.Store(i, err)
					return
				}
				acked[i] = seq
				if count[i]++; count[i] == 20 {
					ready <- struct{}{}
				}
			}
		})
	}
	stop, err := s.Watch(rooms[0], func(r events.Record, gap bool) {
		if gap {
			select {
			case gaps <- struct{}{}:
			default:
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for range rooms {
		<-ready
	}
	killed := time.Now()
	ns.kill()
	wg.Wait()
	if d := time.Since(killed); d > 5*time.Second {
		t.Errorf("appends hung for %s after the server was killed", d)
	}
	unknown := 0
	failures.Range(func(_, err any) bool {
		if errors.Is(err.(error), commands.ErrUnknownOutcome) {
			unknown++
		} else if !errors.Is(err.(error), commands.ErrLogReadOnly) {
			t.Errorf("append to a killed server: %v", err)
		}
		return true
	})
	if unknown == 0 {
		t.Error("no append in flight had an unknown outcome")
	}
	if _, err := s.Append(logtest.Context(t), rooms[0], acked[0], logtest.Text(0)); !errors.Is(err, commands.ErrLogReadOnly) {
		t.Errorf("append while the server is down: %v", err)
	}
	startNATS(t, dir, port, 16<<20)
	select {
	case <-gaps:
	case <-logtest.Context(t).Done():
		t.Fatal("the watch was not told of the lost connection")
	}
	waitFor(t, func() bool { return s.Ready() == nil })
	for i, st := range rooms {
		recs := logtest.ReadAll(t, s, st, 0)
		n := len(recs)
		if n != count[i] && n != count[i]+1 { // the one in flight may be stored
			t.Errorf("room %d has %d commits, %d were acknowledged", i, n, count[i])
		}
		for k, r := range recs {
			if string(r.Payload) != string(logtest.Text(k)) {
				t.Fatalf("room %d: commit %d is %s", i, k, r.Payload)
			}
		}
		if recs[count[i]-1].Seq != acked[i] {
			t.Errorf("room %d: commit %d has sequence %d, acknowledged was %d", i, count[i], recs[count[i]-1].Seq, acked[i])
		}
		if _, err := s.Append(logtest.Context(t), st, recs[n-1].Seq, logtest.Text(n)); err != nil {
			t.Errorf("append after the restart: %v", err)
		}
	}
}
