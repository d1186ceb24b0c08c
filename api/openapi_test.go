package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/infinite-kanvas/kanvas/api/openapi"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/clerk/clerktest"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

// document is what these tests read of the OpenAPI document.
type document struct {
	OpenAPI    string                                `json:"openapi"`
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	OperationID string                    `json:"operationId"`
	Responses   map[string]map[string]any `json:"responses"`
	RequestBody map[string]any            `json:"requestBody"`
	Parameters  []map[string]string       `json:"parameters"`
}

func readDocument(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(openapi.Document(), &d); err != nil || d.OpenAPI != "3.1.0" {
		t.Fatalf("%s %v", d.OpenAPI, err)
	}
	return d
}

var pathParam = regexp.MustCompile(`:(\w+)`)

// outsideDocument are the files of the page.
func outsideDocument(path string) bool {
	return path == "/" || path == "/r/:room" || path == "/invite" || strings.HasPrefix(path, "/assets/") || path == "/favicon.svg"
}

func TestDocumentAndRoutesAreTheSame(t *testing.T) {
	w := newWorld(t)
	d := readDocument(t)
	served, written := map[string]bool{}, map[string]bool{}
	for _, r := range w.api.echo.Routes() {
		if r.Method != http.MethodHead && !outsideDocument(r.Path) {
			served[r.Method+" "+pathParam.ReplaceAllString(r.Path, "{$1}")] = true
		}
	}
	for path, operations := range d.Paths {
		for method := range operations {
			written[strings.ToUpper(method)+" "+path] = true
		}
	}
	for r := range served {
		if !written[r] {
			t.Errorf("%s is served and not in the document", r)
		}
	}
	for r := range written {
		if !served[r] {
			t.Errorf("%s is in the document and not served", r)
		}
	}
}

