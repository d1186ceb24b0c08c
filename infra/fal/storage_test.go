package fal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

func TestUpload(t *testing.T) {
	q, s, _ := queueOn(t)
	large := make([]byte, uploadWhole+uploadPart/2)
	for i := 0; i < len(large); i += 1 << 10 {
		large[i] = byte(rand.Uint32())
	}
	for name, data := range map[string][]byte{"a.jpg": faltest.Picture, "large.mp4": large} {
		url, err := q.Upload(soon(t), name, "image/jpeg", int64(len(data)), bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if s.File(url) != string(data) {
			t.Errorf("%s: %d bytes arrived of %d", name, len(s.File(url)), len(data))
		}
	}
	for _, r := range s.Requests() {
		if strings.Contains(r.URL, "rest.fal.ai") != strings.Contains(r.Header.Get("X-Fal-Object-Lifecycle"), "86400") || strings.Contains(r.URL, "fal.media") && r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s: %v", r.Method, r.URL, r.Header)
		}
	}
}

func TestUploadRefused(t *testing.T) {
	q, s, _ := queueOn(t)
	data := faltest.Picture
	up := func(size int64, body io.Reader) error {
		_, err := q.Upload(soon(t), "a.jpg", "image/jpeg", size, body)
		return err
	}
	for _, size := range []int64{0, -1, maxFile + 1} {
		failure(t, up(size, bytes.NewReader(data)))
	}
	if up(int64(len(data)), bytes.NewReader(data[:100])) == nil {
		t.Error("a file that is shorter than announced is taken")
	}
	for _, said := range []string{`{`, `{}`, `{"upload_url":"http://v3.fal.media/x","file_url":"https://v3.fal.media/y"}`, `{"upload_url":"https://v3.fal.media:8443/x","file_url":"https://v3.fal.media/y"}`,
		`{"upload_url":"https://v3.fal.media/x","file_url":"https://evil.com/y"}`, `{"upload_url":"https://u:p@v3.fal.media/x","file_url":"https://v3.fal.media/y"}`} {
		s.Fault(func(w http.ResponseWriter, _ *http.Request) bool { _, _ = io.WriteString(w, said); return true })
		if up(int64(len(data)), bytes.NewReader(data)) == nil {
			t.Errorf("%s is followed", said)
		}
	}
	s.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusForbidden)
		}
		return r.Method == http.MethodPut
	})
	if up(int64(len(data)), bytes.NewReader(data)) == nil {
		t.Error("a refused file is taken")
	}
}

func TestFetch(t *testing.T) {
	q, s, _ := queueOn(t)
	at := s.Keep("a.mp4", "video/mp4; codecs=avc1", faltest.Video)["url"].(string)
	get := func(url string) ([]byte, string, error) {
		body, kind, _, err := q.Fetch(soon(t), url)
		if err != nil {
			return nil, "", err
		}
		b, err := io.ReadAll(body)
		return b, kind, errors.Join(err, body.Close())
	}
	if b, kind, err := get(at); err != nil || kind != "video/mp4" || !bytes.Equal(b, faltest.Video) {
		t.Errorf("%d bytes of %s: %v", len(b), kind, err)
	}
	s.Break(func(*http.Request) faltest.Break { return faltest.Cut })
	if b, _, err := get(at); err == nil {
		t.Errorf("%d bytes of a file that was cut", len(b))
	}
	s.Break(nil)
	if b, kind, err := get("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(faltest.Picture)); err != nil || kind != "image/jpeg" || !bytes.Equal(b, faltest.Picture) {
		t.Errorf("data URL: %d bytes of %s: %v", len(b), kind, err)
	}
	for _, url := range []string{"https://evil.com/a.png", "http://v3.fal.media/a.png", "https://queue.fal.run/fal-ai/x/requests/y", "https://169.254.169.254/", "file:///etc/passwd", "",
		"https://storage.googleapis.com/other/a.png", "https://storage.googleapis.com/falserverless/../other/a.png", "data:image/png,x", "data:image/png;base64,%%"} {
		if _, _, err := get(url); failure(t, err).Code != commands.FailedResult {
			t.Errorf("%q: %v", url, err)
		}
	}
	if !publicFile("https://storage.googleapis.com/falserverless/model_tests/a.png") {
		t.Error("the bucket of older models is not read")
	}
	for status, code := range map[int]string{404: commands.FailedExpired, 410: commands.FailedExpired, 403: commands.FailedExpired, 500: "", 206: "", 302: ""} {
		s.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Location", "https://queue.fal.run/x")
			w.WriteHeader(status)
			return true
		})
		if _, _, err := get(at); code == "" && (err == nil || isFailure(err)) || code != "" && failure(t, err).Code != code {
			t.Errorf("%d: %v", status, err)
		}
	}
	s.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", strconv.Itoa(maxFile+1))
		w.WriteHeader(http.StatusOK)
		return true
	})
	if _, _, err := get(at); failure(t, err).Code != commands.FailedTooLarge {
		t.Errorf("too large: %v", err)
	}
	long := &fetched{limited{io.NopCloser(strings.NewReader("abc")), 2}}
	if b, err := io.ReadAll(long); string(b) != "ab" || failure(t, err).Code != commands.FailedTooLarge {
		t.Errorf("longer than may be: %q %v", b, err)
	}
	s.Fault(nil)
	s.Expire()
	if _, _, err := get(at); failure(t, err).Code != commands.FailedExpired {
		t.Errorf("expired: %v", err)
	}
}
