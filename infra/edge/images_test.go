package edge_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
)

// gallery is a Worker with a public, an unlisted, a private and a deleted room, and a picture in each: images/ann/{room}.png.
func gallery(t *testing.T) *edgetest.Worker {
	t.Helper()
	w := edgetest.Shared(t)
	w.Query(t, `INSERT INTO users (id, email) VALUES ('ann', '')`)
	for _, r := range []struct {
		id, visibility string
		public         int
		deleted        any
	}{{"public", "public", 1, nil}, {"unlisted", "unlisted", 0, nil}, {"private", "private", 0, nil}, {"deleted", "public", 0, "2026-01-01 00:00:00.000"}} {
		w.Query(t, `INSERT INTO rooms (id, name, is_public, owner_id, visibility, deleted_at, revision) VALUES (?, 'R', ?, 'ann', ?, ?, 1)`, r.id, r.public, r.visibility, r.deleted)
		show(t, w, r.id+".png", r.id)
	}
	// One that no room shows, one that isn't ready, one that D1 doesn't know, and things that are no pictures.
	w.Query(t, `INSERT INTO assets (id, user_id, r2_key) VALUES ('lonely.png', 'ann', 'images/ann/lonely.png')`)
	show(t, w, "pending.png", "public")
	w.Query(t, `UPDATE assets SET status = 'pending' WHERE id = 'pending.png'`)
	for _, key := range []string{"images/ann/lonely.png", "images/ann/unknown.png", "snapshots/public/1", "canvases/public/1", "images"} {
		w.PutObject(t, key, "image/png", picture)
	}
	// The server's word where D1 has none: of the assets that no row of D1 is about, it knows "known" to be public.
	e := signer(t, w.Secret)
	w.Serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asset := strings.TrimPrefix(r.URL.Path, "/v1/assets/")
		switch {
		case !e.AddsObject(r) || r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "":
			rw.WriteHeader(http.StatusTeapot)
			return
		case asset == "known":
			rw.Header().Set("Cache-Control", "public, max-age=31536000")
		case asset == "mine":
			rw.Header().Set("Cache-Control", "private, max-age=31536000")
		default:
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		rw.Header().Set("Kanvas-Object", "images/ann/"+asset)
	}))
	return w
}

// picture is what every picture of the tests holds: its place is as good as its bytes.
var picture = []byte("0123456789abcdef")

func show(t *testing.T, w *edgetest.Worker, name, room string) {
	t.Helper()
	w.PutObject(t, "images/ann/"+name, "image/png", picture)
	w.Query(t, `INSERT INTO assets (id, user_id, room_id, r2_key) VALUES (?, 'ann', ?, ?)`, name, room, "images/ann/"+name)
	w.Query(t, `INSERT INTO asset_rooms (asset_id, room_id, revision) VALUES (?, ?, 1)`, name, room)
}

func get(t *testing.T, w *edgetest.Worker, path string, headers ...string) (int, http.Header, string) {
	t.Helper()
	none := ""
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return call(t, w, request{method: "GET", path: path, secret: &none, header: h})
}

func signer(t *testing.T, secret string) *auth.Edge {
	t.Helper()
	e, err := auth.NewEdge(secret)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPicturesThatEverybodyMaySee(t *testing.T) {
	w := gallery(t)
	for range 2 { // from the bucket, and from the cache
		status, h, body := get(t, w, "/images/ann/public.png")
		if status != 200 || body != string(picture) {
			t.Fatalf("%d %q", status, body)
		}
		for name, want := range map[string]string{
			"Content-Type": "image/png", "Cache-Control": "public, max-age=31536000, immutable, s-maxage=0", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; sandbox", "Accept-Ranges": "bytes", "Content-Length": "16",
			"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin", "Content-Disposition": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %q, not %q", name, got, want)
			}
		}
		if h.Get("ETag") == "" || h.Get("X-Request-Id") == "" {
			t.Errorf("%v", h)
		}
	}
}

