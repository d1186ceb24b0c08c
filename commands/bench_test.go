package commands_test

import (
	"fmt"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// BenchmarkActor64InFlight keeps 64 element.patch requests in flight in one room over the real log, fsync on every commit. It reports durable events a
// second, events in a commit, and the CPU of the whole process (the embedded log's and the kernel's share included) for an event.
func BenchmarkActor64InFlight(b *testing.B) {
	log := openLog(b)
	d := newNode(b, log)
	createRoom(b, d, "r")
	for i := range 100 {
		mustDo(b, d, "r", by(owner, add(b, fmt.Sprint("e", i), `"x":1`, `"y":2`, `"width":100`, `"height":50`)))
	}
	f := &counter{}
	w, err := d.Watch(testContext(b), "r", f)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	free := make(chan struct{}, 64)
	for range 64 {
		free <- struct{}{}
	}
	cpu := cpuTime()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		<-free
		c := domain.PatchElement{ID: fmt.Sprint("e", i%100), Set: twoMembers(i)}
		w.Submit(bySeq(owner, "client-0123456789", uint64(i+1), c), func(_ commands.Result, err error) {
			if err != nil {
				b.Error(err)
			}
			free <- struct{}{}
		})
	}
	for range 64 {
		<-free
	}
	b.StopTimer()
	took := b.Elapsed()
	b.ReportMetric(float64(b.N)/took.Seconds(), "events/s")
	b.ReportMetric(float64(b.N)/float64(max(f.commits, 1)), "events/commit")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/event")
}

// counter is a Watcher that counts; the actor alone calls it, and the benchmark reads it after the last answer.
type counter struct{ commits int }

func (c *counter) Committed(*events.Commit) { c.commits++ }
func (c *counter) Ended(error)              {}

func twoMembers(i int) events.Members {
	return events.Members{{Key: "x", Value: strconv.AppendInt(nil, int64(i), 10)}, {Key: "y", Value: strconv.AppendInt(nil, int64(2*i), 10)}}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkView2000 is one View at a new revision of a room with 2,000 elements.
func BenchmarkView2000(b *testing.B) {
	d := newNode(b, openLog(b))
	createRoom(b, d, "r")
	var cs []domain.Command
	for i := range 2000 {
		cs = append(cs, add(b, fmt.Sprint("e", i), `"x":1`))
	}
	mustDo(b, d, "r", by(owner, cs...))
	b.ReportAllocs()
	for i := range b.N {
		b.StopTimer()
		mustDo(b, d, "r", by(owner, patch("e1", "x", fmt.Sprint(i+2))))
		b.StartTimer()
		v, err := d.View(b.Context(), "r")
		if err != nil || len(v.Elements) != 2000 {
			b.Fatal(err)
		}
		runtime.KeepAlive(v)
	}
}
