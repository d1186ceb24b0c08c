// Package faulttest stands between a client and a server that speaks Cloudflare's API, for tests, and does to calls what networks and
// Cloudflare do to them on bad days.
package faulttest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is what happens to one call.
type Fault string

const (
	None       Fault = ""
	Delay      Fault = "delay"       // everything is right, but late
	CutBefore  Fault = "cut before"  // the connection is cut before the call arrived
	CutAfter   Fault = "cut after"   // the call is carried out, its answer is lost
	Late       Fault = "late"        // the connection is cut, and the call is carried out some time after that
	Limited    Fault = "429"         // with Retry-After
	FailBefore Fault = "500 before"  // the call did not arrive
	FailAfter  Fault = "500 after"   // the call was carried out
	PageBefore Fault = "1101 before" // an HTML page of Cloudflare's, the call did not arrive
	PageAfter  Fault = "1101 after"  // likewise, the call was carried out
	Malformed  Fault = "malformed"   // carried out, the answer's JSON breaks off
)

// All are the faults there are.
func All() []Fault {
	return []Fault{Delay, CutBefore, CutAfter, Late, Limited, FailBefore, FailAfter, PageBefore, PageAfter, Malformed}
}

// Plan decides what happens to a call. It may be called concurrently.
type Plan func(r *http.Request) Fault

// Random is a Plan that spoils one call in n at random, from a seed.
func Random(seed uint64, n int) Plan {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 4))
	all := All()
	return func(*http.Request) Fault {
		mu.Lock()
		defer mu.Unlock()
		if r.IntN(n) > 0 {
			return None
		}
		return all[r.IntN(len(all))]
	}
}

// Proxy passes calls on to a server. Its methods may be called concurrently.
type Proxy struct {
	URL string // in place of the server's

	target string
	client *http.Client
	late   sync.WaitGroup

	mu    sync.Mutex
	plan  Plan
	calls int
	done  map[Fault]int
}

// longest is the most a call is delayed, or carried out late.
const longest = 600 * time.Millisecond

// Start makes a Proxy before target (scheme and host), which ends with the test. Without a plan it spoils nothing.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{target: strings.TrimSuffix(target, "/"), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}, done: map[Fault]int{}}
	srv := httptest.NewServer(p)
	p.URL = srv.URL
	t.Cleanup(func() {
		p.Settle()
		srv.Close()
		p.client.CloseIdleConnections()
	})
	return p
}

// Use makes plan decide from now on; nil spoils nothing.
func (p *Proxy) Use(plan Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan = plan
}

// Settle waits until the calls that come late have arrived.
func (p *Proxy) Settle() { p.late.Wait() }

// Calls is how many came in.
func (p *Proxy) Calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// Faults is how many calls were spoilt, and by what.
func (p *Proxy) Faults() (total int, by map[Fault]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	by = map[Fault]int{}
	for f, n := range p.done {
		by[f] = n
		total += n
	}
	return total, by
}

func (p *Proxy) next(r *http.Request) (Fault, time.Duration) {
	p.mu.Lock()
	plan := p.plan
	p.calls++
	wait := rand.N(longest)
	p.mu.Unlock()
	if plan == nil {
		return None, 0
	}
	f := plan(r)
	if f != None {
		p.mu.Lock()
		p.done[f]++
		p.mu.Unlock()
	}
	return f, wait
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
	fault, wait := p.next(r)
	switch fault {
	case CutBefore:
		panic(http.ErrAbortHandler)
	case Late:
		again := r.Clone(context.WithoutCancel(r.Context()))
		p.late.Go(func() {
			time.Sleep(wait)
			_, _, _ = p.pass(again, body) // nobody is told
		})
		panic(http.ErrAbortHandler)
	case Limited:
		w.Header().Set("Retry-After", "0.05")
		reply(w, http.StatusTooManyRequests, "application/json", `{"success":false,"errors":[{"code":10429,"message":"Rate limited"}],"messages":[],"result":null}`)
		return
	case FailBefore:
		reply(w, http.StatusInternalServerError, "application/json", `{"success":false,"errors":[{"code":7500,"message":"internal error"}],"messages":[],"result":null}`)
		return
	case PageBefore:
		page(w)
		return
	case Delay:
		time.Sleep(wait)
	}
	res, answer, err := p.pass(r, body)
	if err != nil || fault == CutAfter {
		panic(http.ErrAbortHandler)
	}
	switch fault {
	case FailAfter:
		reply(w, http.StatusBadGateway, "text/plain", "")
	case PageAfter:
		page(w)
	case Malformed:
		reply(w, res.StatusCode, res.Header.Get("Content-Type"), string(answer[:len(answer)*2/3]))
	default:
		for name, values := range res.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(res.StatusCode)
		_, _ = w.Write(answer) // a client that is gone
	}
}

// pass makes the call to the server.
func (p *Proxy) pass(r *http.Request, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, p.target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header = r.Header.Clone()
	res, err := p.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res, answer, err
}

func reply(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a client that is gone
}

func page(w http.ResponseWriter) {
	reply(w, http.StatusInternalServerError, "text/html; charset=UTF-8", "<!DOCTYPE html><html><head><title>Worker threw exception | Cloudflare</title></head><body>Error code: 1101</body></html>")
}
