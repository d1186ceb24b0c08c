package jetstream_test

import (
	"testing"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

// A store whose streams republish, as those of an external server and of older versions do, is taken over as it is; the embedded server stops
// republishing, and watchers hear of every commit once.
func TestOldStoresStopRepublishing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, jetstream.Config{Dir: dir, Logger: quiet()})
	st := logtest.NewRoom()
	logtest.Fill(t, s, st, 3, logtest.Text)
	for p := range s.Partitions() {
		stream, err := s.JetStream().Stream(logtest.Context(t), jetstream.StreamName(p))
		if err != nil {
			t.Fatal(err)
		}
		c := stream.CachedInfo().Config
		if c.RePublish != nil {
			t.Fatal("a new embedded store republishes")
		}
		c.RePublish = &natsjs.RePublish{Source: ">", Destination: "live.>"}
		if _, err := s.JetStream().UpdateStream(logtest.Context(t), c); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	s = open(t, jetstream.Config{Dir: dir, Logger: quiet()})
	for p := range s.Partitions() {
		stream, err := s.JetStream().Stream(logtest.Context(t), jetstream.StreamName(p))
		if err != nil || stream.CachedInfo().Config.RePublish != nil {
			t.Fatalf("partition %d republishes still, %v", p, err)
		}
	}
	recs := logtest.ReadAll(t, s, st, 0)
	var seen []events.Record
	stop, err := s.Watch(st, func(r events.Record, gap bool) { seen = append(seen, r) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	seq, err := s.Append(logtest.Context(t), st, recs[2].Seq, logtest.Text(3))
	if err != nil || len(seen) != 1 || seen[0].Seq != seq { // told before Append returns
		t.Fatalf("%v: %d, seen %+v", err, seq, seen)
	}
}
