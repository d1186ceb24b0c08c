package faltest

import (
	"bytes"
	_ "embed" // the files of results
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Files that models give: a photographed game board, a drawing, and a pan over that drawing.
var (
	//go:embed files/boardgame.jpg
	Picture []byte
	//go:embed files/aws-serverless.png
	Drawing []byte
	//go:embed files/pan.mp4
	Video []byte
)

// PictureWidth and PictureHeight are Picture's size in pixels.
const (
	PictureWidth  = 864
	PictureHeight = 288
)

type file struct {
	kind  string
	body  []byte
	parts map[int][]byte // of one that comes in parts
}

// Mask is a PNG of an ellipse, white on black.
func Mask(w, h int) []byte {
	m := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			dx, dy := float64(2*x-w)/float64(w), float64(2*y-h)/float64(h)
			if dx*dx+dy*dy < 0.5 {
				m.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err) // in memory
	}
	return b.Bytes()
}

// Keep puts a file among those that anybody may read, and returns what a result says of it.
func (s *Server) Keep(name, kind string, body []byte) map[string]any {
	at := "https://v3.fal.media/files/" + uuid.NewString() + "/" + name
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[at] = file{kind: kind, body: body}
	return map[string]any{"url": at, "content_type": kind, "file_name": name, "file_size": len(body)}
}

// Expire takes all files away.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = map[string]file{}
}

// SignUploads has files put under fal.ai's own names, over TLS; else they are put where a client reaches them that does not trust the stand-in.
func (s *Server) SignUploads() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signed = true
}

func (s *Server) initiate(w http.ResponseWriter, path string, body []byte) {
	var ask struct {
		Name string `json:"file_name"`
		Kind string `json:"content_type"`
	}
	if !strings.HasPrefix(path, "storage/upload/initiate") || json.Unmarshal(body, &ask) != nil {
		answer(w, http.StatusNotFound, map[string]any{"detail": "Not Found"})
		return
	}
	at := "https://v3.fal.media/files/" + uuid.NewString() + "/" + ask.Name
	s.mu.Lock()
	to := s.open.URL + "/?to=" + at
	if s.signed {
		to = "https://v3.fal.media/upload?to=" + at
	}
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"upload_url": to, "file_url": at})
}

// put takes a file without TLS.
func (s *Server) put(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPut {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	s.store(r, body)
}

func (s *Server) store(r *http.Request, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[r.URL.Query().Get("to")] = file{kind: r.Header.Get("Content-Type"), body: body}
}

// putSigned takes a file, a part of one, or the list of its parts.
func (s *Server) putSigned(w http.ResponseWriter, r *http.Request, body []byte) {
	element := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/upload"), "/")
	number, err := strconv.Atoi(element)
	switch {
	case r.Header.Get("Authorization") != "":
		answer(w, http.StatusBadRequest, map[string]any{"detail": "a signed address takes no key"})
	case r.Method == http.MethodPut && element == "":
		s.store(r, body)
	case r.Method == http.MethodPut && err == nil:
		s.part(w, r, number, body)
	case r.Method == http.MethodPost && element == "complete":
		s.complete(w, r, body)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (s *Server) part(w http.ResponseWriter, r *http.Request, number int, body []byte) {
	s.mu.Lock()
	f := s.files[r.URL.Query().Get("to")]
	if f.parts == nil {
		f = file{kind: r.Header.Get("Content-Type"), parts: map[int][]byte{}}
		s.files[r.URL.Query().Get("to")] = f
	}
	f.parts[number] = body
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"partNumber": number, "etag": fmt.Sprintf("part-%d", number)})
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request, body []byte) {
	var list struct {
		Parts []struct {
			Number int    `json:"partNumber"`
			ETag   string `json:"etag"`
		} `json:"parts"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[r.URL.Query().Get("to")]
	good := json.Unmarshal(body, &list) == nil && len(list.Parts) == len(f.parts) && sort.SliceIsSorted(list.Parts, func(i, j int) bool { return list.Parts[i].Number < list.Parts[j].Number })
	for _, p := range list.Parts {
		good = good && f.parts[p.Number] != nil && p.ETag == fmt.Sprintf("part-%d", p.Number)
		f.body = append(f.body, f.parts[p.Number]...)
	}
	if !good {
		answer(w, http.StatusBadRequest, map[string]any{"detail": "parts are missing"})
		return
	}
	f.parts = nil
	s.files[r.URL.Query().Get("to")] = f
}

func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f, ok := s.files["https://"+r.Host+r.URL.Path]
	s.mu.Unlock()
	if !ok || f.parts != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(f.body)))
	_, _ = w.Write(f.body) // the caller is gone
}
