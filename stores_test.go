package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/infra/kv"
	"github.com/infinite-kanvas/kanvas/infra/r2"
	"github.com/infinite-kanvas/kanvas/infra/r2/s3test"
)

// onR2 are the settings that keep objects in s.
func onR2(s *s3test.Server) []string {
	return []string{"KANVAS_R2_ENDPOINT=" + s.Endpoint, "R2_ACCESS_KEY_ID=" + s.AccessKey, "R2_SECRET_ACCESS_KEY=" + s.SecretKey, "R2_BUCKET_NAME=" + s.Bucket}
}

// onKV are the settings that keep the cache in w.
func onKV(w *edgetest.Worker) []string {
	return []string{"CLOUDFLARE_ACCOUNT_ID=" + w.Account, "KANVAS_GATEWAY_URL=" + w.URL, "KANVAS_GATEWAY_SECRET=" + w.Secret, "KV_NAMESPACE_ID=" + w.Namespace}
}

// picture is a PNG of one colour: its bytes, and as a data URL.
func picture(t *testing.T, shade uint8) ([]byte, string) {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 4, 4))
	for i := range 16 {
		img.Set(i%4, i/4, color.RGBA{shade, 0, 0, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}

// person calls one server as one user.
type person struct {
	t     *testing.T
	s     *server
	token string
}

func guest(t *testing.T, s *server) *person {
	t.Helper()
	var g struct{ Token string }
	if _, err := httpJSON("POST", "http://"+s.addr+"/v1/guests", "", map[string]string{"name": "Ann"}, &g); err != nil {
		t.Fatal(err)
	}
	return &person{t, s, g.Token}
}

// call returns the status, and fails the test where the answer is none.
func (p *person) call(method, path string, body, into any) int {
	p.t.Helper()
	status, err := httpJSON(method, "http://"+p.s.addr+path, p.token, body, into)
	if err != nil {
		p.t.Fatal(err)
	}
	return status
}

func (p *person) room(id, visibility string) {
	p.t.Helper()
	if status := p.call("POST", "/v1/rooms", map[string]string{"id": id, "name": id, "visibility": visibility}, nil); status != http.StatusCreated {
		p.t.Fatalf("make room: %d", status)
	}
}

// add adds an element with src and returns the status and the code of a refusal.
func (p *person) add(room, id, src string) (int, string) {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{"commands": []any{map[string]any{"command": "element.add", "data": map[string]any{
		"element": map[string]any{"id": id, "type": "image", "src": src}}}}})
	if err != nil {
		p.t.Fatal(err)
	}
	status, _, answer := p.get("POST", "/v1/rooms/"+room+"/commands", body)
	var problem struct{ Code string }
	_ = json.Unmarshal(answer, &problem) // an answer without a code has none
	return status, problem.Code
}

func (p *person) get(method, path string, body []byte) (int, http.Header, []byte) {
	p.t.Helper()
	return p.ask(method, path, body)
}

// ask is get with further headers, in pairs.
func (p *person) ask(method, path string, body []byte, headers ...string) (int, http.Header, []byte) {
	p.t.Helper()
	req, err := http.NewRequest(method, "http://"+p.s.addr+path, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: time.Minute}
	res, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, res.Header, answer
}

// asset is the address that an element's picture has.
func (p *person) asset(room, element string) string {
	p.t.Helper()
	var canvas struct {
		Elements []struct{ ID, Src string }
	}
	p.call("GET", "/v1/rooms/"+room+"/canvas", nil, &canvas)
	for _, e := range canvas.Elements {
		if e.ID == element {
			return e.Src
		}
	}
	p.t.Fatalf("no element %s in %+v", element, canvas)
	return ""
}

// until asks again until ok says so, a minute at most.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
		<-tick.C
	}
}

