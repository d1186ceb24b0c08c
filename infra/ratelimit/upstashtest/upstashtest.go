// Package upstashtest runs a real redis-server behind Upstash's REST protocol, for tests.
package upstashtest

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Token is what the front asks for.
const Token = "token-of-the-test-store"

// patience bounds waiting for redis-server to start.
const patience = 20 * time.Second

// Store is a redis-server and its REST front. Safe for concurrent use.
type Store struct {
	URL   string
	Redis *redis.Client
	Calls atomic.Int64 // requests answered

	mu      sync.Mutex
	scripts map[string]string // sum of a script as the client has it → sum of it as Redis takes it
	fault   http.HandlerFunc
}

// Start runs a store until the test ends. It fails the test where redis-server is missing.
func Start(t testing.TB) *Store {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is missing: run make deps")
	}
	dir, err := os.MkdirTemp("", "redis") // short: a socket's path has at most 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &Store{Redis: redis.NewClient(&redis.Options{Network: "unix", Addr: socket, MaxRetries: -1}), scripts: map[string]string{}}
	t.Cleanup(func() {
		s.Redis.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	s.await(t)
	front := httptest.NewServer(s)
	t.Cleanup(front.Close)
	s.URL = front.URL
	return s
}

func (s *Store) await(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		err := s.Redis.Ping(ctx).Err()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("redis-server does not answer: %v", err)
		}
	}
}

// Fault answers every request from now on in the store's place; nil ends it.
func (s *Store) Fault(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = h
}

func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Calls.Add(1)
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		fault(w, r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+Token {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "WRONGPASS invalid or missing auth token"})
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	encoded := r.Header.Get("Upstash-Encoding") == "base64"
	if strings.HasSuffix(r.URL.Path, "/pipeline") {
		s.pipeline(w, r, body, encoded)
		return
	}
	var command []any
	if err := json.Unmarshal(body, &command); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": "ERR failed to parse command"})
		return
	}
	got := s.do(r.Context(), command, encoded)
	status := http.StatusOK
	if got["error"] != nil {
		status = http.StatusBadRequest
	}
	answer(w, status, got)
}

func (s *Store) pipeline(w http.ResponseWriter, r *http.Request, body []byte, encoded bool) {
	var commands [][]any
	if err := json.Unmarshal(body, &commands); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": "ERR failed to parse pipeline"})
		return
	}
	all := make([]map[string]any, len(commands))
	for i, c := range commands {
		all[i] = s.do(r.Context(), c, encoded)
	}
	answer(w, http.StatusOK, all)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone
}

func (s *Store) do(ctx context.Context, command []any, encoded bool) map[string]any {
	for i, a := range command {
		if f, ok := a.(float64); ok { // JSON has one kind of number; large ones must not become 1e+12
			command[i] = int64(f)
		}
	}
	s.translate(command)
	got, err := s.Redis.Do(ctx, command...).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return map[string]any{"result": nil}
	case err != nil:
		return map[string]any{"error": err.Error()}
	}
	return map[string]any{"result": encode(got, encoded)}
}

// translate drops the line of flags that Upstash's own scripts begin with, which Redis refuses, and follows the change of their sums.
func (s *Store) translate(command []any) {
	if len(command) < 2 {
		return
	}
	name, _ := command[0].(string)
	arg, _ := command[1].(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch strings.ToUpper(name) {
	case "EVAL":
		plain := arg
		if strings.HasPrefix(arg, "#!") {
			_, plain, _ = strings.Cut(arg, "\n")
		}
		s.scripts[sum(arg)] = sum(plain)
		command[1] = plain
	case "EVALSHA":
		if known, ok := s.scripts[arg]; ok {
			command[1] = known
		}
	}
}

func sum(script string) string {
	b := sha1.Sum([]byte(script))
	return hex.EncodeToString(b[:])
}

// encode writes strings as base64 where the client asked for it.
func encode(v any, encoded bool) any {
	switch v := v.(type) {
	case string:
		if encoded && v != "OK" {
			return base64.StdEncoding.EncodeToString([]byte(v))
		}
	case []any:
		for i := range v {
			v[i] = encode(v[i], encoded)
		}
	}
	return v
}
