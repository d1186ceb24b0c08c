package logtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/events"
)

func watch(t *testing.T, s Store) {
	st, other := NewRoom(), NewRoom()
	type seen struct {
		rec events.Record
		gap bool
	}
	ch := make(chan seen, 100)
	stop, err := s.Watch(st, func(r events.Record, gap bool) { ch <- seen{r, gap} })
	if err != nil {
		t.Fatal(err)
	}
	var a, b uint64
	for i := range 50 {
		if a, err = s.Append(Context(t), st, a, Text(i)); err != nil {
			t.Fatal(err)
		}
		if b, err = s.Append(Context(t), other, b, Text(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		select {
		case g := <-ch:
			if g.gap || g.rec.Stream != st || string(g.rec.Payload) != string(Text(i)) || g.rec.Partition != s.Partition(st) {
				t.Fatalf("commit %d: %+v", i, g)
			}
		case <-Context(t).Done():
			t.Fatalf("commit %d did not come", i)
		}
	}
	stop()
	stop() // twice does no harm
	if _, err = s.Append(Context(t), st, a, Text(50)); err != nil {
		t.Fatal(err)
	}
	again := make(chan events.Record, 1) // what a later watch sees has passed the stopped one
	stop2, err := s.Watch(other, func(r events.Record, _ bool) { again <- r })
	if err != nil {
		t.Fatal(err)
	}
	defer stop2()
	if _, err = s.Append(Context(t), other, b, Text(51)); err != nil {
		t.Fatal(err)
	}
	<-again
	if len(ch) != 0 {
		t.Error("a stopped watch was told of a commit")
	}
}

// watchAndRead: a watch begun first and a read after it together miss nothing, while somebody appends.
func watchAndRead(t *testing.T, s Store) {
	st := NewRoom()
	ctx := Context(t)
	const n = 200
	var g errgroup.Group
	half := make(chan struct{})
	reached := sync.OnceFunc(func() { close(half) })
	g.Go(func() error {
		defer reached() // also where an append fails
		var after uint64
		for i := range n {
			seq, err := s.Append(ctx, st, after, Text(i))
			if err != nil {
				return err
			}
			if after = seq; i == n/2 {
				reached()
			}
		}
		return nil
	})
	<-half
	live := make(chan events.Record, n)
	stop, err := s.Watch(st, func(r events.Record, gap bool) {
		if gap {
			t.Error("a gap")
		}
		live <- r
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	recs := ReadAll(t, s, st, 0)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	last := recs[len(recs)-1].Seq
	for len(recs) < n {
		select {
		case r := <-live:
			if r.Seq > last {
				recs, last = append(recs, r), r.Seq
			}
		case <-ctx.Done():
			t.Fatalf("%d of %d commits", len(recs), n)
		}
	}
	for i, r := range recs {
		if string(r.Payload) != string(Text(i)) {
			t.Fatalf("commit %d is %s", i, r.Payload)
		}
	}
}

func next(t *testing.T, s Store) {
	st := NewRoom()
	p := s.Partition(st)
	_, start, err := s.Bounds(Context(t), p)
	if err != nil {
		t.Fatal(err)
	}
	seqs := Fill(t, s, st, 30, Text)
	first, last, err := s.Bounds(Context(t), p)
	if err != nil || last != seqs[29] || first == 0 || first > seqs[0] {
		t.Errorf("bounds %d %d %v, last commit is %d", first, last, err, seqs[29])
	}
	var got []events.Record
	for after := start; len(got) < 30; {
		recs, err := s.Next(Context(t), p, after, 7, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(recs) == 0 || len(recs) > 7 {
			t.Fatalf("next gave %d records", len(recs))
		}
		for _, r := range recs {
			if r.Seq != after+1 || r.Partition != p {
				t.Fatalf("sequence %d of partition %d follows %d", r.Seq, r.Partition, after)
			}
			after = r.Seq
		}
		got = append(got, recs...)
	}
	recs, err := s.Next(Context(t), p, start, 30, 1)
	if err != nil || len(recs) != 1 {
		t.Errorf("next with 1 byte: %d records, %v", len(recs), err)
	}
	for _, bad := range []int{-1, s.Partitions()} {
		if _, err := s.Next(Context(t), bad, 0, 1, 1); err == nil {
			t.Errorf("next of partition %d worked", bad)
		}
	}
}

func nextWaits(t *testing.T, s Store) {
	st := NewRoom()
	p := s.Partition(st)
	seqs := Fill(t, s, st, 1, Text)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if recs, err := s.Next(ctx, p, seqs[0], 10, 1<<20); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("next at the end: %d records, %v", len(recs), err)
	}
	var g errgroup.Group
	var recs []events.Record
	g.Go(func() (err error) {
		recs, err = s.Next(Context(t), p, seqs[0], 10, 1<<20)
		return err
	})
	if _, err := s.Append(Context(t), st, seqs[0], Text(1)); err != nil {
		t.Fatal(err)
	}
	if err := g.Wait(); err != nil || len(recs) != 1 || recs[0].Seq <= seqs[0] {
		t.Errorf("next after an append: %+v %v", recs, err)
	}
}

func partitionsSpread(t *testing.T, s Store) {
	n := s.Partitions()
	count := make([]int, n)
	for range 200 * n {
		st := NewRoom()
		p := s.Partition(st)
		if p < 0 || p >= n || p != s.Partition(st) {
			t.Fatalf("partition %d of %d", p, n)
		}
		count[p]++
	}
	for p, c := range count {
		if c < 100 || c > 320 {
			t.Errorf("partition %d has %d of %d streams", p, c, 200*n)
		}
	}
}
