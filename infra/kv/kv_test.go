package kv

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/infra/kvtest"
)

func open(t *testing.T, reg prometheus.Registerer) *Namespace {
	t.Helper()
	w := edgetest.Shared(t)
	return at(t, w.URL+"/client/v4", w.Account, w.Secret, w.Namespace, reg)
}

func at(t *testing.T, url, account, secret, namespace string, reg prometheus.Registerer) *Namespace {
	t.Helper()
	client, err := cloudflare.New(cloudflare.Config{Account: account, Secret: secret, URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return New(client, namespace, reg)
}

func TestNamespace(t *testing.T) {
	kvtest.Run(t, open(t, nil), kvtest.Features{MinTTL: MinTTL})
}

func TestLimits(t *testing.T) {
	n := open(t, nil)
	for name, err := range map[string]error{
		"ttl":   n.Put(context.Background(), "k", nil, MinTTL-time.Second),
		"dot":   n.Put(context.Background(), "..", nil, 0),
		"value": n.Put(context.Background(), "k", make([]byte, maxValue+1), 0),
		"utf-8": n.Put(context.Background(), "\xff", nil, 0),
	} {
		if err == nil || !strings.Contains(err.Error(), "kv: put") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := n.Put(context.Background(), "k", []byte("v"), MinTTL); err != nil {
		t.Error(err)
	}
}

func TestHitsAndMissesAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	n := open(t, reg)
	if err := n.Put(context.Background(), "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"k", "k", "none"} {
		if _, _, err := n.Get(context.Background(), key); err != nil {
			t.Fatal(err)
		}
	}
	err := testutil.GatherAndCompare(reg, strings.NewReader(`# HELP kanvas_kv_gets_total Cache reads, by result.
# TYPE kanvas_kv_gets_total counter
kanvas_kv_gets_total{result="error",store="cloudflare"} 0
kanvas_kv_gets_total{result="hit",store="cloudflare"} 2
kanvas_kv_gets_total{result="miss",store="cloudflare"} 1
`), "kanvas_kv_gets_total")
	if err != nil {
		t.Error(err)
	}
}

// A namespace that is not there is an error, and not an empty one.
func TestAnotherNamespaceIsAnError(t *testing.T) {
	w := edgetest.Shared(t)
	n := at(t, w.URL+"/client/v4", w.Account, w.Secret, "0123456789abcdef0123456789abcdef", nil)
	if _, ok, err := n.Get(context.Background(), "k"); err == nil || ok {
		t.Errorf("get: %v %v", ok, err)
	}
	denied := at(t, w.URL+"/client/v4", w.Account, "hunter2", w.Namespace, nil)
	if _, _, err := denied.Get(context.Background(), "k"); !errors.Is(err, cloudflare.ErrDenied) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("wrong secret: %v", err)
	}
}

// What Cloudflare did not take is said, also where the call went well.
func TestKeysThatWereNotTaken(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"success":true,"errors":[],"messages":[],"result":{"successful_key_count":1,"unsuccessful_keys":["b"]}}`))
	}))
	t.Cleanup(srv.Close)
	n := at(t, srv.URL, "acc", "secret", "ns", nil)
	if err := n.Put(context.Background(), "b", nil, 0); err == nil || !strings.Contains(err.Error(), `"b"`) {
		t.Error(err)
	}
}
