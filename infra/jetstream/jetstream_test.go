package jetstream_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

// TestMain lets the test binary play the other processes of these tests.
func TestMain(m *testing.M) {
	if role := os.Getenv("KANVAS_TEST_ROLE"); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// open opens a store and closes it at the end of the test.
func open(t testing.TB, c jetstream.Config) *jetstream.Store {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := jetstream.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t testing.TB, s *jetstream.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestEmbedded(t *testing.T) {
	logtest.Run(t, func(t *testing.T) logtest.Store { return open(t, jetstream.Config{Dir: t.TempDir()}) })
}

func TestEmbeddedInterval(t *testing.T) {
	logtest.Run(t, func(t *testing.T) logtest.Store {
		return open(t, jetstream.Config{Dir: t.TempDir(), Durability: jetstream.DurabilityInterval, Partitions: 3})
	})
}

// waitFor looks until the fact is there.
func waitFor(t testing.TB, fact func() bool) {
	t.Helper()
	end := time.After(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !fact() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it did not come to be")
		}
	}
}

// sampleCounts is a metric's counter values or sample counts, by the value of its one label ("" without).
func sampleCounts(t *testing.T, g prometheus.Gatherer, name string) map[string]uint64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			label := ""
			if l := m.GetLabel(); len(l) > 0 {
				label = l[0].GetValue()
			}
			counts[label] = uint64(m.GetCounter().GetValue()) + m.GetHistogram().GetSampleCount()
		}
	}
	return counts
}
