package jetstream_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
	"github.com/infinite-kanvas/kanvas/infra/kvtest"
)

func openKV(t *testing.T, s *jetstream.Store) *jetstream.KV {
	t.Helper()
	kv, err := s.OpenKV(logtest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func TestKV(t *testing.T) {
	s := open(t, jetstream.Config{Dir: t.TempDir()})
	kvtest.Run(t, openKV(t, s), kvtest.Features{MinTTL: time.Second})
}

// TestKVExternalRestart: the cache is empty after the server's restart, and takes entries without being opened again.
func TestKVExternalRestart(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	ns := startNATS(t, dir, port, 16<<20)
	s := open(t, jetstream.Config{URL: "nats://127.0.0.1:" + port, Logger: quiet()})
	kv := openKV(t, s)
	ctx := logtest.Context(t)
	if err := kv.Put(ctx, "a:b", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	ns.kill()
	waitFor(t, func() bool { return s.Ready() != nil })
	startNATS(t, dir, port, 16<<20)
	waitFor(t, func() bool { return s.Ready() == nil })
	if _, ok, err := kv.Get(ctx, "a:b"); ok || err != nil {
		t.Errorf("after the restart: %v %v", ok, err)
	}
	if err := kv.Put(ctx, "a:b", []byte("w"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if v, ok, err := kv.Get(ctx, "a:b"); !ok || err != nil || string(v) != "w" {
		t.Errorf("%q %v %v", v, ok, err)
	}
}

// TestKVFull: a full cache drops its oldest entries and goes on.
func TestKVFull(t *testing.T) {
	s := open(t, jetstream.Config{Dir: t.TempDir(), Partitions: 1})
	kv := openKV(t, s)
	value := bytes.Repeat([]byte("v"), 7<<20)
	for i := range 30 {
		if err := kv.Put(logtest.Context(t), string(rune('a'+i)), value, 0); err != nil {
			t.Fatalf("put %d: %v", i, err)
		}
	}
	if _, ok, err := kv.Get(logtest.Context(t), "a"); ok || err != nil {
		t.Errorf("the oldest entry: %v %v", ok, err)
	}
	if _, ok, err := kv.Get(logtest.Context(t), string(rune('a'+29))); !ok || err != nil {
		t.Errorf("the newest entry: %v %v", ok, err)
	}
}

func TestKVMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, jetstream.Config{Dir: t.TempDir(), Partitions: 1, Registerer: reg})
	kv := openKV(t, s)
	if err := kv.Put(logtest.Context(t), "k", nil, 0); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"k", "k", "missing"} {
		if _, _, err := kv.Get(logtest.Context(t), k); err != nil {
			t.Fatal(err)
		}
	}
	if got := sampleCounts(t, reg, "kanvas_kv_gets_total"); got["hit"] != 2 || got["miss"] != 1 || len(got) != 2 {
		t.Errorf("gets: %v", got)
	}
	if got := sampleCounts(t, reg, "kanvas_kv_seconds"); got["put"] != 1 || got["get"] != 3 || len(got) != 2 {
		t.Errorf("seconds: %v", got)
	}
}