// refused are addresses that nobody may load without a signature, or at all.
var refused = []string{
	"/images/ann/private.png", "/images/ann/unlisted.png", "/images/ann/deleted.png", "/images/ann/lonely.png", "/images/ann/pending.png", "/images/ann/unknown.png", "/images/ann/nothing.png",
	"/images/ann/private.png?", "/images/ann/private.png?sig=", "/images/ann/private.png?expires=9999999999", "/images/ann/private.png?expires=9999999999&sig=AAAA",
	"/images/", "/images", "/images/ann", "/images/ann/", "/images//ann/public.png", "/images/ann//public.png", "/images/ann/public.png/", "/Images/ann/public.png",
	"/images/../snapshots/public/1", "/images/%2e%2e/snapshots/public/1", "/images/..%2fsnapshots/public/1", "/images/x/..%2f..%2fsnapshots%2fpublic%2f1", "/images%2fann%2fpublic.png", "/images/ann%2fpublic.png",
	"/images/ann/..%5cpublic.png", "/images/ann/public.png%00", "/images/ann/%ff", "/images/ann/." + "%2fpublic.png", "/snapshots/public/1", "/canvases/public/1", "//images/ann/public.png",
	"/images/" + strings.Repeat("x", 1100) + "/a.png",
}

func TestNothingElseIsServedWithoutARight(t *testing.T) {
	w := gallery(t)
	get(t, w, signer(t, w.Secret).PictureURL("", "known", "images/ann/private.png", time.Now().Add(time.Hour))) // and now the bytes are in the cache
	for _, path := range refused {
		status, h, body := get(t, w, path)
		if status != 404 || strings.Contains(body, string(picture)) || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	// The answer doesn't say whether there is one.
	_, _, private := get(t, w, "/images/ann/private.png")
	if _, _, nothing := get(t, w, "/images/ann/nothing.png"); private != nothing {
		t.Errorf("%q and %q", private, nothing)
	}
}

func TestARoomThatBecomesPrivateTakesItsPicturesAlong(t *testing.T) {
	w := gallery(t)
	if status, _, _ := get(t, w, "/images/ann/public.png"); status != 200 {
		t.Fatal(status)
	}
	small := "images/ann/public-256.webp"
	w.PutObject(t, small, "image/webp", picture)
	signed := signer(t, w.Secret).PictureURL("", "public.png", small, time.Now().Add(time.Hour))
	if status, _, _ := get(t, w, signed, "Authorization", "Bearer x", "Cookie", "__session=x"); status != 200 {
		t.Errorf("a smaller picture: %d", status)
	}
	w.Query(t, `UPDATE rooms SET is_public = 0, visibility = 'private' WHERE id = 'public'`)
	if status, _, _ := get(t, w, "/images/ann/public.png"); status != 404 {
		t.Errorf("%d, though its bytes are in the cache", status)
	}
	if status, _, _ := get(t, w, signed); status != 404 {
		t.Errorf("%d, by an address that was signed before", status)
	}
}

func TestSignedPictures(t *testing.T) {
	w := gallery(t)
	e := signer(t, w.Secret)
	until := time.Now().Add(time.Hour)
	for _, key := range []string{"images/ann/private.png", "images/ann/unknown.png"} {
		status, h, body := get(t, w, e.PictureURL("", "known", key, until))
		if status != 200 || body != string(picture) || h.Get("Cache-Control") != "public, max-age=31536000, immutable, s-maxage=0" {
			t.Errorf("%s: %d %v %q", key, status, h, body)
		}
	}
	odd := "images/ann/a b#?%&☃.png"
	w.PutObject(t, odd, "image/png", picture)
	if status, _, body := get(t, w, e.PictureURL("", "known", odd, until)); status != 200 || body != string(picture) {
		t.Errorf("odd name: %d %q", status, body)
	}
	right := e.PictureURL("", "known", "images/ann/private.png", until)
	for name, path := range map[string]string{
		"over":               e.PictureURL("", "known", "images/ann/private.png", time.Now().Add(-time.Second)),
		"another secret":     signer(t, strings.Repeat("0", 64)).PictureURL("", "known", "images/ann/private.png", until),
		"of another picture": strings.Replace(e.PictureURL("", "known", "images/ann/public.png", until), "public", "private", 1),
		"later":              strings.Replace(right, fmt.Sprint(until.Unix()), fmt.Sprint(until.Unix()+1), 1),
		"longer":             right + "A",
		"cut":                right[:len(right)-1],
		"no expiry":          strings.Replace(right, "expires", "until", 1),
		"negative":           strings.Replace(right, "expires=", "expires=-", 1),
		"in words":           strings.Replace(right, fmt.Sprint(until.Unix()), "never", 1),
		"no picture":         e.PictureURL("", "known", "snapshots/public/1", until),
		"of another asset":   strings.Replace(right, "asset=known", "asset=public.png", 1),
		"a private room's":   e.PictureURL("", "private.png", "images/ann/private.png", until),
		"an unlisted room's": e.PictureURL("", "unlisted.png", "images/ann/unlisted.png", until),
		"not everybody's":    e.PictureURL("", "mine", "images/ann/private.png", until),
		"unknown":            e.PictureURL("", "unknown", "images/ann/private.png", until),
		"odd asset":          e.PictureURL("", "../assets/known", "images/ann/private.png", until),
		"of a folder":        e.PictureURL("", "known", "images", until),
	} {
		if status, _, _ := get(t, w, path); status != 404 {
			t.Errorf("%s: %d", name, status)
		}
	}
}

func TestRangesAndConditions(t *testing.T) {
	w := gallery(t)
	e := signer(t, w.Secret)
	w.PutObject(t, "images/ann/empty.png", "image/png", nil)
	until := time.Now().Add(time.Hour)
	for _, from := range []string{"bucket", "cache"} {
		path := e.PictureURL("", "known", "images/ann/private.png", until)
		h := head(t, w, path) // leaves the cache as it is
		if from == "cache" {
			_, h, _ = get(t, w, path)
		}
		etag := h.Get("ETag")
		for header, want := range map[string]struct {
			status     int
			body, span string
		}{
			"bytes=0-3":                   {206, "0123", "bytes 0-3/16"},
			"bytes=4-":                    {206, "456789abcdef", "bytes 4-15/16"},
			"bytes=15-15":                 {206, "f", "bytes 15-15/16"},
			"bytes=10-999":                {206, "abcdef", "bytes 10-15/16"},
			"bytes=-4":                    {206, "cdef", "bytes 12-15/16"},
			"bytes=-99":                   {206, string(picture), "bytes 0-15/16"},
			"bytes=16-":                   {416, "", "bytes */16"},
			"bytes=99-100":                {416, "", "bytes */16"},
			"bytes=-0":                    {416, "", "bytes */16"},
			"bytes=99999999999999999999-": {416, "", "bytes */16"},
			"bytes=5-3":                   {200, string(picture), ""},
			"bytes=-":                     {200, string(picture), ""},
			"bytes=a-b":                   {200, string(picture), ""},
			"bytes=0-1,4-5":               {200, string(picture), ""},
			"lines=0-3":                   {200, string(picture), ""},
			"0-3":                         {200, string(picture), ""},
		} {
			if from == "bucket" {
				// A fresh object: whole answers put it into the cache.
				name := fmt.Sprintf("images/ann/fresh-%x.png", header)
				w.PutObject(t, name, "image/png", picture)
				path = e.PictureURL("", "known", name, until)
			}
			status, h, body := get(t, w, path, "Range", header)
			if status != want.status || h.Get("Content-Range") != want.span || (status != 416 && (body != want.body || h.Get("Content-Length") != fmt.Sprint(len(want.body)))) {
				t.Errorf("%s, %s: %d %q %q", from, header, status, h.Get("Content-Range"), body)
			}
			if status == 416 && h.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: 416 is no problem document: %s", header, body)
			}
		}
		path = e.PictureURL("", "known", "images/ann/private.png", until)
		for header, status := range map[string]int{etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200} {
			got, h, body := get(t, w, path, "If-None-Match", header, "Range", "bytes=99-")
			if status == 200 {
				status = 416 // the condition fails, the range counts
			}
			if got != status || (got == 304 && (body != "" || h.Get("ETag") != etag || h.Get("Cache-Control") == "")) {
				t.Errorf("If-None-Match %s: %d %v %q", header, got, h, body)
			}
		}
		if status, _, body := get(t, w, path, "Range", "bytes=0-3", "If-Range", etag); status != 206 || body != "0123" {
			t.Errorf("If-Range: %d %q", status, body)
		}
		if status, _, body := get(t, w, path, "Range", "bytes=0-3", "If-Range", `"other"`); status != 200 || body != string(picture) {
			t.Errorf("If-Range of another: %d %q", status, body)
		}
	}
	if h := head(t, w, "/images/ann/public.png"); h.Get("Content-Length") != "16" || h.Get("Content-Type") != "image/png" || h.Get("ETag") == "" {
		t.Errorf("HEAD: %v", h)
	}
	empty := e.PictureURL("", "known", "images/ann/empty.png", until)
	if status, _, body := get(t, w, empty); status != 200 || body != "" {
		t.Errorf("empty: %d %q", status, body)
	}
	if status, h, _ := get(t, w, empty, "Range", "bytes=0-"); status != 416 || h.Get("Content-Range") != "bytes */0" {
		t.Errorf("range of nothing: %d %v", status, h)
	}
}

