// Package faltest stands in for fal.ai's servers in tests: models, queue, streams and storage as fal.ai documents them, over TLS under fal.ai's names.
package faltest

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// Key is the server's key in tests.
const Key = "4b1e6f6a-0000-4000-8000-key-of-server:0123456789abcdef-secret-of-the-server"

// OwnKey is a person's.
const OwnKey = "9c2d7a10-0000-4000-8000-key-of-person:fedcba9876543210-secret-of-a-person"

// Request is one that arrived.
type Request struct {
	Method, URL string // with the host
	Header      http.Header
	Body        string
}

// Server is the stand-in. Safe for concurrent use.
type Server struct {
	TLS  *tls.Config
	CA   []byte // PEM of the certificate that TLS trusts
	addr string
	open *httptest.Server // where files are put, reached without TLS

	mu       sync.Mutex
	requests []Request
	jobs     map[string]*job
	order    []string // of jobs
	plan     func(model string, input json.RawMessage) Plan
	files    map[string]file
	signed   bool // files are put under fal.ai's names
	fault    func(w http.ResponseWriter, r *http.Request) (done bool)
	breaks   func(r *http.Request) Break
	next     chan struct{}      // of streams
	key      ed25519.PrivateKey // of webhooks
}

// Start runs a stand-in until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	certificate, roots := certificate(t)
	s := &Server{TLS: &tls.Config{RootCAs: roots}, jobs: map[string]*job{}, files: map[string]file{}, next: make(chan struct{}, 16)}
	s.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	s.NewWebhookKey()
	front := httptest.NewUnstartedServer(s)
	front.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	s.addr = front.Listener.Addr().String()
	s.open = httptest.NewServer(http.HandlerFunc(s.put))
	t.Cleanup(s.open.Close)
	return s
}

// Dial reaches the stand-in under whatever name.
func (s *Server) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, s.addr)
}

// Addr is where the stand-in listens, whatever names it goes by.
func (s *Server) Addr() string { return s.addr }

// Fault is asked first from now on; nil ends it.
func (s *Server) Fault(f func(w http.ResponseWriter, r *http.Request) (done bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Next lets a stream send its next event.
func (s *Server) Next() { s.next <- struct{}{} }

// Requests are those that arrived, files that were put not among them.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// File is what was put under an address.
func (s *Server) File(url string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.files[url].body)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	fault, broken := s.fault, Whole
	if s.breaks != nil {
		broken = s.breaks(r)
	}
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	if broken == Whole {
		s.serve(w, r)
		return
	}
	rec := httptest.NewRecorder()
	s.serve(rec, r)
	broken.send(w, rec)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests = append(s.requests, Request{r.Method, "https://" + r.Host + r.URL.String(), r.Header.Clone(), string(body)})
	s.mu.Unlock()
	if err != nil {
		return // the caller is gone
	}
	switch {
	case strings.HasSuffix(r.Host, "fal.media") && r.Method != http.MethodGet && r.Method != http.MethodHead:
		s.putSigned(w, r, body)
		return
	case strings.HasSuffix(r.Host, "fal.media"):
		s.file(w, r)
		return
	case r.Host == "rest.fal.ai" && r.URL.Path == "/.well-known/jwks.json":
		s.keys(w)
		return
	}
	if key := r.Header.Get("Authorization"); key != "Key "+Key && key != "Key "+OwnKey {
		answer(w, http.StatusUnauthorized, map[string]any{"detail": "Cannot access application. Authentication is required"})
		return
	}
	w.Header().Set("X-Fal-Request-Id", uuid.NewString())
	switch path := strings.Trim(r.URL.Path, "/"); {
	case r.Host == "rest.fal.ai":
		s.initiate(w, path, body)
	case r.Host == "queue.fal.run":
		s.queue(w, r, path, body)
	case strings.HasSuffix(path, "/stream"):
		s.stream(w, r, body)
	default:
		s.run(w, path, body)
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Set-Cookie", "session=of-fal")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone
}

func (s *Server) run(w http.ResponseWriter, model string, body []byte) {
	status, out := s.result(model, body)
	answer(w, status, out)
}

// stream sends three events, each when Next lets it.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, _ []byte) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	for i := range 3 {
		select {
		case <-s.next:
		case <-r.Context().Done():
			return
		}
		fmt.Fprintf(w, "data: {\"progress\":%d}\n\n", i)
		w.(http.Flusher).Flush()
	}
}
