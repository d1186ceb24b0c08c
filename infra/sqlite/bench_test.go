package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
	"github.com/infinite-kanvas/kanvas/projections/projectionstest"
)

// benchLog holds at least n events of 200 rooms: edits of about 300 bytes, perCommit of them a commit, and a chat message in a hundred.
func benchLog(n, perCommit int) *projectionstest.Log {
	log := projectionstest.NewLog(8)
	const rooms = 200
	for r := range rooms {
		log.Append(events.Room(fmt.Sprintf("room-%d", r)), projectionstest.Start, "ann", &events.RoomCreatedData{Name: "Room", Visibility: "public", DefaultRole: "editor", Owner: fmt.Sprintf("user-%d", r%50)})
	}
	var payloads []any
	for i := range n {
		var p any = &events.ElementPatchedData{ID: fmt.Sprintf("element-%d", i%1000), Set: events.Members{
			{Key: "x", Value: json.RawMessage(fmt.Sprint(i))}, {Key: "y", Value: json.RawMessage("123.456")}, {Key: "text", Value: json.RawMessage(`"some text of an element, long enough to be like the real ones"`)}}}
		if i%100 == 99 {
			p = &events.ChatPostedData{Text: projectionstest.Seal("a message")}
		}
		if payloads = append(payloads, p); len(payloads) == perCommit {
			log.Append(events.Room(fmt.Sprintf("room-%d", i/perCommit%rooms)), projectionstest.Start+int64(i), "ann", payloads...)
			payloads = nil
		}
	}
	return log
}

// BenchmarkRebuild gives events/s of a whole rebuild: shadow, both digests, swap.
func BenchmarkRebuild(b *testing.B) {
	const n = 256_000
	for _, perCommit := range []int{1, 64} {
		b.Run(fmt.Sprintf("events=%d", perCommit), func(b *testing.B) {
			log := benchLog(n, perCommit)
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
