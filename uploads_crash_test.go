package main

import (
	"bytes"
	"cmp"
	bin "encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/r2/s3test"
)

// trap is an S3 server in front of the real one, which kills a process at a call of its to the store: before the call is passed on, or once it was done.
type trap struct {
	*httptest.Server
	mu     sync.Mutex
	at     int // calls until it snaps; 0: it doesn't
	before bool
	kill   func()
}

func newTrap(t *testing.T, endpoint string) *trap {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	x := &trap{}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }, // Host is signed
		Transport:    &http.Transport{DisableCompression: true},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // the caller is gone
	}
	x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" { // by a signed address: somebody else's call
			proxy.ServeHTTP(w, r)
			return
		}
		kill, before := x.count()
		if kill == nil {
			proxy.ServeHTTP(w, r)
			return
		}
		if !before {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
		}
		kill()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(x.Close)
	return x
}

// count counts a call; kill is nil where the trap does not snap.
func (x *trap) count() (kill func(), before bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.at == 0 {
		return nil, false
	}
	if x.at--; x.at > 0 {
		return nil, false
	}
	return x.kill, x.before
}

// set has the trap snap at the n-th call from now; 0: never. It returns how many calls were left of the time before.
func (x *trap) set(n int, before bool, kill func()) (left int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	left, x.at, x.before, x.kill = x.at, n, before, kill
	return left
}

// withText puts a chunk into a PNG that is nobody's business, so that the server has to store it anew.
func withText(data []byte) []byte {
	const head = 8 + 25 // signature and IHDR
	chunk := append([]byte("tEXt"), "Author\x00somebody"...)
	out := append(bytes.Clone(data[:head]), bin.BigEndian.AppendUint32(nil, uint32(len(chunk)-4))...)
	out = bin.BigEndian.AppendUint32(append(out, chunk...), crc32.ChecksumIEEE(chunk))
	return append(out, data[head:]...)
}

