package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzHTTPBody sends arbitrary bodies to every route that takes one. Whatever comes: an answer in JSON with a status below 500, and where it
// is a refusal, problem details. What is accepted reads back as valid JSON.
func FuzzHTTPBody(f *testing.F) {
	w := newWorld(f)
	ada := w.guest("Ada")
	room := w.room(ada, "fuzz", "public")
	routes := []struct{ method, path string }{
		{"POST", room + "/commands"}, {"POST", "/v1/guests"}, {"POST", "/v1/rooms"}, {"PATCH", room}, {"PUT", room + "/participants/somebody"},
		{"POST", "/parties/main/fuzz"},
	}
	for _, body := range badBodies {
		if len(body) < 4096 {
			f.Add(byte(0), []byte(body))
		}
	}
	f.Add(byte(0), []byte(`{"commands":[{"command":"element.add","data":{"element":{"id":"a","type":"text","text":"x"}}}]}`))
	f.Add(byte(0), []byte(`{"commands":[{"command":"element.patch","data":{"id":"a","set":{"x":1},"unset":["y"]}},{"command":"undo"}]}`))
	f.Add(byte(1), []byte(`{"name":"Ada"}`))
	f.Add(byte(2), []byte(`{"id":"r","name":"R","visibility":"public","default_role":"viewer"}`))
	f.Add(byte(3), []byte(`{"name":"R","description":"d"}`))
	f.Add(byte(4), []byte(`{"role":"viewer"}`))
	f.Add(byte(5), []byte(`{"type":"canvas_update","hash":"h"}`))
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		r := routes[int(which)%len(routes)]
		req := httptest.NewRequest(r.method, "http://127.0.0.1"+r.path, strings.NewReader(string(body)))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+ada.token)
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, req)
		var answer map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s %s %q: %d %q", r.method, r.path, body, rec.Code, rec.Body)
		}
		if rec.Code >= 500 {
			t.Fatalf("%s %s %q: %d %s", r.method, r.path, body, rec.Code, rec.Body)
		}
		if rec.Code >= 400 && (answer["code"] == nil || rec.Header().Get("Content-Type") != "application/problem+json") {
			t.Fatalf("%s %s %q: no problem: %s", r.method, r.path, body, rec.Body)
		}
		if rec.Code < 400 && !json.Valid(body) {
			t.Fatalf("%s %s: took %q", r.method, r.path, body)
		}
		if rec.Code == http.StatusOK && r.method == "POST" {
			canvas := httptest.NewRecorder()
			w.api.ServeHTTP(canvas, httptest.NewRequest("GET", "http://127.0.0.1"+room+"/canvas", nil))
			if canvas.Code != 200 || !json.Valid(canvas.Body.Bytes()) {
				t.Fatalf("after %q: %d %s", body, canvas.Code, canvas.Body)
			}
		}
	})
}
