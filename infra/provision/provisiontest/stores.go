package provisiontest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

func (c *Cloudflare) r2(r *request) (any, any, error) {
	if c.NoR2 {
		return nil, nil, no(403, 10042, "Please enable R2 through the Cloudflare Dashboard.")
	}
	if r.is("POST", "buckets") {
		var in struct{ Name string }
		if err := r.json(&in); err != nil {
			return nil, nil, err
		}
		if c.Buckets[in.Name] != nil {
			return nil, nil, no(409, 10004, "The bucket you tried to create already exists, and you own it.")
		}
		c.Buckets[in.Name] = &Bucket{}
		return map[string]any{"name": in.Name}, nil, nil
	}
	if r.is("GET", "buckets") {
		list := []any{}
		for _, name := range slices.Sorted(maps.Keys(c.Buckets)) {
			list = append(list, map[string]any{"name": name})
		}
		return map[string]any{"buckets": list}, nil, nil
	}
	if len(r.path) < 2 || r.path[0] != "buckets" {
		return nil, nil, noRoute(r)
	}
	b := c.Buckets[r.path[1]]
	if b == nil {
		return nil, nil, no(404, 10006, "The specified bucket does not exist.")
	}
	switch {
	case r.is("GET", "buckets", "*"):
		return map[string]any{"name": r.path[1]}, nil, nil
	case r.is("GET", "buckets", "*", "cors") && b.CORS == nil:
		return nil, nil, no(404, 10059, "The CORS configuration does not exist.")
	case r.is("GET", "buckets", "*", "cors"):
		return map[string]any{"rules": b.CORS}, nil, nil
	case r.is("PUT", "buckets", "*", "cors"):
		return c.rules(r, &b.CORS)
	case r.is("GET", "buckets", "*", "lifecycle"):
		rules := b.Lifecycle
		if rules == nil {
			rules = json.RawMessage("[]")
		}
		return map[string]any{"rules": rules}, nil, nil
	case r.is("PUT", "buckets", "*", "lifecycle"):
		return c.rules(r, &b.Lifecycle)
	}
	return nil, nil, noRoute(r)
}

func (c *Cloudflare) rules(r *request, into *json.RawMessage) (any, any, error) {
	var in struct{ Rules json.RawMessage }
	if err := r.json(&in); err != nil {
		return nil, nil, err
	}
	if strings.Contains(string(in.Rules), `"*"`) { // R2 takes no * for headers
		return nil, nil, no(400, 10040, "The XML you provided was not well formed or did not validate against our published schema.")
	}
	*into = in.Rules
	return map[string]any{}, nil, nil
}

func (c *Cloudflare) kv(r *request) (any, any, error) {
	switch {
	case r.is("GET", "kv", "namespaces"):
		var list []map[string]any
		for _, n := range c.Namespaces {
			list = append(list, map[string]any{"id": n.ID, "title": n.Title, "supports_url_encoding": true})
		}
		part, info := page(r, list)
		return part, info, nil
	case r.is("POST", "kv", "namespaces"):
		var in struct{ Title string }
		if err := r.json(&in); err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(c.Namespaces, func(n *Namespace) bool { return n.Title == in.Title }) {
			return nil, nil, no(400, 10014, "a namespace with this account ID and title already exists")
		}
		n := &Namespace{strings.ReplaceAll(uuid.NewString(), "-", ""), in.Title}
		c.Namespaces = append(c.Namespaces, n)
		return map[string]any{"id": n.ID, "title": n.Title}, nil, nil
	}
	return nil, nil, noRoute(r)
}
