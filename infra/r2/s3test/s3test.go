// Package s3test runs a real S3 server for tests: versitygw, a process of its own, as `make deps` installs it.
package s3test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	startTries   = 5
	startTimeout = 20 * time.Second
)

// Server is a running S3 server with one empty bucket. Its objects live as long as the test, also over Stop and Start.
type Server struct {
	Endpoint  string // http://127.0.0.1:port, the same after Start
	AccessKey string
	SecretKey string
	Bucket    string
	Dir       string // where the server keeps what it holds

	mu   sync.Mutex
	cmd  *exec.Cmd
	out  bytes.Buffer
	addr string
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{AccessKey: "kanvas-test", SecretKey: "kanvas-test-secret", Bucket: "kanvas-images", Dir: t.TempDir()}
	for _, dir := range []string{"objects/" + s.Bucket, "meta"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for range startTries { // the port may be taken by somebody else between choosing and using it
		if s.addr, err = freeAddress(); err != nil {
			t.Fatal(err)
		}
		if err = s.run(); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoint = "http://" + s.addr
	t.Cleanup(s.Stop)
	return s
}

// Start runs a server that was stopped again, at the same address with what it held.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

// SetCORS gives the bucket rules, in the form in which Cloudflare's API takes R2's. Without any, pages of no origin may do anything.
func (s *Server) SetCORS(t testing.TB, rules []any) {
	t.Helper()
	text, err := json.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Allowed       struct{ Methods, Origins, Headers []string }
		ExposeHeaders []string
		MaxAgeSeconds int32
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	config := &types.CORSConfiguration{}
	for _, r := range list {
		config.CORSRules = append(config.CORSRules, types.CORSRule{AllowedMethods: r.Allowed.Methods, AllowedOrigins: r.Allowed.Origins, AllowedHeaders: r.Allowed.Headers,
			ExposeHeaders: r.ExposeHeaders, MaxAgeSeconds: &r.MaxAgeSeconds})
	}
	api := s3.New(s3.Options{BaseEndpoint: &s.Endpoint, Region: "auto", UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, "")})
	if _, err := api.PutBucketCors(t.Context(), &s3.PutBucketCorsInput{Bucket: &s.Bucket, CORSConfiguration: config}); err != nil {
		t.Fatal(err)
	}
}

// Stop kills the server and waits for its end. Calls under way break off.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()         // by a signal
	s.cmd = nil
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// binary is where make deps puts the server.
func binary() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(file), "..", "..", "..", "bin", "tools", "versitygw")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("versitygw is missing: run make deps (%w)", err)
	}
	return path, nil
}

func (s *Server) run() error {
	path, err := binary()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.out.Reset()
	s.cmd = exec.Command(path, "--port", s.addr, "--region", "auto", "--quiet", "posix", "--sidecar", filepath.Join(s.Dir, "meta"), filepath.Join(s.Dir, "objects"))
	s.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	err = s.cmd.Start()
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("start versitygw: %w", err)
	}
	if err := s.await(); err != nil {
		s.Stop()
		return fmt.Errorf("versitygw: %w: %s", err, s.out.String())
	}
	return nil
}

// await returns when the server takes connections.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
