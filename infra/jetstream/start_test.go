package jetstream_test

import (
	"context"
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

func TestEveryAppendIsMeasuredAndSomeFsyncs(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, jetstream.Config{Dir: t.TempDir(), Partitions: 1, Registerer: reg})
	logtest.Fill(t, s, logtest.NewRoom(), 120, logtest.Text)
	if n := sampleCounts(t, reg, "kanvas_log_append_seconds")[""]; n != 120 {
		t.Errorf("%d appends measured", n)
	}
	if n := sampleCounts(t, reg, "kanvas_log_fsync_seconds")[""]; n != 20 {
		t.Errorf("%d fsyncs measured", n)
	}
}
