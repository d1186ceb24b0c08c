// Package provisiontest is a server that speaks the parts of Cloudflare's API that provisioning uses, as they are documented: envelopes,
// codes, pages, permissions. What it holds is real where it can be: a D1 database is SQLite. It can be told to fail.
package provisiontest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Account and Token are of the account that the server has.
const (
	Account   = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	Token     = "tok-3fJ0cQ9vW2mXyZ81aBcDeFgHiJkLmNoPqRsTuVwX"
	TokenID   = "c0ffee00c0ffee00c0ffee00c0ffee00"
	Subdomain = "kanvas-tests"
)

// Cloudflare is the running server. Its fields may be changed between calls, under Lock.
type Cloudflare struct {
	sync.Mutex
	URL string // base of the API

	Denied    []string // permissions that the token lacks, such as "D1:Edit"
	TokenIs   string   // its status: "active" at first
	NoR2      bool     // R2 was never enabled
	Subdomain string   // of workers.dev

	Databases  []*Database
	Buckets    map[string]*Bucket
	Namespaces []*Namespace
	Workers    map[string]*Worker

	t      testing.TB
	faults []*Fault
	calls  []string
}

// Namespace of KV.
type Namespace struct{ ID, Title string }

// Bucket of R2.
type Bucket struct{ CORS, Lifecycle json.RawMessage } // lists of rules; nil: none

// Worker is a deployed script.
type Worker struct {
	Vars, Secrets map[string]string
	Code          []byte
	Deploys       int

	next *Worker // uploaded, not yet deployed
}

// Start runs the server until the test ends.
func Start(t testing.TB) *Cloudflare {
	c := &Cloudflare{t: t, TokenIs: "active", Subdomain: Subdomain, Buckets: map[string]*Bucket{}, Workers: map[string]*Worker{}}
	srv := httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(srv.Close)
	t.Cleanup(c.closeDatabases)
	c.URL = srv.URL + "/client/v4"
	return c
}

// Calls are the calls since the last time it was asked, as "METHOD path" below the account.
func (c *Cloudflare) Calls() []string {
	c.Lock()
	defer c.Unlock()
	calls := c.calls
	c.calls = nil
	return calls
}

// Writes are those of Calls that change something. Queries of D1 count as such where they are no SELECT.
func Writes(calls []string) []string {
	return slices.DeleteFunc(slices.Clone(calls), func(s string) bool { return strings.HasPrefix(s, "GET ") || strings.HasSuffix(s, " SELECT") })
}

// refusal is an answer that is an error.
type refusal struct {
	status, code int
	message      string
}

func (r *refusal) Error() string { return r.message }

func no(status, code int, message string) *refusal { return &refusal{status, code, message} }

// request is one call, taken apart.
type request struct {
	*http.Request
	path []string // below /client/v4, unescaped
	body []byte
}

func (c *Cloudflare) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
	if err != nil {
		return
	}
	req := &request{Request: r, path: strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/client/v4"), "/"), "/"), body: body}
	c.Lock()
	defer c.Unlock()
	note := r.Method + " " + strings.TrimPrefix(strings.Join(req.path, "/"), "accounts/"+Account+"/")
	if strings.HasSuffix(note, "/query") && strings.Contains(string(body), `{"sql":"SELECT`) {
		note += " SELECT"
	}
	c.calls = append(c.calls, note)
	fault := c.fault(note)
	if fault != nil && !fault.Lost {
		fault.Answer(w)
		return
	}
	result, info, err := c.answer(req)
	if fault != nil {
		panic(http.ErrAbortHandler) // carried out, and nobody hears of it
	}
	write(w, result, info, err)
}

func write(w http.ResponseWriter, result, info any, err error) {
	env := map[string]any{"success": err == nil, "errors": []any{}, "messages": []any{}, "result": result}
	if info != nil {
		env["result_info"] = info
	}
	status := http.StatusOK
	if err != nil {
		var r *refusal
		if !errors.As(err, &r) {
			r = no(500, 10001, err.Error())
		}
		status, env["errors"], env["result"] = r.status, []any{map[string]any{"code": r.code, "message": r.message}}, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(env) // the client has gone
}

func (c *Cloudflare) answer(r *request) (result, info any, err error) {
	if got := r.Header.Get("Authorization"); got != "Bearer "+Token {
		if len(strings.TrimPrefix(got, "Bearer ")) < 20 {
			return nil, nil, no(400, 6003, "Invalid request headers")
		}
		return nil, nil, no(401, 1000, "Invalid API Token")
	}
	switch {
	case r.is("GET", "user", "tokens", "verify"):
		return map[string]any{"id": TokenID, "status": c.TokenIs}, nil, nil
	case len(r.path) < 3 || r.path[0] != "accounts":
		return nil, nil, noRoute(r)
	case r.path[1] != Account:
		return nil, nil, no(404, 7003, "Could not route to /accounts/"+r.path[1]+", perhaps your object identifier is invalid?")
	}
	product := map[string]struct {
		permission string
		serve      func(*request) (any, any, error)
	}{
		"d1":      {"D1:Edit", c.d1},
		"r2":      {"Workers R2 Storage:Edit", c.r2},
		"storage": {"Workers KV Storage:Edit", c.kv},
		"workers": {"Workers Scripts:Edit", c.workers},
	}[r.path[2]]
	if product.serve == nil {
		return nil, nil, noRoute(r)
	}
	if slices.Contains(c.Denied, product.permission) {
		return nil, nil, no(403, 10000, "Authentication error")
	}
	r.path = r.path[3:]
	return product.serve(r)
}

func noRoute(r *request) error {
	return no(404, 7000, fmt.Sprintf("No route for %s %s", r.Method, r.URL.Path))
}

// is compares method and path; "*" stands for any part.
func (r *request) is(method string, path ...string) bool {
	return r.Method == method && len(r.path) == len(path) && r.match(path)
}

func (r *request) match(path []string) bool {
	for i, p := range path {
		if p != "*" && p != r.path[i] {
			return false
		}
	}
	return true
}

func (r *request) json(into any) error {
	if err := json.Unmarshal(r.body, into); err != nil {
		return no(400, 9207, "Could not parse request body")
	}
	return nil
}

// page cuts a list as Cloudflare does.
func page[T any](r *request, all []T) (part []T, info any) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil && n > 0 {
			return n
		}
		return otherwise
	}
	at, size := number("page", 1), min(number("per_page", 20), 100)
	from := min((at-1)*size, len(all))
	part = all[from:min(from+size, len(all))]
	return part, map[string]any{"page": at, "per_page": size, "count": len(part), "total_count": len(all)}
}
