package jetstream_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

func openFails(t *testing.T, c jetstream.Config, want string) {
	t.Helper()
	c.Logger = quiet()
	s, err := jetstream.Open(context.Background(), c)
	if err == nil {
		closeStore(t, s)
		t.Fatalf("open worked, want %q", want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("open says %q, want %q", err, want)
	}
}

func TestPartitionsAreFixed(t *testing.T) {
	dir := t.TempDir()
	closeStore(t, open(t, jetstream.Config{Dir: dir, Partitions: 4}))
	openFails(t, jetstream.Config{Dir: dir, Partitions: 8}, "created with 4 partitions")
	openFails(t, jetstream.Config{Dir: dir, Partitions: 2}, "created with 4 partitions")
	closeStore(t, open(t, jetstream.Config{Dir: dir, Partitions: 4}))
}

func TestMissingStream(t *testing.T) {
	dir := t.TempDir()
	s := open(t, jetstream.Config{Dir: dir, Partitions: 4})
	if err := s.JetStream().DeleteStream(context.Background(), "KANVAS_2"); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	openFails(t, jetstream.Config{Dir: dir, Partitions: 4}, "KANVAS_2 of the log is missing")
}

func TestBadConfig(t *testing.T) {
	openFails(t, jetstream.Config{}, "directory or a URL")
	openFails(t, jetstream.Config{Dir: t.TempDir(), Partitions: 65}, "partitions: 65")
	openFails(t, jetstream.Config{Dir: t.TempDir(), Durability: "never"}, "durability")
	openFails(t, jetstream.Config{Dir: t.TempDir(), Replicas: 3}, "external cluster")
}

// TestNothingDeletes: the streams refuse to forget.
func TestNothingDeletes(t *testing.T) {
	s := open(t, jetstream.Config{Dir: t.TempDir(), Partitions: 1})
	seqs := logtest.Fill(t, s, logtest.NewRoom(), 2, logtest.Text)
	st, err := s.JetStream().Stream(context.Background(), "KANVAS_0")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.DeleteMsg(context.Background(), seqs[0]); err == nil {
		t.Error("a commit was deleted")
	}
	if err := st.Purge(context.Background()); err == nil {
		t.Error("the stream was purged")
	}
}

func TestCheck(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, jetstream.Config{Dir: t.TempDir(), Partitions: 1, Registerer: reg})
	sum := func(i int) string { return fmt.Sprintf("%064d", i) }
	seqs := logtest.Fill(t, s, logtest.NewRoom(), 120, func(i int) []byte { return fmt.Appendf(nil, `{"n":1,"sum":"%s"}`, sum(i)) })
	ctx := logtest.Context(t)
	good := []jetstream.Checkpoint{{"rooms", 0, seqs[119], sum(119)}, {"users", 0, seqs[3], sum(3)}, {"new", 0, 0, ""}}
	if err := s.Check(ctx, good); err != nil {
		t.Errorf("a whole log: %v", err)
	}
	err := s.Check(ctx, append(good, jetstream.Checkpoint{Projection: "rooms", Seq: 150, Sum: "x"}, jetstream.Checkpoint{Projection: "users", Seq: 5, Sum: "x"},
		jetstream.Checkpoint{Projection: "users", Partition: 3, Seq: 5}))
	if err == nil {
		t.Fatal("a short log passed")
	}
	for _, want := range []string{
		"log KANVAS_0 ends at 120 but projection rooms has applied 150: 30 commits are missing",
		"log KANVAS_0 was replaced: its commit 5 has sum 000000000000, projection users applied one with sum x",
		"projection users has a checkpoint in partition 3, the log has 1 partitions",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	if n := sampleCounts(t, reg, "kanvas_log_append_seconds")[""]; n != 120 {
		t.Errorf("%d appends measured", n)
	}
	if n := sampleCounts(t, reg, "kanvas_log_fsync_seconds")[""]; n != 20 {
		t.Errorf("%d fsyncs measured", n)
	}
}
