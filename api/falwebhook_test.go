package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/fal"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

// heard is a listener that writes down what it is told; err is what it answers.
type heard struct {
	mu   sync.Mutex
	list []string
	err  error
}

func (h *heard) Heard(_ context.Context, room, generation, requestID string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return h.err
	}
	h.list = append(h.list, room+" "+generation+" "+requestID)
	return nil
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.list)
}

// withJobs has jobs of the stand-in reported to h.
func withJobs(t *testing.T, s *faltest.Server, h *heard) (func(*Config), *auth.JobWebhooks) {
	t.Helper()
	hooks, err := auth.NewJobWebhooks(testSecret, "https://rooms.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) {
		p, err := fal.New(fal.Config{Key: faltest.Key, Models: fal.Models{"*"}, Logger: c.Logger, Dial: s.Dial, TLS: s.TLS})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		c.FalWebhook, c.Jobs, c.JobWebhooks = fal.NewWebhook(p), h, hooks
	}, hooks
}

func pairs(h http.Header) (list []string) {
	for name := range h {
		list = append(list, name, h.Get(name))
	}
	return list
}

func TestFalTellsThatAJobIsOver(t *testing.T) {
	s, h := faltest.Start(t), &heard{}
	with, hooks := withJobs(t, s, h)
	w := newWorld(t, with)
	body := `{"request_id":"0199-a","status":"OK","payload":{}}`
	headers := pairs(s.Sign("0199-a", []byte(body), time.Now()))
	path := func(room, generation string) string {
		return strings.TrimPrefix(hooks.URL(room, generation), "https://rooms.example.com")
	}
	for range 2 {
		w.call("POST", path("r1", "g1"), "", body, headers...).ok(200)
	}
	if want := []string{"r1 g1 0199-a", "r1 g1 0199-a"}; !slices.Equal(h.all(), want) {
		t.Fatalf("%q", h.all())
	}
	good := path("r1", "g1")
	for _, p := range []string{strings.Replace(good, "r1", "r2", 1), strings.Replace(good, "g1", "g2", 1), good + "x", strings.Split(good, "?")[0], strings.Replace(good, "/r1/g1", "/r1%0Ag1/", 1),
		strings.Replace(path("r", "1-g1"), "/r/1-g1", "/r1/-g1", 1)} {
		w.call("POST", p, "", body, headers...).refused(404, "not_found")
	}
	w.call("POST", good, "", strings.Replace(body, "OK", "KO", 1), headers...).refused(401, "unauthenticated")
	w.call("POST", good, "", body).refused(401, "unauthenticated")
	w.call("POST", good, "", strings.Repeat("x", maxFalWebhook+1), headers...).refused(413, "too_large")
	noJob := `{"status":"OK"}`
	w.call("POST", good, "", noJob, pairs(s.Sign("x", []byte(noJob), time.Now()))...).refused(400, "bad_request")
	h.err = domain.Errorf(domain.CodeReadOnly, "the disk is full")
	w.call("POST", good, "", body, headers...).refused(503, "read_only")
	if len(h.all()) != 2 {
		t.Errorf("refused, and heard all the same: %q", h.all())
	}
	if _, code, _ := strings.Cut(good, "code="); strings.Contains(w.logs.String(), code) {
		t.Error("a job's address is in the log")
	}
	newWorld(t).call("POST", good, "", body, headers...).refused(404, "not_found") // not set up
}

// TestAJobReportsByItsAddress: the stand-in runs a job as fal.ai would, and sends its webhook to the address that the job was given.
func TestAJobReportsByItsAddress(t *testing.T) {
	s, h := faltest.Start(t), &heard{}
	with, hooks := withJobs(t, s, h)
	w := newWorld(t, with)
	s.Plan(func(string, json.RawMessage) faltest.Plan { return faltest.Plan{Hold: true} })
	res, err := (&http.Client{Transport: &http.Transport{DialContext: s.Dial, TLSClientConfig: s.TLS}}).Do(falSubmit(t, hooks.URL("r1", "g1")))
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != 200 {
		t.Fatal(res.Status, err)
	}
	id := s.Jobs()[0].ID
	if status, err := s.Deliver(id, w.server.URL); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	if want := []string{"r1 g1 " + id}; !slices.Equal(h.all(), want) {
		t.Errorf("%q", h.all())
	}
}

func falSubmit(t *testing.T, webhook string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), http.MethodPost, "https://queue.fal.run/fal-ai/x?fal_webhook="+strings.ReplaceAll(webhook, "?", "%3F"), strings.NewReader(falPrompt))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Key "+faltest.Key)
	return r
}

func TestJobsHaveWebhooksWhereTheyCanReach(t *testing.T) {
	for public, has := range map[string]bool{"": false, "http://rooms.example.com": false, "https://rooms.example.com": true} {
		hooks, err := auth.NewJobWebhooks(testSecret, public)
		if err != nil {
			t.Fatal(err)
		}
		if url := hooks.URL("r", "g"); (url != "") != has {
			t.Errorf("%q: %q", public, url)
		}
	}
	if _, err := auth.NewJobWebhooks([]byte("short"), ""); err == nil {
		t.Error("a short secret is taken")
	}
}
