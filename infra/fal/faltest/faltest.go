// Package faltest stands in for fal.ai's servers in tests: models, queue, streams and storage as fal.ai documents them, over TLS under fal.ai's names.
package faltest

import (
	"context"
	"crypto/tls"
	"encoding/json"
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
	addr string
	open *httptest.Server // where files are put, reached without TLS

	mu       sync.Mutex
	requests []Request
	jobs     map[string]*job
	files    map[string]file
	fault    func(w http.ResponseWriter, r *http.Request) (done bool)
	next     chan struct{} // of streams
}

type job struct {
	app   string
	polls int
	input json.RawMessage
	ended bool
}

type file struct {
	kind string
	body []byte
}

// Start runs a stand-in until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	certificate, roots := certificate(t)
	s := &Server{TLS: &tls.Config{RootCAs: roots}, jobs: map[string]*job{}, files: map[string]file{}, next: make(chan struct{}, 16)}
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
	fault := s.fault
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests = append(s.requests, Request{r.Method, "https://" + r.Host + r.URL.String(), r.Header.Clone(), string(body)})
	s.mu.Unlock()
	if err != nil {
		return // the caller is gone
	}
	if strings.HasSuffix(r.Host, "fal.media") {
		s.file(w, r)
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
		s.run(w, body)
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Set-Cookie", "session=of-fal")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone
}

func (s *Server) run(w http.ResponseWriter, body []byte) {
	var input struct {
		Prompt string `json:"prompt"`
	}
	if err := json.Unmarshal(body, &input); err != nil || input.Prompt == "" {
		answer(w, http.StatusUnprocessableEntity, map[string]any{"detail": []any{map[string]any{"loc": []string{"body", "prompt"}, "msg": "field required", "type": "value_error.missing"}}})
		return
	}
	answer(w, http.StatusOK, map[string]any{"prompt": input.Prompt, "images": []any{map[string]any{"url": "https://v3.fal.media/files/x/out.png", "width": 512, "height": 512}}})
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

func (s *Server) queue(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	app, rest, follow := strings.Cut(path, "/requests/")
	if !follow {
		s.submit(w, path, body)
		return
	}
	id, what, _ := strings.Cut(rest, "/")
	s.mu.Lock()
	j := s.jobs[id]
	known := j != nil && j.app == app
	s.mu.Unlock()
	if !known {
		answer(w, http.StatusNotFound, map[string]any{"detail": "Request not found"})
		return
	}
	switch {
	case what == "cancel" && r.Method == http.MethodPut:
		s.mu.Lock()
		j.ended = true
		s.mu.Unlock()
		answer(w, http.StatusAccepted, map[string]any{"status": "CANCELLATION_REQUESTED"})
	case what == "status":
		answer(w, http.StatusOK, s.status(id, j))
	case what == "status/stream":
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			st := s.status(id, j)
			b, _ := json.Marshal(st)
			fmt.Fprintf(w, "data: %s\n\n", b)
			w.(http.Flusher).Flush()
			if st["status"] == "COMPLETED" {
				return
			}
		}
	default:
		s.run(w, j.input)
	}
}

func (s *Server) submit(w http.ResponseWriter, path string, body []byte) {
	id := uuid.NewString()
	parts := strings.SplitN(path, "/", 3)
	app := parts[0] + "/" + parts[1]
	s.mu.Lock()
	s.jobs[id] = &job{app: app, input: body}
	s.mu.Unlock()
	at := "https://queue.fal.run/" + app + "/requests/" + id
	answer(w, http.StatusOK, map[string]any{"status": "IN_QUEUE", "request_id": id, "response_url": at, "status_url": at + "/status", "cancel_url": at + "/cancel", "queue_position": 0})
}

// status moves a job on each time it is asked.
func (s *Server) status(id string, j *job) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := "COMPLETED"
	if states := []string{"IN_QUEUE", "IN_PROGRESS"}; j.polls < len(states) && !j.ended {
		status = states[j.polls]
	}
	j.polls++
	return map[string]any{"status": status, "request_id": id, "logs": []any{}}
}

func (s *Server) initiate(w http.ResponseWriter, path string, body []byte) {
	var ask struct {
		Name string `json:"file_name"`
		Kind string `json:"content_type"`
	}
	if path != "storage/upload/initiate" || json.Unmarshal(body, &ask) != nil {
		answer(w, http.StatusNotFound, map[string]any{"detail": "Not Found"})
		return
	}
	at := "https://v3.fal.media/files/" + uuid.NewString() + "/" + ask.Name
	answer(w, http.StatusOK, map[string]any{"upload_url": s.open.URL + "/?to=" + at, "file_url": at})
}

func (s *Server) put(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPut {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	s.mu.Lock()
	s.files[r.URL.Query().Get("to")] = file{r.Header.Get("Content-Type"), body}
	s.mu.Unlock()
}

func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f, ok := s.files["https://"+r.Host+r.URL.Path]
	s.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", f.kind)
	_, _ = w.Write(f.body) // the caller is gone
}
