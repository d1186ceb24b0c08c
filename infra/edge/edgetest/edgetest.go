// Package edgetest runs the Worker of infra/edge on workerd, the runtime of Cloudflare Workers, for tests: a real D1, KV and R2 behind the
// real gateway. Its npm packages come by `make deps`; a test that needs it fails without them.
package edgetest

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
)

// Worker is one running Worker with a D1 database of its own (all migrations applied), a KV namespace and an R2 bucket.
type Worker struct {
	URL       string // of the Worker, without a slash at its end; the gateway's base URL is URL + "/client/v4"
	Secret    string // bearer token of the gateway
	Account   string
	Database  string // D1
	Namespace string // KV
	Bucket    string // R2
	S3        S3     // the same bucket by the S3 protocol
	Dir       string // where workerd keeps its state

	name    string
	process *process
	origin  *origin // nil where WithVar says ORIGIN
}

// Stop ends the process of a Worker that Start ran; its directory can then be opened by others. Stopping twice is fine.
func (w *Worker) Stop(t testing.TB) {
	t.Helper()
	if err := w.process.stop(); err != nil {
		t.Errorf("stop workerd: %v", err)
	}
}

// Serve makes h the server behind the Worker, until the test ends. Without it a shared Worker's server hangs up on every request.
func (w *Worker) Serve(t testing.TB, h http.Handler) {
	t.Helper()
	w.origin.handler.Store(&h)
	t.Cleanup(func() {
		w.origin.handler.Store(nil)
		w.origin.server.CloseClientConnections()
	})
}

// Origin is the address of the server behind a shared Worker.
func (w *Worker) Origin() string { return w.origin.server.URL }

// origin is where a shared Worker's requests go: its address is known before the Worker starts, what serves there is the test's.
type origin struct {
	server  *httptest.Server
	handler atomic.Pointer[http.Handler]
}

func newOrigin() *origin {
	o := &origin{}
	o.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := o.handler.Load()
		if h == nil {
			panic(http.ErrAbortHandler)
		}
		(*h).ServeHTTP(w, r)
	}))
	return o
}

// PutObject stores an object in the bucket, past every protocol.
func (w *Worker) PutObject(t testing.TB, key, contentType string, body []byte) {
	t.Helper()
	if err := w.process.tell(command{Worker: w.name, Put: key, Type: contentType, Base64: body}); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

// S3 is how to reach a Worker's bucket with an S3 client (path style, region "auto").
type S3 struct{ Endpoint, AccessKey, SecretKey string }

// Gateway is the base URL for cloudflare-go's option.WithBaseURL.
func (w *Worker) Gateway() string { return w.URL + "/client/v4/" }

// Option changes how Start runs the Worker.
type Option func(*options)

type options struct {
	dir  string
	vars map[string]string
	raw  bool
}

// WithDir keeps workerd's state in dir, where a later Start or wrangler finds it again. The default is a directory that ends with the test.
func WithDir(dir string) Option { return func(o *options) { o.dir = dir } }

// WithVar sets a variable or secret of the Worker, such as ORIGIN. An empty one is not set.
func WithVar(name, value string) Option { return func(o *options) { o.vars[name] = value } }

// WithoutMigrations leaves the D1 database empty.
func WithoutMigrations() Option { return func(o *options) { o.raw = true } }

// Ids of every Worker that Start runs, so that one started again in the same directory finds its state; they are wrangler.toml's.
const (
	account   = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	database  = "77bedc55-0190-40f9-ba57-a5fbb84d3dfd"
	namespace = "ee2d9571c831496e912c66126eb38782"
	bucket    = "kanvas-images"
)

// Start runs a Worker in a process of its own (about half a second) that ends with the test.
func Start(t testing.TB, opts ...Option) *Worker {
	t.Helper()
	o := options{vars: map[string]string{}}
	for _, opt := range opts {
		opt(&o)
	}
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	s := newSpec("kanvas", database, namespace, bucket)
	for name, value := range o.vars {
		s.Vars[name] = value
	}
	p, err := start(o.dir, []spec{s})
	if err != nil {
		t.Fatalf("start workerd: %v", err)
	}
	w := p.worker(s)
	t.Cleanup(func() { w.Stop(t) })
	if !o.raw {
		w.migrate(t)
	}
	return w
}

// slots are the Workers of the one process that Shared runs; more tests than that at once is an error.
const slots = 6

var shared struct {
	once sync.Once
	p    *process
	err  error
	free chan lent
}

type lent struct {
	spec
	origin *origin
}

// Shared lends one of a few Workers of a single process, which lives as long as the test binary: about 30 ms a call. Its D1 database, KV namespace
// and bucket are fresh. Tests may use several at once.
func Shared(t testing.TB) *Worker {
	t.Helper()
	shared.once.Do(startShared)
	if shared.err != nil {
		t.Fatalf("start workerd: %v", shared.err)
	}
	var s lent
	select {
	case s = <-shared.free:
	default:
		t.Fatalf("more than %d shared Workers at once", slots)
	}
	t.Cleanup(func() {
		if err := shared.p.reset(s.Name); err != nil {
			t.Errorf("reset Worker %s: %v", s.Name, err) // and its slot is not lent again
			return
		}
		shared.free <- s
	})
	w := shared.p.worker(s.spec)
	w.origin = s.origin
	w.migrate(t)
	return w
}

func startShared() {
	specs := make([]spec, slots)
	shared.free = make(chan lent, slots)
	for i := range specs {
		id := uuid.NewString()
		specs[i] = newSpec("kanvas-"+id[:8], id, hex.EncodeToString(randomBytes(16)), "kanvas-"+id[:8])
		o := newOrigin()
		specs[i].Vars["ORIGIN"] = o.server.URL
		shared.free <- lent{specs[i], o}
	}
	// The process removes its own directory: no test owns it.
	shared.p, shared.err = start("", specs)
}

func newSpec(name, database, namespace, bucket string) spec {
	secret := hex.EncodeToString(randomBytes(32))
	return spec{
		Name: name, Database: database, Namespace: namespace, Bucket: bucket,
		S3: s3Keys{AccessKeyID: hex.EncodeToString(randomBytes(16)), SecretAccessKey: hex.EncodeToString(randomBytes(32))},
		Vars: map[string]string{
			"ACCOUNT_ID": account, "DATABASE_ID": database, "NAMESPACE_ID": namespace, "GATEWAY_SECRET": secret,
		},
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}
