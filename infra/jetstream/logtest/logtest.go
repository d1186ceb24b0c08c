// Package logtest is the conformance suite of commands.Log and projections.Source.
package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

// Store is what is tested.
type Store interface {
	commands.Log
	projections.Source
}

// Run runs the suite. open gives a store that may hold commits already; it is closed by open's own cleanup.
func Run(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	for name, f := range map[string]func(*testing.T, Store){
		"append and read":    appendAndRead,
		"sequence check":     sequenceCheck,
		"one of many wins":   oneOfManyWins,
		"stream ids":         streamIDs,
		"bad streams":        badStreams,
		"sizes":              sizes,
		"read from and stop": readFromAndStop,
		"read many bytes":    readManyBytes,
		"watch":              watch,
		"watch and read":     watchAndRead,
		"next":               next,
		"next waits":         nextWaits,
		"partitions spread":  partitionsSpread,
	} {
		t.Run(name, func(t *testing.T) { f(t, s) })
	}
}

// Context lasts as long as a test may take.
func Context(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// NewRoom names a stream that nobody has used.
func NewRoom() events.Stream { return events.Room(uuid.NewString()) }

// Fill appends n commits and returns their sequences.
func Fill(t *testing.T, s commands.Log, st events.Stream, n int, payload func(i int) []byte) []uint64 {
	t.Helper()
	var seqs []uint64
	var after uint64
	for i := range n {
		seq, err := s.Append(Context(t), st, after, payload(i))
		if err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
		if seq <= after {
			t.Fatalf("append %d: sequence %d after %d", i, seq, after)
		}
		seqs, after = append(seqs, seq), seq
	}
	return seqs
}

// Text is a small payload.
func Text(i int) []byte { return fmt.Appendf(nil, `{"n":%d}`, i) }

// ReadAll reads the stream from a sequence on.
func ReadAll(t *testing.T, s commands.Log, st events.Stream, from uint64) []events.Record {
	t.Helper()
	var recs []events.Record
	if err := s.Read(Context(t), st, from, func(r events.Record) bool { recs = append(recs, r); return true }); err != nil {
		t.Fatalf("read: %v", err)
	}
	return recs
}

func appendAndRead(t *testing.T, s Store) {
	st := NewRoom()
	if _, ok, err := s.Last(Context(t), st); ok || err != nil {
		t.Fatalf("last of an empty stream: %v %v", ok, err)
	}
	if recs := ReadAll(t, s, st, 0); len(recs) != 0 {
		t.Fatalf("an empty stream has %d records", len(recs))
	}
	seqs := Fill(t, s, st, 5, Text)
	recs := ReadAll(t, s, st, 0)
	if len(recs) != 5 {
		t.Fatalf("read %d records, want 5", len(recs))
	}
	for i, r := range recs {
		if r.Seq != seqs[i] || r.Stream != st || r.Partition != s.Partition(st) || !bytes.Equal(r.Payload, Text(i)) {
			t.Errorf("record %d is %+v %q", i, r, r.Payload)
		}
	}
	last, ok, err := s.Last(Context(t), st)
	if err != nil || !ok || last.Seq != seqs[4] || last.Stream != st || !bytes.Equal(last.Payload, Text(4)) {
		t.Errorf("last is %+v %v %v", last, ok, err)
	}
}

func sequenceCheck(t *testing.T, s Store) {
	st := NewRoom()
	if _, err := s.Append(Context(t), st, 7, Text(0)); !errors.Is(err, commands.ErrSequence) {
		t.Errorf("append after 7 to an empty stream: %v", err)
	}
	seqs := Fill(t, s, st, 2, Text)
	for _, after := range []uint64{0, seqs[0], seqs[1] + 1} {
		if _, err := s.Append(Context(t), st, after, Text(9)); !errors.Is(err, commands.ErrSequence) {
			t.Errorf("append after %d where %d is last: %v", after, seqs[1], err)
		}
	}
	if n := len(ReadAll(t, s, st, 0)); n != 2 {
		t.Errorf("%d records after refused appends, want 2", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Append(ctx, st, seqs[1], Text(9)); !errors.Is(err, commands.ErrUnknownOutcome) {
		t.Errorf("append with an ended context: %v", err)
	}
}

func oneOfManyWins(t *testing.T, s Store) {
	st := NewRoom()
	ctx := Context(t)
	var after uint64
	for round := range 5 {
		won := make(chan uint64, 8)
		var g errgroup.Group
		for i := range 8 {
			g.Go(func() error {
				seq, err := s.Append(ctx, st, after, Text(i))
				if err == nil {
					won <- seq
				} else if !errors.Is(err, commands.ErrSequence) {
					return err
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if len(won) != 1 {
			t.Fatalf("round %d: %d winners", round, len(won))
		}
		after = <-won
	}
	if n := len(ReadAll(t, s, st, 0)); n != 5 {
		t.Errorf("%d records, want 5", n)
	}
}

// streamIDs: every byte that an id may have goes through subjects unharmed, and kinds are apart.
func streamIDs(t *testing.T, s Store) {
	id := uuid.NewString()
	ids := []string{"anon:" + id, "a:b:" + id, ":" + id, id + ":", "_-" + id, strings.ToUpper(id) + "Z",
		id + strings.Repeat("x", events.MaxStreamID-len(id))}
	for _, id := range ids {
		for _, st := range []events.Stream{events.Room(id), events.User(id), events.Asset(id)} {
			got := make(chan events.Record, 1)
			stop, err := s.Watch(st, func(r events.Record, _ bool) { got <- r })
			if err != nil {
				t.Fatalf("watch %s: %v", st, err)
			}
			seqs := Fill(t, s, st, 1, func(int) []byte { return []byte(st.String()) })
			recs := ReadAll(t, s, st, 0)
			if len(recs) != 1 || recs[0].Stream != st || recs[0].Seq != seqs[0] || string(recs[0].Payload) != st.String() {
				t.Errorf("%s reads %+v", st, recs)
			}
			select {
			case r := <-got:
				if r.Stream != st || r.Seq != seqs[0] {
					t.Errorf("watch of %s saw %+v", st, r)
				}
			case <-Context(t).Done():
				t.Errorf("watch of %s saw nothing", st)
			}
			stop()
		}
	}
}

func badStreams(t *testing.T, s Store) {
	for _, st := range []events.Stream{events.Room(""), events.Room("a.b"), events.Room("*"), events.Room(">"), events.Room("a b"),
		events.Room("a/b"), events.Room("é"), events.Room(strings.Repeat("x", events.MaxStreamID+1)), {Kind: "thing", ID: "x"}, {Kind: "room.x", ID: "x"}} {
		if _, err := s.Append(Context(t), st, 0, Text(0)); err == nil {
			t.Errorf("append to %q worked", st)
		}
		if _, _, err := s.Last(Context(t), st); err == nil {
			t.Errorf("last of %q worked", st)
		}
		if err := s.Read(Context(t), st, 0, func(events.Record) bool { return true }); err == nil {
			t.Errorf("read of %q worked", st)
		}
		if _, err := s.Watch(st, func(events.Record, bool) {}); err == nil {
			t.Errorf("watch of %q worked", st)
		}
	}
}

func sizes(t *testing.T, s Store) {
	st := NewRoom()
	big := bytes.Repeat([]byte("k"), s.MaxPayload())
	seqs := Fill(t, s, st, 1, func(int) []byte { return big })
	if _, err := s.Append(Context(t), st, seqs[0], append(big, 'k')); !errors.Is(err, commands.ErrCommitTooLarge) {
		t.Errorf("one byte over MaxPayload: %v", err)
	}
	recs := ReadAll(t, s, st, 0)
	if len(recs) != 1 || !bytes.Equal(recs[0].Payload, big) {
		t.Error("the largest commit did not come back")
	}
	if s.MaxPayload() < 15<<20 {
		t.Errorf("MaxPayload is %d", s.MaxPayload())
	}
}

func readFromAndStop(t *testing.T, s Store) {
	st, other := NewRoom(), NewRoom()
	var seqs []uint64
	var a, b uint64
	for i := range 10 { // two streams, interleaved
		var err error
		if a, err = s.Append(Context(t), st, a, Text(i)); err != nil {
			t.Fatal(err)
		}
		if b, err = s.Append(Context(t), other, b, Text(i)); err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, a)
	}
	for i, from := range []uint64{seqs[0], seqs[3], seqs[3] + 1, seqs[9], seqs[9] + 1} {
		want := []int{10, 7, 6, 1, 0}[i]
		if got := len(ReadAll(t, s, st, from)); got != want {
			t.Errorf("read from %d: %d records, want %d", from, got, want)
		}
	}
	n := 0
	if err := s.Read(Context(t), st, 0, func(events.Record) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Errorf("stopped read: %d records, %v", n, err)
	}
}

func readManyBytes(t *testing.T, s Store) {
	st := NewRoom()
	const n, size = 24, 300_000 // several batches by bytes
	payload := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, size) }
	Fill(t, s, st, n, payload)
	i := 0
	for _, r := range ReadAll(t, s, st, 0) {
		if !bytes.Equal(r.Payload, payload(i)) {
			t.Fatalf("record %d has other bytes", i)
		}
		i++
	}
	if i != n {
		t.Errorf("%d records, want %d", i, n)
	}
}