// TestPicturesInR2: pictures go to the bucket and come from it. While it is away edits go on, rooms load, and everybody is told what does not work.
func TestPicturesInR2(t *testing.T) {
	s3, dir := s3test.Start(t), t.TempDir()
	env := append(onR2(s3), "R2_CUSTOM_DOMAIN=https://pictures.example.com")
	s := startServer(t, dir, "127.0.0.1:0", env...)
	ann := guest(t, s)
	ann.room("open", "public")
	ann.room("closed", "private")
	bytes1, url1 := picture(t, 1)
	for _, room := range []string{"open", "closed"} {
		if status, code := ann.add(room, "p", url1); status != http.StatusOK {
			t.Fatalf("add: %d %s", status, code)
		}
	}
	bucket, err := r2.Open(r2.Config{Endpoint: s3.Endpoint, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey, Bucket: s3.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	closed, open := ann.asset("closed", "p"), ann.asset("open", "p")
	status, header, body := ann.get("GET", closed, nil)
	if status != http.StatusOK || !bytes.Equal(body, bytes1) || !strings.HasPrefix(header.Get("Cache-Control"), "private") {
		t.Errorf("a private room's picture: %d, %d bytes, %v", status, len(body), header)
	}
	var to string
	until(t, "a public room's picture is redirected", func() bool {
		status, header, _ = ann.get("GET", open, nil)
		to = header.Get("Location")
		return status == http.StatusFound
	})
	to, _, _ = strings.Cut(to, "?") // signed, where there is a Worker
	key, ok := strings.CutPrefix(to, "https://pictures.example.com/")
	if o, err := bucket.Head(t.Context(), key); !ok || err != nil || o.Size != int64(len(bytes1)) || o.ContentType != "image/png" {
		t.Errorf("redirected to %s, which is %+v: %v", to, o, err)
	}

	for _, asset := range []string{open, closed} { // under CORS, in parts, and what is known already
		if status, _, body := ann.ask("GET", asset, nil, "Origin", "http://"+s.addr); status != http.StatusOK || !bytes.Equal(body, bytes1) {
			t.Errorf("under CORS: %d, %d bytes", status, len(body))
		}
		status, header, body := ann.ask("GET", asset, nil, "Sec-Fetch-Mode", "cors", "Range", "bytes=2-5")
		if status != http.StatusPartialContent || !bytes.Equal(body, bytes1[2:6]) {
			t.Errorf("range: %d %x", status, body)
		}
		if status, _, body := ann.ask("GET", asset, nil, "Sec-Fetch-Mode", "cors", "If-None-Match", header.Get("ETag")); status != http.StatusNotModified || len(body) > 0 {
			t.Errorf("known already: %d, %d bytes", status, len(body))
		}
	}

	s3.Stop()
	_, url2 := picture(t, 2)
	if status, code := ann.add("open", "q", url2); status != http.StatusServiceUnavailable || code != "read_only" {
		t.Errorf("a picture while the store is away: %d %s", status, code)
	}
	if status, code := ann.add("open", "r", "https://example.com/other.png"); status != http.StatusOK {
		t.Errorf("an edit while the store is away: %d %s", status, code)
	}
	status, header, body = ann.get("GET", closed, nil)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || !bytes.Contains(body, []byte(`"code":"read_only"`)) || header.Get("Cache-Control") != "no-store" {
		t.Errorf("serving while the store is away: %d %v %s", status, header, body)
	}
	if status, _, body := ann.get("GET", "/readyz", nil); status != http.StatusOK || !bytes.Contains(body, []byte("R2 does not answer")) {
		t.Errorf("readyz: %d %s", status, body)
	}
	s.stop()
	s = startServer(t, dir, "127.0.0.1:0", env...) // a start does not need it
	ann.s = s
	if status, code := ann.add("closed", "r", "https://example.com/other.png"); status != http.StatusOK {
		t.Errorf("an edit of a room that was loaded while the store is away: %d %s", status, code)
	}
	s3.Start(t)
	until(t, "pictures are served again", func() bool { status, _, body = ann.get("GET", closed, nil); return status == http.StatusOK })
	if !bytes.Equal(body, bytes1) {
		t.Error("another picture came back")
	}
	if status, code := ann.add("open", "q", url2); status != http.StatusOK {
		t.Errorf("a picture after its return: %d %s", status, code)
	}
	s.stop()
	if strings.Contains(s.out.String(), s3.SecretKey) {
		t.Error("the secret key is in the log")
	}
}

// TestTheGuidesKeysInKV: all keys of the guide are in Cloudflare's KV, for the Worker and other tools.
func TestTheGuidesKeysInKV(t *testing.T) {
	w := edgetest.Shared(t)
	s := startServer(t, t.TempDir(), "127.0.0.1:0", onKV(w)...)
	client, err := cloudflare.New(cloudflare.Config{Account: w.Account, Secret: w.Secret, URL: w.URL + "/client/v4"})
	if err != nil {
		t.Fatal(err)
	}
	cache := kv.New(client, w.Namespace, nil)
	ann := guest(t, s)
	ann.room("open", "public")
	_, url1 := picture(t, 1)
	if status, code := ann.add("open", "p", url1); status != http.StatusOK {
		t.Fatalf("add: %d %s", status, code)
	}
	asset := strings.TrimPrefix(ann.asset("open", "p"), "/v1/assets/")
	frames(t, "ws://"+s.addr+"/parties/main/open?_pk=1&token="+ann.token) // presence is of people who are known
	for key, want := range map[string]string{"rooms:registry": "[", "rooms:open:participants": `"role":"owner"`, "rooms:open:stats": `"roomId":"open"`,
		"canvas:open:latest": "", "assets:" + asset + ":meta": `"contentType":"image/png"`} {
		until(t, key, func() bool {
			value, ok, err := cache.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			return ok && strings.Contains(string(value), want)
		})
	}
	until(t, "presence with its minute", func() bool {
		var keys struct {
			Result []struct {
				Name       string
				Expiration int64
			}
		}
		status, err := httpJSON("GET", w.URL+"/client/v4/accounts/"+w.Account+"/storage/kv/namespaces/"+w.Namespace+"/keys?prefix=presence:", w.Secret, nil, &keys)
		if err != nil {
			t.Fatal(status, err)
		}
		if len(keys.Result) != 1 {
			return false
		}
		left := time.Until(time.Unix(keys.Result[0].Expiration, 0))
		value, _, err := cache.Get(t.Context(), keys.Result[0].Name)
		return err == nil && strings.Contains(string(value), `"roomId":"open"`) && left > 0 && left <= time.Minute
	})
	if status := ann.call("POST", "/parties/main/open", map[string]string{"type": "canvas_update", "hash": "from-a-client"}, nil); status != http.StatusOK {
		t.Fatalf("bridge: %d", status)
	}
	until(t, "the hash of a client", func() bool {
		value, _, err := cache.Get(t.Context(), "canvas:open:latest")
		return err == nil && string(value) == "from-a-client"
	})
	s.stop()
	if strings.Contains(s.out.String(), w.Secret) {
		t.Error("the gateway's secret is in the log")
	}
}
