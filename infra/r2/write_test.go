package r2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/infra/objects/objectstest"
	"github.com/infinite-kanvas/kanvas/infra/r2/s3test"
)

// onWorkerd gives the bucket of a Worker by its S3 endpoint, and the Worker.
func onWorkerd(t *testing.T) *Bucket {
	t.Helper()
	w := edgetest.Shared(t)
	b, err := Open(Config{Endpoint: w.S3.Endpoint, AccessKey: w.S3.AccessKey, SecretKey: w.S3.SecretKey, Bucket: w.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBucketOnWorkerd(t *testing.T) {
	objectstest.Test(t, func(t *testing.T) commands.Objects { return onWorkerd(t) }, objectstest.Limits{})
}

// noise is n bytes that are the same for the same n.
func noise(n int64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b) // never fails
	return b
}

func both(t *testing.T, test func(t *testing.T, b *Bucket)) {
	t.Run("versitygw", func(t *testing.T) { b, _ := open(t); test(t, b) })
	t.Run("workerd", func(t *testing.T) { test(t, onWorkerd(t)) })
}

func TestLargeObjectsGoInParts(t *testing.T) {
	both(t, func(t *testing.T, b *Bucket) {
		for _, size := range []int64{PartSize, PartSize + 1, 3*PartSize + 12345} {
			data := noise(size)
			if err := b.Put(context.Background(), "images/u/large.bin", "video/mp4", bytes.NewReader(data), size); err != nil {
				t.Fatal(err)
			}
			body, o, err := b.Get(context.Background(), "images/u/large.bin", 0, -1)
			if err != nil || o.Size != size || o.ContentType != "video/mp4" {
				t.Fatalf("%+v %v", o, err)
			}
			got, err := io.ReadAll(body)
			if err = errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%d bytes came back as %d others: %v", size, len(got), err)
			}
			etag, err := ETagOf(bytes.NewReader(data), size)
			if err != nil {
				t.Fatal(err)
			}
			if isMD5(o.ETag) && o.ETag != etag {
				t.Errorf("%d bytes have the ETag %s, computed %s", size, o.ETag, etag)
			}
			body, _, err = b.Get(context.Background(), "images/u/large.bin", size-5, 3)
			if err != nil {
				t.Fatal(err)
			}
			got, err = io.ReadAll(body)
			if err = errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, data[size-5:size-2]) {
				t.Errorf("range across parts: %x %v", got, err)
			}
		}
	})
}

// breaks gives so many zeros, then an error.
type breaks struct{ left int64 }

func (b *breaks) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("the sender went away")
	}
	n := min(int64(len(p)), b.left)
	b.left -= n
	return int(n), nil
}

func uploads(t *testing.T, b *Bucket) int {
	t.Helper()
	out, err := b.api.ListMultipartUploads(context.Background(), &s3.ListMultipartUploadsInput{Bucket: &b.name})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}

