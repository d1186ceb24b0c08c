package edge_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestTheWorkerAddsTheBytesThatTheServerNames(t *testing.T) {
	w := gallery(t)
	e := signer(t, w.Secret)
	w.Serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
		rw.Header().Set("ETag", `"sha"`)
		rw.Header().Set("Content-Type", "image/png")
		key := map[string]string{"/v1/assets/private": "images/ann/private.png", "/v1/assets/lost": "images/ann/lost.png"}[r.URL.Path]
		switch {
		case r.URL.Path == "/v1/assets/forbidden":
			rw.WriteHeader(403)
		case e.AddsObject(r) && key != "":
			rw.Header().Set("Kanvas-Object", key)
		default:
			io.WriteString(rw, "from the server, "+r.Header.Get("Range"))
		}
	}))
	for name, c := range map[string]struct {
		path   string
		header []string
		status int
		body   string
	}{
		"whole":             {"/v1/assets/private", nil, 200, string(picture)},
		"range":             {"/v1/assets/private", []string{"Range", "bytes=2-5"}, 206, "2345"},
		"range of nothing":  {"/v1/assets/private", []string{"Range", "bytes=99-"}, 416, ""},
		"not modified":      {"/v1/assets/private", []string{"If-None-Match", `"sha"`}, 304, ""},
		"not in the bucket": {"/v1/assets/lost", []string{"Range", "bytes=2-5"}, 200, "from the server, bytes=2-5"},
		"kept elsewhere":    {"/v1/assets/elsewhere", nil, 200, "from the server, "},
		"refused":           {"/v1/assets/forbidden", nil, 403, ""},
	} {
		status, h, body := get(t, w, c.path, c.header...)
		if status != c.status || (status != 416 && body != c.body) || h.Get("Kanvas-Object") != "" {
			t.Errorf("%s: %d %q %v", name, status, body, h)
		}
		if status < 300 && (h.Get("ETag") != `"sha"` || !strings.HasPrefix(h.Get("Cache-Control"), "private")) {
			t.Errorf("%s: not under the server's headers: %v", name, h)
		}
		if name == "whole" && (h.Get("Content-Security-Policy") == "" || h.Get("Accept-Ranges") != "bytes" || h.Get("Content-Length") != "16") {
			t.Errorf("%v", h)
		}
	}
}
