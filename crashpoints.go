//go:build crashtest

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/fal"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
)

// This file is in the program that tests of crashes build, and in no other. With KANVAS_TEST_CRASH the process kills itself (SIGKILL) at one of the calls
// that change something outside its memory: "before:3" before the third, "after:3" once it is done and before anybody hears of it, "during:1" in the middle
// of the first that carries bytes, "sent:1" when the first job was sent and before that is known anywhere here. Calls count from when the file KANVAS_TEST_ARMED is there. KANVAS_TEST_FAL is where a stand-in for fal.ai listens,
// KANVAS_TEST_FAL_CA the certificate that it is known by.
func init() {
	if mode, at, ok := strings.Cut(os.Getenv("KANVAS_TEST_CRASH"), ":"); ok {
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			panic(err)
		}
		c := &crash{mode: mode, at: n, armed: os.Getenv("KANVAS_TEST_ARMED")}
		underTest.stores = c.stores
		underTest.ledger = func(l commands.Ledger) commands.Ledger { return crashLedger{l, c} }
		underTest.generations = c.generations
	}
	if addr := os.Getenv("KANVAS_TEST_FAL"); addr != "" {
		underTest.fal = func(f *fal.Config) { standIn(f, addr, os.Getenv("KANVAS_TEST_FAL_CA")) }
	}
}

func standIn(f *fal.Config, addr, ca string) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	f.TLS = &tls.Config{RootCAs: roots}
	f.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
}

type crash struct {
	mode  string
	at    int64
	armed string
	calls atomic.Int64
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // it does not return
	select {}
}

// hit reports whether this call is the one.
func (c *crash) hit(mode string) bool {
	if c.mode != mode {
		return false
	}
	if _, err := os.Stat(c.armed); err != nil {
		return false
	}
	return c.calls.Add(1) == c.at
}

func (c *crash) call(fn func() error) error {
	if c.hit("before") {
		die()
	}
	err := fn()
	if c.hit("after") {
		die()
	}
	return err
}

// body is r, which kills where half of size has been read.
func (c *crash) body(r io.Reader, size int64) io.Reader {
	if !c.hit("during") {
		return r
	}
	return io.MultiReader(io.LimitReader(r, size/2), deadlyBody{})
}

type deadlyBody struct{}

func (deadlyBody) Read([]byte) (int, error) { die(); return 0, io.EOF }

func (c *crash) stores(n *node) {
	n.appends = crashLog{n.log, c}
	n.ledger = crashLedger{n.ledger, c}
	n.objects = crashObjects{n.objects, c}
	if r, ok := n.intake.(commands.Receiver); ok {
		n.intake = crashReceiver{crashIntake{n.intake, c}, r}
	} else {
		n.intake = crashIntake{n.intake, c}
	}
}

type crashLog struct {
	*jetstream.Store
	c *crash
}

func (l crashLog) Append(ctx context.Context, s events.Stream, after uint64, payload []byte) (seq uint64, err error) {
	err = l.c.call(func() (err error) { seq, err = l.Store.Append(ctx, s, after, payload); return err })
	return seq, err
}

type crashLedger struct {
	commands.Ledger
	c *crash
}

func (l crashLedger) Put(ctx context.Context, person string, doc []byte, version uint64) error {
	return l.c.call(func() error { return l.Ledger.Put(ctx, person, doc, version) })
}

type crashObjects struct {
	commands.Objects
	c *crash
}

func (o crashObjects) Put(ctx context.Context, key, kind string, body io.Reader, size int64) error {
	return o.c.call(func() error { return o.Objects.Put(ctx, key, kind, o.c.body(body, size), size) })
}

func (o crashObjects) Delete(ctx context.Context, keys ...string) error {
	return o.c.call(func() error { return o.Objects.Delete(ctx, keys...) })
}

func (o crashObjects) Move(ctx context.Context, from commands.Object, to string) error {
	m, ok := o.Objects.(commands.Mover)
	if !ok {
		return errors.New("the store moves nothing")
	}
	return o.c.call(func() error { return m.Move(ctx, from, to) })
}

type crashIntake struct {
	commands.Intake
	c *crash
}

func (i crashIntake) Start(ctx context.Context, s commands.Staged) (id string, err error) {
	err = i.c.call(func() (err error) { id, err = i.Intake.Start(ctx, s); return err })
	return id, err
}

func (i crashIntake) Finish(ctx context.Context, s commands.Staged, etags []string) error {
	return i.c.call(func() error { return i.Intake.Finish(ctx, s, etags) })
}

func (i crashIntake) Abort(ctx context.Context, key, id string) error {
	return i.c.call(func() error { return i.Intake.Abort(ctx, key, id) })
}

// generations makes calls to the queue steps too, and follows faster than it would be good for anybody; KANVAS_TEST_POLL is between two questions about a job.
func (c *crash) generations(g *commands.GenerationConfig) {
	poll := 50 * time.Millisecond
	if set := os.Getenv("KANVAS_TEST_POLL"); set != "" {
		var err error
		if poll, err = time.ParseDuration(set); err != nil {
			panic(err)
		}
	}
	g.Jobs, g.PollFirst, g.PollLast = crashJobs{g.Jobs, c}, poll, poll
	g.Retry, g.Look, g.Unanswered = 20*time.Millisecond, time.Second, 3*time.Second
}

type crashJobs struct {
	commands.Jobs
	c *crash
}

func (j crashJobs) Submit(ctx context.Context, job commands.Job) (ref commands.JobRef, err error) {
	err = j.c.call(func() (err error) { ref, err = j.Jobs.Submit(ctx, job); return err })
	if j.c.hit("sent") {
		die()
	}
	return ref, err
}

func (j crashJobs) Status(ctx context.Context, ref commands.JobRef) (s commands.JobStatus, err error) {
	err = j.c.call(func() (err error) { s, err = j.Jobs.Status(ctx, ref); return err })
	return s, err
}

func (j crashJobs) Result(ctx context.Context, ref commands.JobRef) (r commands.JobResult, err error) {
	err = j.c.call(func() (err error) { r, err = j.Jobs.Result(ctx, ref); return err })
	return r, err
}

func (j crashJobs) Upload(ctx context.Context, name, kind string, size int64, body io.Reader) (url string, err error) {
	err = j.c.call(func() (err error) { url, err = j.Jobs.Upload(ctx, name, kind, size, j.c.body(body, size)); return err })
	return url, err
}

func (j crashJobs) Fetch(ctx context.Context, url string) (body io.ReadCloser, kind string, size int64, err error) {
	err = j.c.call(func() (err error) { body, kind, size, err = j.Jobs.Fetch(ctx, url); return err })
	if err == nil {
		body = struct {
			io.Reader
			io.Closer
		}{j.c.body(body, max(size, 0)), body}
	}
	return body, kind, size, err
}

type crashReceiver struct {
	crashIntake
	r commands.Receiver
}

func (r crashReceiver) Receive(ctx context.Context, s commands.Staged, part int, body io.Reader) (etag string, err error) {
	_, size := s.Part(part)
	err = r.c.call(func() (err error) { etag, err = r.r.Receive(ctx, s, part, r.c.body(body, size)); return err })
	return etag, err
}
