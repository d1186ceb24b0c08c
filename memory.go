package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How memory is traded for speed. Under load the collector runs when the heap has grown to three times what lives (gcPercent), which
// costs less CPU than the default; once it is quiet, what was garbage goes back to the system, so that idle sockets cost what they hold.
const (
	openPercent = 50 // while a data directory is opened, which leaves much garbage and little that lives
	gcPercent   = 200
	quietEvery  = time.Second
	quietRate   = 1 << 20 // bytes allocated in quietEvery, at most
	worthwhile  = 4 << 20 // bytes allocated since memory was given back last, and at least half of what lives
)

// leastProcs is GOMAXPROCS at least: a goroutine in fsync keeps its place until the runtime takes it away, so that with a single one all
// rooms wait for every fsync. Measured on one core, 200 rooms × 10 commits/s: ack p50 113 ms with one, 11 ms with two.
const leastProcs = 2

// tuneProcs raises GOMAXPROCS to leastProcs, unless the environment says otherwise.
func tuneProcs() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < leastProcs {
		runtime.GOMAXPROCS(leastProcs)
	}
}

// tuneOpening sets the collector for opening a data directory, unless GOGC says otherwise.
func tuneOpening() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(openPercent)
	}
}

// tuneMemory sets the collector for serving, unless GOGC says otherwise, and gives memory back in quiet moments until ctx ends.
func tuneMemory(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	read := func() (allocated, live uint64) {
		metrics.Read(sample)
		return sample[0].Value.Uint64(), sample[1].Value.Uint64()
	}
	last, _ := read()
	given := last
	t := time.NewTicker(quietEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now, live := read()
		if now-last < quietRate && now-given > max(worthwhile, live/2) {
			debug.FreeOSMemory()
			given = now
		}
		last = now
	}
}
