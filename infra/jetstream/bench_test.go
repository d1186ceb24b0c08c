package jetstream_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

// cpu is the process's user and system time.
func cpu(b *testing.B) (user, system time.Duration) {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano()), time.Duration(ru.Stime.Nano())
}

func report(b *testing.B, user, system time.Duration, n int, took []time.Duration) {
	u, s := cpu(b)
	slices.Sort(took)
	b.ReportMetric(float64((u-user).Microseconds())/float64(n), "user-µs/commit")
	b.ReportMetric(float64((s-system).Microseconds())/float64(n), "sys-µs/commit")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkAppendOneRoom is one room as fast as it goes, 512 B a commit, fsync on each (always) or not.
func BenchmarkAppendOneRoom(b *testing.B) {
	for _, d := range []string{jetstream.DurabilityAlways, jetstream.DurabilityInterval} {
		b.Run(d, func(b *testing.B) {
			s := open(b, jetstream.Config{Dir: b.TempDir(), Durability: d})
			payload := make([]byte, 512)
			st := logtest.NewRoom()
			var after uint64
			var took []time.Duration
			u, sy := cpu(b)
			for b.Loop() {
				start := time.Now()
				seq, err := s.Append(context.Background(), st, after, payload)
				if err != nil {
					b.Fatal(err)
				}
				after, took = seq, append(took, time.Since(start))
			}
			report(b, u, sy, len(took), took)
		})
	}
}

// BenchmarkAppend200Rooms is 200 rooms × 10 commits/s for 5 s, all in step with a clock of their own.
func BenchmarkAppend200Rooms(b *testing.B) { paced(b, 200, 10, 5*time.Second) }

// BenchmarkAppendFlood is 256 rooms as fast as they go.
func BenchmarkAppendFlood(b *testing.B) { paced(b, 256, 1e6, 3*time.Second) }

func paced(b *testing.B, rooms, rate int, long time.Duration) {
	s := open(b, jetstream.Config{Dir: b.TempDir()})
	for b.Loop() {
		var mu sync.Mutex
		var took []time.Duration
		var wg sync.WaitGroup
		u, sy := cpu(b)
		end := time.Now().Add(long)
		for i := range rooms {
			st := logtest.NewRoom()
			wg.Go(func() {
				mine, err := paceRoom(s, st, time.Second/time.Duration(rate), time.Duration(i)*time.Second/time.Duration(rate*rooms), end)
				if err != nil {
					b.Error(err)
				}
				mu.Lock()
				took = append(took, mine...)
				mu.Unlock()
			})
		}
		wg.Wait()
		report(b, u, sy, len(took), took)
		b.ReportMetric(float64(len(took))/long.Seconds(), "commits/s")
	}
}

func paceRoom(s *jetstream.Store, st events.Stream, every, phase time.Duration, end time.Time) ([]time.Duration, error) {
	payload := make([]byte, 512)
	var after uint64
	var took []time.Duration
	next := time.Now().Add(phase)
	for ; next.Before(end); next = next.Add(every) {
		if wait := time.Until(next); wait > 0 {
			time.Sleep(wait)
		} else if time.Now().After(end) {
			break
		}
		start := time.Now()
		seq, err := s.Append(context.Background(), st, after, payload)
		if err != nil {
			return took, errors.Join(errors.New("paced room"), err)
		}
		after, took = seq, append(took, time.Since(start))
	}
	return took, nil
}
