// Package clerktest plays Clerk's part in tests, by the npm packages jose, @clerk/backend and svix themselves in a Node process.
package clerktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/nodetest"
)

// Clerk is an instance of Clerk. Safe for concurrent use.
type Clerk struct {
	t    testing.TB
	mu   sync.Mutex
	node *nodetest.Script
}

// Start starts the Node process; it ends with the test.
func Start(t testing.TB) *Clerk {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	return &Clerk{t: t, node: nodetest.Start(t, filepath.Join(filepath.Dir(file), "npm"), "clerk.mjs", "jose", nil)}
}

// ask sends one request and reads its answer.
func (c *Clerk) ask(what string, args map[string]any, into any) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	args["do"] = what
	b, err := json.Marshal(args)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.node.In.Write(append(b, '\n')); err != nil {
		c.t.Fatalf("node: %v", err)
	}
	if !c.node.Out.Scan() {
		c.t.Fatalf("node has ended: %v", c.node.Out.Err())
	}
	line := c.node.Out.Bytes()
	var failed struct{ Error string }
	if json.Unmarshal(line, &failed) == nil && failed.Error != "" {
		c.t.Fatalf("node: %s: %s", what, failed.Error)
	}
	if err := json.Unmarshal(line, into); err != nil {
		c.t.Fatalf("node: %s: %v", line, err)
	}
}

// Key is a signing key; Name is its key id too.
type Key struct {
	Name string
	JWK  json.RawMessage
	PEM  string
}

// Key makes a key. kid "" is the name.
func (c *Clerk) Key(name, kid string) Key {
	c.t.Helper()
	args := map[string]any{"name": name}
	if kid != "" {
		args["kid"] = kid
	}
	k := Key{Name: name}
	c.ask("key", args, &k)
	return k
}

// Claims of a token.
type Claims = map[string]any

// Token is a session token signed by a key. header members that are nil are left out; alg "" is RS256; secret, where not "", signs by HMAC.
func (c *Clerk) Token(k Key, header, claims Claims, alg, secret string) string {
	c.t.Helper()
	args := map[string]any{"key": k.Name, "claims": claims}
	if header != nil {
		args["header"] = header
	}
	if alg != "" {
		args["alg"] = alg
	}
	if secret != "" {
		args["secret"] = secret
	}
	var a struct{ Token string }
	c.ask("token", args, &a)
	return a.Token
}

// Accepts reports what Clerk's own backend package says of a token, and why not.
func (c *Clerk) Accepts(k Key, token string, parties []string) (bool, string) {
	c.t.Helper()
	var a struct {
		OK     bool
		Reason string
	}
	c.ask("verdict", map[string]any{"key": k.Name, "token": token, "parties": parties}, &a)
	return a.OK, a.Reason
}

// Webhook signs a message at a Unix time in seconds and returns its headers.
func (c *Clerk) Webhook(secret, id string, at int64, body string) http.Header {
	c.t.Helper()
	var a struct{ Headers map[string]string }
	c.ask("webhook", map[string]any{"secret": secret, "id": id, "at": at, "body": body}, &a)
	h := http.Header{}
	for name, value := range a.Headers {
		h.Set(name, value)
	}
	return h
}

// Set is the published form of keys.
func Set(keys ...Key) []byte {
	list := make([]json.RawMessage, len(keys))
	for i, k := range keys {
		list[i] = k.JWK
	}
	b, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		panic(fmt.Sprintf("clerktest: %v", err)) // keys came as JSON
	}
	return b
}
