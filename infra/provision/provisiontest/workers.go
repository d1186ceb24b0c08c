package provisiontest

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"strings"
)

// workers is what wrangler deploy and provisioning ask.
func (c *Cloudflare) workers(r *request) (any, any, error) {
	switch {
	case r.is("GET", "subdomain"):
		if c.Subdomain == "" {
			return nil, nil, no(404, 10007, "There is no workers.dev subdomain associated with this account.")
		}
		return map[string]any{"subdomain": c.Subdomain}, nil, nil
	case r.is("PUT", "scripts", "*"):
		v, answer, err := c.upload(r)
		if err == nil {
			c.Workers[r.path[1]] = v
		}
		return answer, nil, err
	}
	if len(r.path) < 2 {
		return nil, nil, noRoute(r)
	}
	w := c.Workers[r.path[1]]
	if w == nil {
		return nil, nil, no(404, 10007, "This Worker does not exist on your account.")
	}
	switch {
	case r.is("POST", "scripts", "*", "versions"):
		v, answer, err := c.upload(r)
		w.next = v
		return answer, nil, err
	case r.is("POST", "scripts", "*", "deployments"):
		if w.next == nil {
			return nil, nil, no(400, 10021, "no such version")
		}
		*w = *w.next
		return map[string]any{"id": "d"}, nil, nil
	case r.is("PATCH", "scripts", "*", "script-settings"):
		return map[string]any{}, nil, nil
	case r.is("GET", "scripts", "*", "settings"):
		var bindings []any
		for name, text := range w.Vars {
			bindings = append(bindings, map[string]any{"type": "plain_text", "name": name, "text": text})
		}
		for name := range w.Secrets {
			bindings = append(bindings, map[string]any{"type": "secret_text", "name": name})
		}
		return map[string]any{"bindings": bindings}, nil, nil
	case r.is("GET", "services", "*"):
		return map[string]any{"id": r.path[1], "default_environment": map[string]any{"environment": "production", "script": map[string]any{"tag": "t", "last_deployed_from": "wrangler"}}}, nil, nil
	case r.is("GET", "workers", "*"):
		return map[string]any{"id": r.path[1], "name": r.path[1], "subdomain": map[string]any{"enabled": true, "previews_enabled": false}}, nil, nil
	case r.is("GET", "scripts", "*", "deployments"):
		return map[string]any{"deployments": []any{}}, nil, nil
	case r.is("GET", "scripts", "*", "subdomain"), r.is("POST", "scripts", "*", "subdomain"):
		return map[string]any{"enabled": true, "previews_enabled": true}, nil, nil
	case r.is("GET", "scripts", "*", "secrets"):
		var list []any
		for name := range w.Secrets {
			list = append(list, map[string]any{"name": name, "type": "secret_text"})
		}
		return list, nil, nil
	}
	return nil, nil, noRoute(r)
}

// upload takes a script as wrangler sends it: metadata with bindings, and the modules. Secrets that are not sent stay.
func (c *Cloudflare) upload(r *request) (w *Worker, answer any, err error) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, nil, no(400, 10021, "no multipart body")
	}
	var meta struct {
		MainModule string `json:"main_module"`
		Bindings   []struct{ Type, Name, Text string }
	}
	var code []byte
	for parts := multipart.NewReader(bytes.NewReader(r.body), params["boundary"]); ; {
		p, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		body, err := io.ReadAll(p)
		if err != nil {
			return nil, nil, err
		}
		if p.FormName() == "metadata" {
			if err := json.Unmarshal(body, &meta); err != nil {
				return nil, nil, no(400, 10021, "metadata is no JSON")
			}
		} else if strings.HasSuffix(p.FormName(), ".js") {
			code = body
		}
	}
	w = &Worker{Vars: map[string]string{}, Secrets: map[string]string{}, Code: code, Deploys: 1}
	if old := c.Workers[r.path[1]]; old != nil {
		w.Secrets, w.Deploys = maps.Clone(old.Secrets), old.Deploys+1
	}
	for _, b := range meta.Bindings {
		switch b.Type {
		case "plain_text":
			w.Vars[b.Name] = b.Text
		case "secret_text":
			w.Secrets[b.Name] = b.Text
		}
	}
	return w, map[string]any{"id": r.path[1], "resources": map[string]any{"script": map[string]any{"etag": "e"}}, "deployment_id": "d", "startup_time_ms": 1, "metadata": map[string]any{"author_email": "a@example.com"}, "number": w.Deploys}, nil
}
