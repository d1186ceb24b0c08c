package sqlite

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/projections"
	"github.com/infinite-kanvas/kanvas/projections/projectionstest"
)

// BenchmarkRebuild gives events/s of a whole rebuild: shadow, both digests, swap.
func BenchmarkRebuild(b *testing.B) {
	const n = 256_000
	for _, perCommit := range []int{1, 64} {
		b.Run(fmt.Sprintf("events=%d", perCommit), func(b *testing.B) {
			log := projectionstest.Edits(n, perCommit)
			ctx := context.Background()
			s, err := Open(ctx, Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			r := projections.NewRunner(projections.Config{Source: log, Streams: log, Store: s, Canvases: log, Unsealer: &projectionstest.Names{}})
			if _, err := r.Rebuild(ctx, ""); err != nil { // from empty tables
				b.Fatal(err)
			}
			total, spent := uint64(0), time.Duration(0)
			for b.Loop() {
				res, err := r.Rebuild(ctx, "")
				if err != nil || !res.Equal {
					b.Fatal(res, err)
				}
				total += res.Events
				spent += res.Duration
			}
			b.ReportMetric(float64(total)/spent.Seconds(), "events/s")
		})
	}
}