func TestPartsAreGivenUpWhereAnythingFails(t *testing.T) {
	b, _ := open(t)
	size := int64(3 * PartSize)
	for name, body := range map[string]io.Reader{
		"broken": &breaks{size - 10}, "short": bytes.NewReader(make([]byte, size-1)), "long": bytes.NewReader(make([]byte, size+1)),
	} {
		if err := b.Put(context.Background(), "k", "video/mp4", body, size); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	body := io.MultiReader(bytes.NewReader(make([]byte, 2*PartSize)), readFunc(func([]byte) (int, error) { cancel(); return 0, ctx.Err() }))
	if err := b.Put(ctx, "k", "video/mp4", body, size); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := b.Head(context.Background(), "k"); !errors.Is(err, commands.ErrNoObject) {
		t.Errorf("half of it is there: %v", err)
	}
	if n := uploads(t, b); n != 0 {
		t.Errorf("%d uploads were left", n)
	}
	if !b.memory.TryAcquire(memory) {
		t.Error("memory was not given back")
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestMemoryIsBounded: as a body is read, no more of it is held than parts may be sent at once.
func TestMemoryIsBounded(t *testing.T) {
	b, s := open(t)
	var sent atomic.Int64
	b.api = s3.New(b.api.Options(), func(o *s3.Options) {
		o.HTTPClient = httpFunc(func(r *http.Request) (*http.Response, error) {
			res, err := http.DefaultTransport.RoundTrip(r)
			if err == nil && r.URL.Query().Has("partNumber") {
				sent.Add(r.ContentLength)
			}
			return res, err
		})
	})
	_ = s
	size, read := int64(12*PartSize), int64(0)
	body := readFunc(func(p []byte) (int, error) {
		if ahead := read - sent.Load(); ahead > (partsAtOnce+1)*PartSize {
			t.Errorf("%d bytes were read that are not sent", ahead)
		}
		n := min(int64(len(p)), size-read)
		read += n
		if n == 0 {
			return 0, io.EOF
		}
		return int(n), nil
	})
	if err := b.Put(context.Background(), "k", "video/mp4", body, size); err != nil {
		t.Fatal(err)
	}
}

type httpFunc func(*http.Request) (*http.Response, error)

func (f httpFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestPicturesMayBeKeptByAnybody(t *testing.T) {
	both(t, func(t *testing.T, b *Bucket) {
		for key, want := range map[string]string{"images/u/a.png": "public, max-age=31536000", "snapshots/r/1.json": "", "images-not": ""} {
			if err := b.Put(context.Background(), key, "image/png", strings.NewReader("x"), 1); err != nil {
				t.Fatal(err)
			}
			out, err := b.api.HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
			if err != nil || aws.ToString(out.CacheControl) != want {
				t.Errorf("%s: %q, want %q: %v", key, aws.ToString(out.CacheControl), want, err)
			}
		}
	})
}

func TestPutNewLeavesWhatIsThere(t *testing.T) {
	both(t, func(t *testing.T, b *Bucket) {
		for i, want := range []bool{true, false, false} {
			text := "body" + string(rune('0'+i))
			stored, err := b.PutNew(context.Background(), "k", "text/plain", strings.NewReader(text), 5)
			if err != nil || stored != want {
				t.Fatalf("put %d: %v %v", i, stored, err)
			}
		}
		body, _, err := b.Get(context.Background(), "k", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); string(got) != "body0" || errors.Join(err, body.Close()) != nil {
			t.Errorf("%q %v", got, err)
		}
	})
}

func TestErrorsSayWhatTheyAre(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := s3test.Start(t)
	open := func(edit func(*Config)) *Bucket {
		cfg := Config{Endpoint: s.Endpoint, AccessKey: s.AccessKey, SecretKey: s.SecretKey, Bucket: s.Bucket}
		edit(&cfg)
		b, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var logs bytes.Buffer
	good := open(func(c *Config) { c.Registerer, c.Logger = reg, slog.New(slog.NewJSONHandler(&logs, nil)) })
	if err := good.Ping(context.Background()); err != nil {
		t.Error(err)
	}
	wrong := open(func(c *Config) { c.SecretKey = "hunter2-wrong" })
	for name, err := range map[string]error{
		"secret ping": wrong.Ping(context.Background()), "secret put": wrong.Put(context.Background(), "k", "text/plain", strings.NewReader("x"), 1),
		"bucket": open(func(c *Config) { c.Bucket = "another" }).Put(context.Background(), "k", "text/plain", strings.NewReader("x"), 1),
		"size":   good.Put(context.Background(), "k", "text/plain", strings.NewReader("x"), MaxSize+1),
	} {
		if err == nil || errors.Is(err, commands.ErrObjectsDown) || errors.Is(err, commands.ErrNoObject) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.Stop()
	_, _, get := good.Get(context.Background(), "k", 0, -1)
	_, head := good.Head(context.Background(), "k")
	for name, err := range map[string]error{
		"ping": good.Ping(context.Background()), "get": get, "head": head, "put": good.Put(context.Background(), "k", "text/plain", strings.NewReader("x"), 1),
		"large": good.Put(context.Background(), "k", "text/plain", bytes.NewReader(make([]byte, PartSize+1)), PartSize+1),
		"list":  good.List(context.Background(), "", func(commands.Object) bool { return true }), "delete": good.Delete(context.Background(), "k"),
	} {
		if !errors.Is(err, commands.ErrObjectsDown) || errors.Is(err, commands.ErrNoObject) || strings.Contains(err.Error(), s.SecretKey) {
			t.Errorf("%s of a server that is down: %v", name, err)
		}
	}
	if good.Down() == nil {
		t.Error("it is not said to be down")
	}
	s.Start(t)
	if _, err := good.Head(context.Background(), "k"); !errors.Is(err, commands.ErrObjectsDown) {
		t.Errorf("a call within the rest: %v", err)
	}
	good.down.Store(&outage{err: good.Down()}) // the rest is over
	if _, err := good.Head(context.Background(), "k"); !errors.Is(err, commands.ErrNoObject) || good.Down() != nil {
		t.Errorf("after its return: %v, %v", err, good.Down())
	}
	if down, up := strings.Count(logs.String(), "objects_down"), strings.Count(logs.String(), "objects_up"); down != 1 || up != 1 {
		t.Errorf("said down %d times and up %d times: %s", down, up, logs.String())
	}
}

// A reader must not take half of an object for all of it.
func TestABodyThatIsCutIsAnError(t *testing.T) {
	b, _ := open(t)
	size := int64(4 << 20)
	if err := b.Put(context.Background(), "k", "video/mp4", bytes.NewReader(noise(size)), size); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	body, _, err := b.Get(ctx, "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(body, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(body); err == nil {
		t.Error("a cut body ended well")
	}
	if err := body.Close(); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func do(t *testing.T, s Signed, body []byte, edit func(*http.Request)) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequest(s.Method, s.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range s.Header {
		if name != "Content-Length" && name != "Host" {
			req.Header[name] = v
		}
	}
	if edit != nil {
		edit(req)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, got
}

func TestSignedAddresses(t *testing.T) {
	b, _ := open(t)
	ctx := context.Background()
	put, err := b.SignPut(ctx, "images/u/a.png", "image/png", 5, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, body := do(t, put, []byte("123456"), nil); status != http.StatusForbidden {
		t.Errorf("another length: %d %s", status, body)
	}
	if status, _, body := do(t, put, []byte("12345"), func(r *http.Request) { r.Header.Set("Content-Type", "text/html") }); status != http.StatusForbidden {
		t.Errorf("another type: %d %s", status, body)
	}
	if status, _, body := do(t, put, []byte("12345"), nil); status != http.StatusOK {
		t.Fatalf("put: %d %s", status, body)
	}
	get, err := b.SignGet(ctx, "images/u/a.png", time.Minute, Answer{CacheControl: "private, max-age=60", ContentDisposition: "attachment"})
	if err != nil {
		t.Fatal(err)
	}
	status, header, body := do(t, get, nil, nil)
	if status != http.StatusOK || string(body) != "12345" || header.Get("Content-Type") != "image/png" || header.Get("Cache-Control") != "private, max-age=60" || header.Get("Content-Disposition") != "attachment" {
		t.Errorf("get: %d %q %v", status, body, header)
	}
	other := get
	other.URL = strings.Replace(get.URL, "a.png", "b.png", 1)
	if status, _, _ := do(t, other, nil, nil); status != http.StatusForbidden {
		t.Errorf("the signature of another key: %d", status)
	}
	for name, err := range map[string]error{
		"long":  second(b.SignGet(ctx, "k", MaxPresign+time.Second, Answer{})),
		"short": second(b.SignPut(ctx, "k", "t/p", 1, 0)),
		"key":   second(b.SignGet(ctx, "../k", time.Minute, Answer{})),
	} {
		if err == nil {
			t.Errorf("%s: passed", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestASilentStoreHasDeadlines: a store that takes a call and says nothing, or stops in the middle of a body, is away.
func TestASilentStoreHasDeadlines(t *testing.T) {
	silent := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the end of the connection is noticed
		if strings.HasSuffix(r.URL.Path, "/half") {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(make([]byte, 10))
			w.(http.Flusher).Flush()
		}
		<-silent
	}))
	t.Cleanup(func() { close(silent); srv.Close() })
	b, err := Open(Config{Endpoint: srv.URL, AccessKey: "a", SecretKey: "s", Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	b.times = times{call: 50 * time.Millisecond, stall: 50 * time.Millisecond}
	_, _, get := b.Get(ctx, "k", 0, -1)
	_, head := b.Head(ctx, "k")
	for name, err := range map[string]error{
		"get": get, "head": head, "put": b.Put(ctx, "k", "text/plain", strings.NewReader("x"), 1), "delete": b.Delete(ctx, "k"), "ping": b.Ping(ctx),
		"list": b.List(ctx, "", func(commands.Object) bool { return true }),
	} {
		if !errors.Is(err, commands.ErrObjectsDown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.times.call = time.Minute
	body, _, err := b.Get(ctx, "half", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, body); n != 10 || !errors.Is(err, commands.ErrObjectsDown) {
		t.Errorf("half a body: %d bytes, %v", n, err)
	}
	_ = body.Close() // it failed already
}
