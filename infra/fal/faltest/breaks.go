package faltest

import (
	"net/http"
	"net/http/httptest"
)

// Break is what happens to an answer on its way, after the request was served.
type Break int

// Ways in which answers break.
const (
	Whole Break = iota
	Lost        // nothing of it arrives
	Cut         // half of its body arrives
)

// Break says what happens to the answer of each request from now on; nil ends it. f is called before the request is served, one call at a time.
func (s *Server) Break(f func(r *http.Request) Break) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaks = f
}

func (b Break) send(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	if b == Cut {
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2]) // the connection ends anyhow
		w.(http.Flusher).Flush()
	}
	panic(http.ErrAbortHandler)
}
