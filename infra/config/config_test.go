package config

import (
	"flag"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, env map[string]string, args ...string) (Config, error) {
	t.Helper()
	fs := flag.NewFlagSet("t", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	Register(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return Load(fs, func(k string) string { return env[k] })
}

func TestDefaultsAreUsable(t *testing.T) {
	c, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(c.Data) {
		t.Errorf("data directory %q is relative", c.Data)
	}
	if c.Listen != "127.0.0.1:1999" || c.Partitions != 8 || !c.RateLimits || !c.Loopback() {
		t.Fatalf("%+v", c)
	}
}

func TestFlagsWinOverEnvironment(t *testing.T) {
	c, err := load(t, map[string]string{"KANVAS_LISTEN": "0.0.0.0:80", "KANVAS_COALESCE": "20ms"}, "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:0" || c.Coalesce != 20*time.Millisecond {
		t.Fatalf("%+v", c)
	}
}

func TestAllProblemsAtOnceWithoutSecrets(t *testing.T) {
	_, err := load(t, map[string]string{
		"KANVAS_LISTEN": "nowhere", "KANVAS_PARTITIONS": "zwei", "KANVAS_DURABILITY": "never", "KANVAS_COALESCE": "1h",
		"KANVAS_ORIGINS": "app", "KANVAS_RATE_LIMITS": "maybe", "KANVAS_NATS_URL": "://user:hunter2@", "KANVAS_TRUSTED_PROXIES": "x",
	}, "--replicas", "2")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"listen", "KANVAS_PARTITIONS", "durability", "coalesce", "origins", "KANVAS_RATE_LIMITS", "nats-url", "KANVAS_TRUSTED_PROXIES", "replicas"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("a secret is in the message")
	}
}

func TestDescribeRedacts(t *testing.T) {
	c, err := load(t, map[string]string{"KANVAS_NATS_URL": "nats://user:hunter2@host:4222"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Describe() {
		if strings.Contains(p[1], "hunter2") {
			t.Errorf("%s shows a secret", p[0])
		}
	}
}