func head(t *testing.T, w *edgetest.Worker, path string) http.Header {
	t.Helper()
	none := ""
	status, h, body := call(t, w, request{method: "HEAD", path: path, secret: &none})
	if status != 200 || body != "" {
		t.Fatalf("HEAD %s: %d %q", path, status, body)
	}
	return h
}

func TestUploadsStayInert(t *testing.T) {
	w := gallery(t)
	e := signer(t, w.Secret)
	for _, kind := range []string{"text/html", "image/svg+xml", "application/javascript", "", "text/html; charset=utf-8", "IMAGE/PNG"} {
		w.PutObject(t, "images/ann/x", kind, []byte("<script>alert(1)</script>"))
		key := fmt.Sprintf("images/ann/x-%x", kind)
		w.PutObject(t, key, kind, []byte("<script>alert(1)</script>"))
		status, h, _ := get(t, w, e.PictureURL("", "known", key, time.Now().Add(time.Hour)))
		if status != 200 || h.Get("Content-Type") != "application/octet-stream" || h.Get("Content-Disposition") != "attachment" || h.Get("X-Content-Type-Options") != "nosniff" ||
			h.Get("Content-Security-Policy") != "default-src 'none'; sandbox" {
			t.Errorf("%q: %d %v", kind, status, h)
		}
	}
	none := ""
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		if status, h, _ := call(t, w, request{method: method, path: "/images/ann/public.png", secret: &none}); status != 405 || h.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d", method, status)
		}
	}
	if status, _, _ := get(t, w, "/images/ann/public.png"); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

func TestLargePictureIsStreamed(t *testing.T) {
	w := gallery(t)
	big := []byte(strings.Repeat("0123456789abcdef", 20<<20/16))
	w.PutObject(t, "images/ann/big.png", "image/png", big)
	path := signer(t, w.Secret).PictureURL("", "known", "images/ann/big.png", time.Now().Add(time.Hour))
	for range 2 {
		if status, _, body := get(t, w, path); status != 200 || body != string(big) {
			t.Fatalf("%d, %d bytes", status, len(body))
		}
	}
	if status, _, body := get(t, w, path, "Range", fmt.Sprintf("bytes=%d-", len(big)-5)); status != 206 || body != "bcdef" {
		t.Errorf("%d %q", status, body)
	}
}

func TestBytesComeFromTheEdgesCache(t *testing.T) {
	w := gallery(t)
	until(t, "the bytes are in the cache", func() bool {
		w.PutObject(t, "images/ann/public.png", "image/png", picture)
		get(t, w, "/images/ann/public.png") // is kept once it is answered
		w.PutObject(t, "images/ann/public.png", "image/png", []byte("not from the bucket"))
		_, _, body := get(t, w, "/images/ann/public.png")
		return body == string(picture)
	})
}
