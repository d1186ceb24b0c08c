package fal

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

const (
	pictureModel = "fal-ai/flux-kontext-lora/text-to-image"
	maskModel    = "fal-ai/evf-sam"
	videoModel   = "fal-ai/bytedance/seedance/v1/lite/image-to-video"
)

// queueOn is a queue before a stand-in, and what it logs.
func queueOn(t *testing.T, change ...func(*Config)) (*Queue, *faltest.Server, *bytes.Buffer) {
	t.Helper()
	s := faltest.Start(t)
	s.SignUploads()
	logs := &bytes.Buffer{}
	c := Config{Key: faltest.Key, Models: Models{"fal-ai/flux-kontext-lora", "fal-ai/bria/background", "fal-ai/evf-sam", "fal-ai/bytedance/seedance", "workflows/ann/sketch"},
		Dial: s.Dial, TLS: s.TLS, Logger: slog.New(slog.NewTextHandler(logs, nil))}
	for _, f := range change {
		f(&c)
	}
	t.Cleanup(func() {
		if _, secret, _ := strings.Cut(faltest.Key, ":"); strings.Contains(logs.String(), secret) {
			t.Error("the key is in the log")
		}
	})
	return NewQueue(newProxy(t, c)), s, logs
}

func input(t *testing.T, members map[string]any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func submit(t *testing.T, q *Queue, model string, members map[string]any) commands.JobRef {
	t.Helper()
	ref, err := q.Submit(soon(t), commands.Job{Model: model, Input: input(t, members)})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func failure(t *testing.T, err error) *commands.JobFailure {
	t.Helper()
	var f *commands.JobFailure
	if !errors.As(err, &f) {
		t.Fatalf("%v is no failure of a job", err)
	}
	return f
}

func isFailure(err error) bool {
	var f *commands.JobFailure
	return errors.As(err, &f)
}

func TestQueueRunsAJob(t *testing.T) {
	q, s, _ := queueOn(t)
	s.Plan(func(string, json.RawMessage) faltest.Plan { return faltest.Plan{Position: 3} })
	const webhook = "https://rooms.example.com/api/fal/webhook/r/g/c?x=1&y=2"
	ref, err := q.Submit(soon(t), commands.Job{Model: pictureModel, Input: input(t, map[string]any{"prompt": "a cat", "num_images": 2}), Webhook: webhook})
	if err != nil {
		t.Fatal(err)
	}
	if jobs := s.Jobs(); len(jobs) != 1 || jobs[0].ID != ref.RequestID || jobs[0].Webhook != webhook || jobs[0].Model != pictureModel {
		t.Fatalf("%+v", jobs)
	}
	if made, err := q.Ref(pictureModel, ref.RequestID); err != nil || made != ref {
		t.Errorf("%+v, made of its id %+v (%v)", ref, made, err)
	}
	if _, err := q.Result(soon(t), ref); err == nil || isFailure(err) {
		t.Errorf("asked too early: %v", err)
	}
	for _, want := range []commands.JobStatus{{State: commands.JobQueued, Position: 3}, {State: commands.JobRunning}, {State: commands.JobDone}} {
		if got, err := q.Status(soon(t), ref); err != nil || got != want {
			t.Fatalf("%+v, not %+v (%v)", got, want, err)
		}
	}
	res, err := q.Result(soon(t), ref)
	if err != nil || res.Units != 1 {
		t.Fatal(res.Units, err)
	}
	files, seed, err := Catalog{Models{"*"}}.Files(pictureModel, res.Output)
	if err != nil || len(files) != 2 || seed != "9007199254740993" || files[0].Width != faltest.PictureWidth || files[1].ContentType != "image/jpeg" {
		t.Fatalf("%+v %s %v", files, seed, err)
	}
	body, kind, size, err := q.Fetch(soon(t), files[1].URL)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if b, err := io.ReadAll(body); err != nil || !bytes.Equal(b, faltest.Picture) || kind != "image/jpeg" || size != int64(len(b)) {
		t.Errorf("%d of %d bytes of %s: %v", len(b), size, kind, err)
	}
	for _, r := range s.Requests() {
		if key := r.Header.Get("Authorization"); (key == "") != strings.Contains(r.URL, "fal.media") {
			t.Errorf("%s %s with %q", r.Method, r.URL, key)
		}
	}
}

// TestWhatIsSubmitted: results are files and masks are masks, whatever was asked for.
func TestWhatIsSubmitted(t *testing.T) {
	q, s, _ := queueOn(t)
	submit(t, q, "fal-ai/bria/background/remove", map[string]any{"image_url": "https://v3.fal.media/x.png", "sync_mode": true})
	submit(t, q, maskModel, map[string]any{"prompt": "the dog", "image_url": "https://v3.fal.media/x.png", "mask_only": false})
	for i, want := range []string{`{"image_url":"https://v3.fal.media/x.png"}`, `{"image_url":"https://v3.fal.media/x.png","mask_only":true,"prompt":"the dog"}`} {
		if got := s.Jobs()[i].Input; got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
	for _, j := range []commands.Job{{Model: "fal-ai/other", Input: json.RawMessage(`{}`)}, {Model: "../x", Input: json.RawMessage(`{}`)},
		{Model: pictureModel, Input: json.RawMessage(`[1]`)}, {Model: pictureModel, Input: json.RawMessage(`null`)}, {Model: pictureModel}} {
		if _, err := q.Submit(soon(t), j); failure(t, err).Billed {
			t.Errorf("%+v: %v", j, err)
		}
	}
	if n := len(s.Jobs()); n != 2 {
		t.Errorf("%d jobs", n)
	}
}

// TestNotSent: where nothing can have been taken, that is said; everywhere else it is not, and the job is sent once.
func TestNotSent(t *testing.T) {
	job := commands.Job{Model: pictureModel, Input: json.RawMessage(`{"prompt":"x"}`)}
	for name, change := range map[string]func(*Config){
		"no address":     func(c *Config) { c.Dial = dialPublic(&net.Resolver{PreferGo: true, Dial: nowhere}) },
		"no connection":  func(c *Config) { c.Dial = nowhere },
		"no certificate": func(c *Config) { c.TLS = &tls.Config{} },
		"cut handshake":  func(c *Config) { c.Dial = cutConn },
	} {
		q, s, _ := queueOn(t, change)
		if _, err := q.Submit(soon(t), job); !errors.Is(err, commands.ErrNotSent) || isFailure(err) || len(s.Jobs()) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	q, s, _ := queueOn(t)
	gone, cancel := context.WithCancel(soon(t))
	cancel()
	if _, err := q.Submit(gone, job); !errors.Is(err, commands.ErrNotSent) {
		t.Errorf("ended before: %v", err)
	}
	s.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	if _, err := q.Submit(soon(t), job); !errors.Is(err, commands.ErrNotSent) {
		t.Errorf("429: %v", err)
	}
	s.Fault(nil)

	taken := 0
	for name, b := range map[string]faltest.Break{"lost": faltest.Lost, "cut": faltest.Cut} {
		s.Break(func(*http.Request) faltest.Break { return b })
		_, err := q.Submit(soon(t), job)
		taken++
		if err == nil || errors.Is(err, commands.ErrNotSent) || isFailure(err) || len(s.Jobs()) != taken {
			t.Errorf("%s: %v, %d jobs were taken", name, err, len(s.Jobs()))
		}
	}
	s.Break(nil)
	for _, status := range []int{200, 302, 307, 408, 500, 502, 503, 504} {
		s.Fault(func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", "https://queue.fal.run/fal-ai/other")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"detail":"Key `+faltest.Key+` is good"`)
			return true
		})
		_, err := q.Submit(soon(t), job)
		if err == nil || errors.Is(err, commands.ErrNotSent) || isFailure(err) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d: %v", status, err)
		}
	}
	if len(s.Jobs()) != taken {
		t.Errorf("%d jobs, not %d", len(s.Jobs()), taken)
	}
}

func nowhere(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("nobody is there")
}

// cutConn is a connection that ends before it is safe.
func cutConn(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	return here, there.Close()
}

// TestForeignAddresses: addresses that do not follow the job are not asked, and a job is not lost over them.
func TestForeignAddresses(t *testing.T) {
	q, s, _ := queueOn(t)
	for _, at := range []string{"https://evil.com/fal-ai/flux-kontext-lora/requests/abc", "http://queue.fal.run/fal-ai/flux-kontext-lora/requests/abc",
		"https://queue.fal.run/fal-ai/flux-kontext-lora/requests/other", "https://rest.fal.ai/fal-ai/flux-kontext-lora/requests/abc", "https://queue.fal.run/a/b/../requests/abc", ""} {
		s.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
			_ = json.NewEncoder(w).Encode(map[string]string{"request_id": "abc", "status_url": at + "/status", "response_url": at, "cancel_url": at + "/cancel"})
			return true
		})
		ref, err := q.Submit(soon(t), commands.Job{Model: pictureModel, Input: json.RawMessage(`{"prompt":"x"}`)})
		if want, _ := q.Ref(pictureModel, "abc"); err != nil || ref != want {
			t.Errorf("%s: %+v %v", at, ref, err)
		}
		bad := commands.JobRef{RequestID: "abc", StatusURL: at + "/status", ResponseURL: at, CancelURL: at + "/cancel"}
		s.Fault(nil)
		_, e1 := q.Status(soon(t), bad)
		_, e2 := q.Result(soon(t), bad)
		if e3 := q.Cancel(soon(t), bad); e1 == nil || e2 == nil || e3 == nil {
			t.Errorf("%s: %v %v %v", at, e1, e2, e3)
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests went out", n)
	}
	if ref, err := q.Ref("workflows/ann/sketch/more", "x-1"); err != nil || ref.ResponseURL != "https://queue.fal.run/workflows/ann/sketch/requests/x-1" || checkRef(ref) != nil {
		t.Errorf("%+v %v", ref, err)
	}
	for _, c := range [][2]string{{"fal-ai", "x"}, {"fal-ai/x", ""}, {"fal-ai/x", "../y"}, {"fal-ai/x", "a/b"}, {"workflows/ann", "x"}, {"", "x"}} {
		if ref, err := q.Ref(c[0], c[1]); err == nil {
			t.Errorf("%q: %+v", c, ref)
		}
	}
}

// TestWhyAJobFailed: what fal.ai says becomes a reason, once and for all or for another try.
func TestWhyAJobFailed(t *testing.T) {
	list := func(kind string) any {
		return map[string]any{"detail": []any{map[string]any{"loc": []any{"body", "prompt"}, "msg": "flagged: a naked cat", "type": kind, "input": "a naked cat"}}}
	}
	for name, c := range map[string]struct {
		plan      faltest.Plan
		code      string // "": nothing for good
		retryable bool
		billed    bool
	}{
		"input":             {faltest.Plan{Status: 422, Output: list("value_error")}, commands.FailedInput, false, true},
		"policy":            {faltest.Plan{Status: 422, Output: list("content_policy_violation")}, commands.FailedContentPolicy, false, true},
		"policy, bare list": {faltest.Plan{Status: 422, Output: list("content_policy_violation").(map[string]any)["detail"]}, commands.FailedContentPolicy, false, true},
		"model, 500":        {faltest.Plan{Status: 500, Output: list("internal_server_error")}, commands.FailedUpstream, true, false},
		"model, not again":  {faltest.Plan{Status: 500, Output: list("x"), Header: http.Header{"X-Fal-Retryable": {"false"}}}, commands.FailedUpstream, false, false},
		"timeout":           {faltest.Plan{Status: 504, Output: map[string]any{"detail": "Request timed out", "error_type": "request_timeout"}}, commands.FailedTimeout, true, false},
		"runner":            {faltest.Plan{Status: 503, Output: map[string]any{"detail": "gone", "error_type": "runner_disconnected"}}, commands.FailedUpstream, true, false},
		"no money":          {faltest.Plan{Status: 403, Output: map[string]any{"detail": "User is locked. Reason: Exhausted balance."}}, commands.FailedUpstream, true, true},
		"forgotten":         {faltest.Plan{Forget: true}, commands.FailedExpired, true, true},
		"a door":            {faltest.Plan{Status: 502, Output: "bad gateway"}, "", false, false},
		"our key":           {faltest.Plan{Status: 401, Output: map[string]any{"detail": "no"}}, "", false, false},
		"said by the state": {faltest.Plan{Status: 500, Output: map[string]any{"detail": "Internal Server Error"}, State: map[string]any{"error": "it broke", "error_type": "internal_error"}}, commands.FailedUpstream, true, false},
		"no object":         {faltest.Plan{Output: "text"}, "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			q, s, _ := queueOn(t)
			s.Plan(func(string, json.RawMessage) faltest.Plan { return c.plan })
			ref := submit(t, q, pictureModel, map[string]any{"prompt": "a naked cat"})
			s.Finish(ref.RequestID)
			_, err := q.Result(soon(t), ref)
			if c.code == "" {
				if err == nil || isFailure(err) {
					t.Errorf("%v", err)
				}
				return
			}
			f := failure(t, err)
			if f.Code != c.code || f.Retryable != c.retryable || f.Billed != c.billed || f.Detail == "" || strings.Contains(f.Detail, "cat") {
				t.Errorf("%+v", f)
			}
			if strings.Contains(name, "policy") && f.Said != "prompt: flagged: a naked cat" {
				t.Errorf("it says %q", f.Said)
			}
		})
	}
	q, s, _ := queueOn(t)
	s.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(422)
		_ = json.NewEncoder(w).Encode(map[string]any{"detail": strings.Repeat("ü\n", 4000)})
		return true
	})
	_, err := q.Submit(soon(t), commands.Job{Model: pictureModel, Input: json.RawMessage(`{"prompt":"x"}`)})
	if f := failure(t, err); f.Billed || f.Code != commands.FailedInput || len(f.Said) > maxSaid || len(f.Said) < maxSaid-4 || strings.Contains(f.Said, "\n") {
		t.Errorf("refused at once: %d bytes are kept of %+v", len(f.Said), f)
	}
}