func noisyPNG(t *testing.T, width, height int) []byte {
	t.Helper()
	img, r := image.NewNRGBA(image.Rect(0, 0, width, height)), rand.New(rand.NewPCG(uint64(width), 1))
	for i := 0; i+4 <= len(img.Pix); i += 4 {
		bin.LittleEndian.PutUint32(img.Pix[i:], r.Uint32()|0xff000000)
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sentUpload is an upload as its client knows it.
type sentUpload struct {
	who   *person
	data  []byte
	kind  string // "": image/png
	asset string // "": the answer never came
}

type uploadAnswer struct {
	Asset  struct{ ID, Status string }
	Upload struct {
		URL      string
		Headers  map[string]string
		PartSize int64 `json:"part_size"`
		Parts    []struct {
			Number int
			URL    string
			ETag   string
		}
	}
}

// call asks the server; an error is that of one that is gone.
func (u *sentUpload) call(method, path string, body, into any) (int, error) {
	return httpJSON(method, "http://"+u.who.s.addr+path, u.who.token, body, into)
}

func (u *sentUpload) put(address string, header map[string]string, data []byte) (etag string, err error) {
	req, err := http.NewRequest(http.MethodPut, address, bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("put: %s %s", res.Status, answer)
	}
	return res.Header.Get("ETag"), err
}

// run asks, sends and completes, as far as it gets.
func (u *sentUpload) run() error {
	var a uploadAnswer
	if _, err := u.call("POST", "/v1/assets", map[string]any{"name": "p.png", "content_type": cmp.Or(u.kind, "image/png"), "size": len(u.data)}, &a); err != nil {
		return err
	}
	u.asset = a.Asset.ID
	return u.send(&a)
}

func (u *sentUpload) send(a *uploadAnswer) error {
	if a.Upload.URL != "" {
		if _, err := u.put(a.Upload.URL, a.Upload.Headers, u.data); err != nil {
			return err
		}
		return u.complete(nil)
	}
	var parts []map[string]any
	for _, p := range a.Upload.Parts {
		etag := p.ETag
		if etag == "" {
			var err error
			from := int64(p.Number-1) * a.Upload.PartSize
			if etag, err = u.put(p.URL, nil, u.data[from:min(from+a.Upload.PartSize, int64(len(u.data)))]); err != nil {
				return err
			}
		}
		parts = append(parts, map[string]any{"number": p.Number, "etag": etag})
	}
	return u.complete(map[string]any{"parts": parts})
}

func (u *sentUpload) complete(body any) error {
	var done struct{ Status string }
	_, err := u.call("POST", "/v1/assets/"+u.asset+"/complete", body, &done)
	return err
}

// again goes on with an upload whose server was killed: what is there is not sent twice.
func (u *sentUpload) again() error {
	var a uploadAnswer
	status, err := u.call("GET", "/v1/assets/"+u.asset+"/upload", nil, &a)
	if status == http.StatusConflict { // it was over
		return u.complete(nil)
	}
	if err != nil {
		return err
	}
	return u.send(&a)
}

// TestUploadsToR2KilledInTheMiddle kills the server, by SIGKILL, at every call to the store that an upload makes it do: one that comes in one request,
// one in parts that is kept as it is, and one in parts that is stored anew. Where the client goes on, the upload comes to its end; where it does not,
// nothing is left of it a day later, and the account is right.
func TestUploadsToR2KilledInTheMiddle(t *testing.T) {
	s3, dir := s3test.Start(t), t.TempDir()
	x := newTrap(t, s3.Endpoint)
	env := append(onR2(s3), "KANVAS_R2_ENDPOINT="+x.URL, "KANVAS_RATE_LIMITS=off", "KANVAS_QUOTA="+fmt.Sprint(int64(16)<<30))
	s := startServer(t, dir, "127.0.0.1:0", env...)
	token := strings.TrimSpace(mustTool(t, "token", "ann", "--data", dir))
	large := noisyPNG(t, 2600, 2300)
	var all []*sentUpload
	kills, lost := 0, 0
	for name, data := range map[string][]byte{"one request": withText(noisyPNG(t, 40, 40)), "in parts": large, "in parts, stored anew": withText(large)} {
		for n, reached := 0, true; reached; n++ {
			u := &sentUpload{who: &person{t, s, token}, data: data}
			server := s.cmd.Process
			x.set(max(n, 1), n == 0, func() { _ = server.Kill() }) // it may have been killed by the call before
			err := u.run()
			all = append(all, u)
			if reached = x.set(0, false, nil) == 0; !reached {
				if err != nil {
					t.Fatalf("%s: nothing was killed, and it failed: %v", name, err)
				}
				break
			}
			kills++
			<-s.done
			s = startServer(t, dir, s.addr, env...)
			for _, u := range all {
				u.who.s = s
			}
			if u.asset == "" {
				lost++
			} else if n%3 > 0 {
				if err := u.again(); err != nil {
					t.Errorf("%s: killed at call %d, and it does not go on: %v", name, n, err)
				}
			}
		}
	}
	t.Logf("%d kills, of %d uploads no client heard", kills, lost)
	if kills < 15 || lost == 0 {
		t.Error("too few to say anything")
	}
	serving := map[string]bool{}
	for _, u := range all {
		if u.asset == "" {
			continue
		}
		status, _, got := u.who.get("GET", "/v1/assets/"+u.asset, nil)
		if serving[u.asset] = status == http.StatusOK; serving[u.asset] && len(got) < 4000 {
			t.Errorf("%s: %d bytes", u.asset, len(got))
		}
	}
	s.stop()
	tidied(t, dir, serving, env)
}

// tidied has a server sweep as it would two days later, and wants nothing in the store but what is served.
func tidied(t *testing.T, dir string, serving map[string]bool, env []string) {
	t.Helper()
	n, closeNode := nodeOn(t, dir, env...)
	defer closeNode()
	later := past{t, n, -2}
	swept, err := later.uploads().Sweep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", swept)
	wanted, kept := map[string]bool{}, int64(0)
	for asset, served := range serving {
		a, err := n.uploads.Asset(t.Context(), "ann", asset)
		if err != nil || a.Shown() != served {
			t.Errorf("%s is %s, and served: %v (%v)", asset, a.Status, served, err)
		}
		if a.Shown() {
			wanted[a.Stored.Key] = true
			kept += a.Stored.Size
		}
	}
	objects := map[string]bool{}
	err = n.objects.List(t.Context(), "", func(o commands.Object) bool {
		if strings.HasPrefix(o.Key, "images/") && !strings.HasSuffix(o.Key, ".webp") || strings.HasPrefix(o.Key, commands.StagedPrefix) {
			objects[o.Key] = true
		}
		return true
	})
	if err != nil || !maps.Equal(objects, wanted) {
		t.Errorf("the bucket has %v, served are %v: %v", objects, wanted, err)
	}
	err = n.intake.Started(t.Context(), func(key, id string, at time.Time) bool { t.Errorf("upload %s of %s is left", id, key); return true })
	used, quotaErr := later.quota().Of(t.Context(), "ann")
	if err != nil || quotaErr != nil || used.Kept != kept || used.Reserved != 0 {
		t.Errorf("ann keeps %d bytes, her account says %+v: %v, %v", kept, used, err, quotaErr)
	}
}