func TestDocumentKnowsEveryCodeAndCommand(t *testing.T) {
	d := readDocument(t)
	var command struct {
		Properties struct {
			Command struct {
				Enum []string `json:"enum"`
			} `json:"command"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(d.Components.Schemas["Command"], &command); err != nil {
		t.Fatal(err)
	}
	for _, name := range command.Properties.Command.Enum {
		if _, err := domain.ParseCommand(name, json.RawMessage(`{}`)); err != nil && strings.Contains(err.Error(), "unknown command") {
			t.Errorf("%s is no command: %v", name, err)
		}
	}
	for _, name := range domain.CommandNames() {
		_, err := domain.ParseCommand(name, json.RawMessage(`{}`))
		forClients := err == nil || !strings.Contains(err.Error(), "unknown command")
		if listed := strings.Contains(" "+strings.Join(command.Properties.Command.Enum, " ")+" ", " "+name+" "); listed != forClients {
			t.Errorf("%s: in the document %v, for clients %v (%v)", name, listed, forClients, err)
		}
	}
}

// schemas validates answers against the document.
type schemas struct {
	t        *testing.T
	compiler *jsonschema.Compiler
	doc      document
	seen     map[string]bool // operation and status that were driven
}

func newSchemas(t *testing.T) *schemas {
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(openapi.Document()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("kanvas:///openapi.json", raw); err != nil {
		t.Fatal(err)
	}
	return &schemas{t, c, readDocument(t), map[string]bool{}}
}

func pointer(parts ...string) string {
	for i, p := range parts {
		parts[i] = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(p)
	}
	return "kanvas:///openapi.json#/" + strings.Join(parts, "/")
}

// check holds an answer against what the document says of the operation's status.
func (s *schemas) check(method, path string, a *answer) {
	s.t.Helper()
	method = strings.ToLower(method)
	var op operation
	if err := json.Unmarshal(s.doc.Paths[path][method], &op); err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	status := fmt.Sprint(a.status)
	s.seen[method+" "+path+" "+status] = true
	response, known := op.Responses[status]
	at := []string{"paths", path, method, "responses", status}
	kind := strings.Split(a.header.Get("Content-Type"), ";")[0]
	if !known {
		if a.status < 400 {
			s.t.Fatalf("%s %s: the document has no %d", method, path, a.status)
		}
		s.seen[method+" "+path+" default"] = true
		if kind != "application/problem+json" {
			s.t.Fatalf("%s %s: %d is no problem but %s", method, path, a.status, kind)
		}
		s.validate(pointer("components", "schemas", "Problem"), a)
		return
	}
	for name := range asMap(response["headers"]) {
		if a.header.Get(name) == "" {
			s.t.Errorf("%s %s: %d without %s", method, path, a.status, name)
		}
	}
	content := asMap(response["content"])
	if len(content) == 0 {
		if len(a.body) != 0 {
			s.t.Errorf("%s %s: %d has a body: %s", method, path, a.status, a.body)
		}
		return
	}
	if content[kind] == nil && content["*/*"] == nil {
		s.t.Fatalf("%s %s: %d is %q", method, path, a.status, kind)
	}
	if kind == "application/json" {
		s.validate(pointer(append(at, "content", kind, "schema")...), a)
	}
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func (s *schemas) validate(where string, a *answer) {
	s.t.Helper()
	schema, err := s.compiler.Compile(where)
	if err != nil {
		s.t.Fatalf("%s: %v", where, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
	if err != nil {
		s.t.Fatalf("%s: %q: %v", where, a.body, err)
	}
	if err := schema.Validate(value); err != nil {
		s.t.Errorf("%s: %s\n%v", where, a.body, err)
	}
}

// TestDocumentIsTrue drives every operation and every success of the document against a real server.
func TestDocumentIsTrue(t *testing.T) {
	ready := true
	clerk, falai := clerktest.Start(t), faltest.Start(t)
	withFalWebhook, hooks := withJobs(t, falai, &heard{})
	const falTold = `{"request_id":"x","status":"OK"}`
	w := newWorld(t, func(c *Config) { c.Ready = func(context.Context) []Check { return []Check{{Name: "log", OK: ready}} } }, withClerk(t), withFalWebhook)
	s := newSchemas(t)
	do := func(method, template, token string, body any, headers ...string) *answer {
		t.Helper()
		// The template's parameters are filled from headers that begin with "{".
		path, rest := template, []string{}
		for i := 0; i+1 < len(headers); i += 2 {
			if strings.HasPrefix(headers[i], "{") {
				path = strings.ReplaceAll(path, headers[i], headers[i+1])
			} else {
				rest = append(rest, headers[i], headers[i+1])
			}
		}
		query := ""
		for i := 0; i+1 < len(rest); i += 2 {
			if rest[i] == "?" {
				query = "?" + rest[i+1]
				rest = append(rest[:i:i], rest[i+2:]...)
			}
		}
		a := w.call(method, path+query, token, body, rest...)
		s.check(method, template, a)
		return a
	}
	ada, bob := w.guest("Ada"), w.guest("Bob")
	data, _ := picture(t)
	do("POST", "/v1/guests", "", cmd{"name": "Carol"}).ok(201)
	do("POST", "/v1/guests", "", cmd{}).ok(400)
	do("GET", "/v1/me", ada.token, nil).ok(200)
	do("GET", "/v1/me", "", nil).ok(401)
	do("GET", "/v1/me/spending", ada.token, nil).ok(200)
	do("GET", "/v1/me/spending", ada.token, nil, "?", "month=2026-13").ok(400)
	local := w.local("local_1")
	do("POST", "/v1/me/claim", local, cmd{"token": w.guest("Gus").token}).ok(200)
	do("GET", "/v1/me", local, nil).ok(200)
	do("POST", "/v1/me/claim", ada.token, cmd{"token": bob.token}).ok(403)
	told := clerkMessage("user.created", "user_1", "Ann", 1)
	do("POST", "/api/clerk", "", told, clerkHeaders(clerk, "msg_1", told)...).ok(200)
	do("POST", "/api/clerk", "", told).ok(401)
	job := func(code string) []string { return []string{"{room}", "r1", "{generation}", "g1", "?", "code=" + code} }
	_, code, _ := strings.Cut(hooks.URL("r1", "g1"), "code=")
	do("POST", "/api/fal/webhook/{room}/{generation}", "", falTold, append(job(code), pairs(falai.Sign("x", []byte(falTold), time.Now()))...)...).ok(200)
	do("POST", "/api/fal/webhook/{room}/{generation}", "", falTold, job("x")...).ok(404)
	do("POST", "/v1/rooms", ada.token, cmd{"id": "r1", "name": "R", "visibility": "public"}).ok(201)
	do("POST", "/v1/rooms", ada.token, cmd{"id": "r1", "name": "R", "visibility": "public"}).ok(200)
	do("POST", "/v1/rooms", bob.token, cmd{"id": "r1", "name": "R", "visibility": "public"}).ok(409)
	do("GET", "/v1/rooms", "", nil, "?", "min_revision=1&limit=1").ok(200)
	do("GET", "/v1/rooms", "", nil, "?", "limit=x").ok(400)
	one := []string{"{id}", "r1"}
	with := func(more ...string) []string { return append(append([]string{}, one...), more...) }
	do("GET", "/v1/rooms/{id}", bob.token, nil, one...).ok(200)
	do("GET", "/v1/rooms/{id}", bob.token, nil, "{id}", "nope").ok(404)
	do("GET", "/v1/rooms/{id}/spending", ada.token, nil, with("?", "month=2026-01")...).ok(200)
	do("GET", "/v1/rooms/{id}/spending", ada.token, nil, one...).ok(200)
	do("GET", "/v1/rooms/{id}/spending", bob.token, nil, one...).ok(403)
	do("PATCH", "/v1/rooms/{id}", ada.token, cmd{"name": "New"}, one...).ok(200)
	do("PATCH", "/v1/rooms/{id}", bob.token, cmd{"name": "New"}, one...).ok(403)
	do("POST", "/v1/rooms/{id}/rotate-key", ada.token, nil, one...).ok(200)
	do("POST", "/v1/rooms/{id}/rotate-key", bob.token, nil, one...).ok(403)
	do("POST", "/v1/rooms/{id}/tickets", ada.token, nil, one...).ok(201)
	do("POST", "/v1/rooms/{id}/tickets", "", nil, one...).ok(401)
	list := commandsBody(addText("a", "x"), cmd{"command": "element.add", "data": cmd{"element": cmd{"id": "p", "type": "image", "src": data}}},
		cmd{"command": "chat.post", "data": cmd{"text": "hi"}}, cmd{"command": "comment.add", "data": cmd{"id": "c1", "x": 1, "y": 2, "text": "look"}},
		cmd{"command": "element.remove", "data": cmd{"ids": []string{"a", "never"}}})
	do("POST", "/v1/rooms/{id}/commands", ada.token, list, with("Idempotency-Key", "k")...).ok(200)
	do("POST", "/v1/rooms/{id}/commands", ada.token, list, with("Idempotency-Key", "k")...).ok(200)
	do("POST", "/v1/rooms/{id}/commands", ada.token, commandsBody(cmd{"command": "undo"}), one...).ok(200)
	do("POST", "/v1/rooms/{id}/commands", ada.token, "{", one...).ok(400)
	canvas := do("GET", "/v1/rooms/{id}/canvas", ada.token, nil, one...).ok(200)
	do("GET", "/v1/rooms/{id}/canvas", ada.token, nil, with("If-None-Match", canvas.header.Get("ETag"))...).ok(304)
	do("GET", "/v1/rooms/{id}/canvas", ada.token, nil, with("?", "at=x")...).ok(400)
	do("GET", "/v1/rooms/{id}/events", ada.token, nil, one...).ok(200)
	do("GET", "/v1/rooms/{id}/events", ada.token, nil, with("?", "after=x")...).ok(400)
	do("PUT", "/v1/rooms/{id}/participants/{user}", ada.token, cmd{"role": "viewer"}, with("{user}", bob.id)...).ok(200)
	do("PUT", "/v1/rooms/{id}/participants/{user}", ada.token, cmd{"role": "x"}, with("{user}", bob.id)...).ok(400)
	do("GET", "/v1/rooms/{id}/participants", ada.token, nil, with("?", "limit=1&min_revision=1")...).ok(200)
	do("GET", "/v1/rooms/{id}/participants", ada.token, nil, "{id}", "nope").ok(404)
	do("DELETE", "/v1/rooms/{id}/participants/{user}", ada.token, nil, with("{user}", bob.id)...).ok(204)
	do("DELETE", "/v1/rooms/{id}/participants/{user}", "", nil, with("{user}", bob.id)...).ok(401)
	dan := w.guest("Dan")
	invite := do("POST", "/v1/rooms/{id}/invites", ada.token, cmd{"role": "commenter", "uses": 3, "expires_at": "2099-01-01T00:00:00Z"}, one...).ok(201)
	do("POST", "/v1/rooms/{id}/invites", ada.token, cmd{"role": "owner"}, one...).ok(400)
	do("GET", "/v1/rooms/{id}/invites", ada.token, nil, one...).ok(200)
	do("GET", "/v1/rooms/{id}/invites", dan.token, nil, one...).ok(403)
	do("POST", "/v1/invites/{code}", dan.token, nil, "{code}", invite.str("code")).ok(200)
	do("POST", "/v1/invites/{code}", dan.token, nil, "{code}", "nope").ok(404)
	do("DELETE", "/v1/rooms/{id}/invites/{invite}", ada.token, nil, with("{invite}", invite.str("id"))...).ok(204)
	do("DELETE", "/v1/rooms/{id}/invites/{invite}", ada.token, nil, with("{invite}", invite.str("id"))...).ok(404)
	do("POST", "/v1/rooms/{id}/transfer", ada.token, cmd{"user_id": dan.id}, one...).ok(200)
	do("POST", "/v1/rooms/{id}/transfer", dan.token, cmd{"user_id": ada.id}, one...).ok(200)
	do("POST", "/v1/rooms/{id}/transfer", dan.token, cmd{"user_id": ada.id}, one...).ok(403)
	var elements []any
	if elements = canvas.list("elements"); len(elements) == 0 { // the undo took all of the list back
		do("POST", "/v1/rooms/{id}/commands", ada.token, commandsBody(cmd{"command": "redo"}), one...).ok(200)
		elements = do("GET", "/v1/rooms/{id}/canvas", ada.token, nil, one...).list("elements")
	}
	asset := strings.TrimPrefix(elements[0].(cmd)["src"].(string), "/v1/assets/")
	bytesOf := do("GET", "/v1/assets/{id}", "", nil, "{id}", asset).ok(200)
	do("GET", "/v1/assets/{id}", "", nil, "{id}", asset, "Range", "bytes=0-3").ok(206)
	do("GET", "/v1/assets/{id}", "", nil, "{id}", asset, "Range", "bytes=999999-").ok(416)
	do("GET", "/v1/assets/{id}", "", nil, "{id}", asset, "If-None-Match", bytesOf.header.Get("ETag")).ok(304)
	do("GET", "/v1/assets/{id}", "", nil, "{id}", "nope").ok(404)
	s.driveUploads(w, do, ada)
	do("GET", "/v1/rooms/{id}/assets", ada.token, nil, "{id}", "r1", "?", "limit=1").ok(200)
	do("GET", "/v1/rooms/{id}/assets", ada.token, nil, "{id}", "r1", "?", "limit=x").ok(400)
	s.driveGenerations(t)
	update := cmd{"type": "canvas_update", "hash": "h"}
	do("POST", "/parties/{party}/{room}", "", update, "{party}", "main", "{room}", "r1").ok(200)
	do("POST", "/parties/{party}/{room}", "", update, "{party}", "main", "{room}", "nope").ok(404)
	do("POST", "/party/{room}", "", update, "{room}", "r1").ok(200)
	do("POST", "/party/{room}", "", "{", "{room}", "r1").ok(400)
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	sockets := []string{"/v1/rooms/{id}/ws", "/parties/{party}/{room}", "/party/{room}"}
	for _, template := range sockets {
		path := strings.NewReplacer("{id}", "r1", "{party}", "main", "{room}", "r1").Replace(template)
		res := w.open("GET", path, "", nil, append(upgrade, "Sec-WebSocket-Protocol", "kanvas.v1")...)
		res.Body.Close()
		s.check("GET", template, &answer{t, res.StatusCode, res.Header, nil})
		s.seen["get "+template+" default"] = true // refusals of sockets are the hub's, tested there
	}
	do("DELETE", "/v1/rooms/{id}", ada.token, nil, one...).ok(204)
	do("DELETE", "/v1/rooms/{id}", ada.token, nil, one...).ok(404)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json"} {
		do("GET", path, "", nil).ok(200)
		s.seen["get "+path+" default"] = true // these refuse nobody
	}
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		do(method, "/api/fal", "", nil).ok(401)
		for _, status := range []string{"200", "429"} { // fal.ai's own answers and plain text, tested with it
			s.seen[strings.ToLower(method)+" /api/fal "+status] = true
		}
	}
	ready = false
	do("GET", "/readyz", "", nil).ok(503)
	s.complete()
}

// driveUploads sends a picture.
func (s *schemas) driveUploads(w *world, do func(method, path, token string, body any, more ...string) *answer, p person) {
	s.t.Helper()
	data := pngOf(s.t, noise(9, 9, 1))
	u := w.asked(p, do("POST", "/v1/assets", p.token, cmd{"name": "a.png", "content_type": "image/png", "size": len(data)}).ok(201))
	do("POST", "/v1/assets", p.token, cmd{}).ok(400)
	large := do("POST", "/v1/assets", p.token, cmd{"content_type": "video/mp4", "size": 20 << 20}).ok(201).json()["asset"].(cmd)["id"].(string)
	do("GET", "/v1/assets/{id}/upload", p.token, nil, "{id}", large).ok(200)
	do("DELETE", "/v1/assets/{id}", p.token, nil, "{id}", large).ok(204)
	do("GET", "/v1/assets/{id}/upload", p.token, nil, "{id}", large).ok(409)
	do("DELETE", "/v1/assets/{id}", p.token, nil, "{id}", "nope").ok(404)
	s.check("PUT", "/v1/uploads/{id}/{part}", u.put(u.urls[0], data).ok(200))
	s.check("PUT", "/v1/uploads/{id}/{part}", u.put(u.urls[0]+"x", data).ok(403))
	do("POST", "/v1/assets/{id}/complete", p.token, nil, "{id}", u.id).ok(200)
	do("POST", "/v1/assets/{id}/complete", p.token, nil, "{id}", "nope").ok(404)
}

// complete reports what of the document was not driven.
func (s *schemas) complete() {
	s.t.Helper()
	var missing []string
	for path, operations := range s.doc.Paths {
		for method, raw := range operations {
			var op operation
			if err := json.Unmarshal(raw, &op); err != nil {
				s.t.Fatal(err)
			}
			for status := range op.Responses {
				if key := method + " " + path + " " + status; !s.seen[key] {
					missing = append(missing, key)
				}
			}
		}
	}
	sort.Strings(missing)
	for _, m := range missing {
		s.t.Errorf("%s was not driven", m)
	}
}