func TestBrokenAnswersAboutAJob(t *testing.T) {
	q, s, _ := queueOn(t)
	ref := submit(t, q, pictureModel, map[string]any{"prompt": "x"})
	s.Finish(ref.RequestID)
	for _, b := range []faltest.Break{faltest.Lost, faltest.Cut} {
		s.Break(func(*http.Request) faltest.Break { return b })
		if _, err := q.Status(soon(t), ref); err == nil || isFailure(err) {
			t.Errorf("status: %v", err)
		}
		if _, err := q.Result(soon(t), ref); err == nil || isFailure(err) {
			t.Errorf("result: %v", err)
		}
		if err := q.Cancel(soon(t), ref); err == nil {
			t.Error("the answer to a cancel was lost, and nobody says so")
		}
	}
	s.Break(nil)
	if _, err := q.Result(soon(t), ref); err != nil {
		t.Errorf("asked again: %v", err)
	}
	s.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = w.Write(bytes.Repeat([]byte(" "), maxAnswer+1)) // the caller stops reading
		return true
	})
	if _, err := q.Result(soon(t), ref); failure(t, err).Code != commands.FailedResult {
		t.Errorf("too large: %v", err)
	}
}

func TestCancel(t *testing.T) {
	q, s, _ := queueOn(t)
	s.Plan(func(string, json.RawMessage) faltest.Plan { return faltest.Plan{Hold: true} })
	ref := submit(t, q, pictureModel, map[string]any{"prompt": "x"})
	for range 2 { // the second finds it over
		if err := q.Cancel(soon(t), ref); err != nil {
			t.Fatal(err)
		}
	}
	if !s.Jobs()[0].Canceled {
		t.Error("it goes on")
	}
	if st, err := q.Status(soon(t), ref); err != nil || st.State != commands.JobDone {
		t.Errorf("%+v %v", st, err)
	}
	_, err := q.Result(soon(t), ref)
	failure(t, err)
	unknown, _ := q.Ref(pictureModel, "unknown")
	if err := q.Cancel(soon(t), unknown); err != nil {
		t.Errorf("unknown: %v", err)
	}
	_, err = q.Status(soon(t), unknown)
	if failure(t, err).Code != commands.FailedExpired {
		t.Errorf("unknown: %v", err)
	}
}
