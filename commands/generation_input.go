package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// maxInputDepth bounds how deep a model's input may be nested.
const maxInputDepth = 16

// asked is what somebody wants of a model, as it is sealed. Files of ours are named "asset:" and the id in it.
type asked struct {
	Prompt string         `json:"prompt"`
	Input  map[string]any `json:"input"` // numbers are json.Number; never nil once read
}

func readAsked(text string) (a asked, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&a); err != nil {
		return a, fmt.Errorf("what was asked for: %w", err)
	}
	if a.Input == nil {
		a.Input = map[string]any{}
	}
	return a, nil
}

// body is the input as a model takes it.
func (a *asked) body() json.RawMessage {
	in := a.Input
	if a.Prompt != "" {
		in = make(map[string]any, len(a.Input)+1)
		for k, v := range a.Input {
			in[k] = v
		}
		in["prompt"] = a.Prompt
	}
	b, err := json.Marshal(in)
	if err != nil {
		panic("commands: input of a model: " + err.Error()) // it was read from JSON
	}
	return b
}

// rewrite replaces the strings of a JSON value by what fn makes of them; key is the name of the member that they are of, or in the list of.
func rewrite(key string, v any, fn func(key, s string) (string, error)) (any, error) {
	var err error
	switch v := v.(type) {
	case string:
		return fn(key, v)
	case []any:
		for i := range v {
			if v[i], err = rewrite(key, v[i], fn); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = rewrite(k, v[k], fn); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// readInput reads and cleans what somebody asks for: pictures in it become assets, those that it names must be the caller's to see, and other addresses are
// of fal.ai's public files. assets are their names, sorted.
func (p *Preparation) readInput(ctx context.Context, b by, prompt string, raw json.RawMessage) (a asked, assets []string, err error) {
	a = asked{Prompt: prompt, Input: map[string]any{}}
	if len(raw) > 0 && string(raw) != "null" {
		if err := events.CheckJSON(raw, maxInputDepth); err != nil {
			return a, nil, domain.Errorf(domain.CodeBadRequest, "input: %v", err)
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&a.Input); err != nil || a.Input == nil {
			return a, nil, domain.Errorf(domain.CodeBadRequest, "input: must be an object")
		}
	}
	if within, has := a.Input["prompt"]; has {
		text, ok := within.(string)
		if !ok || prompt != "" && prompt != text {
			return a, nil, domain.Errorf(domain.CodeBadRequest, "input.prompt: must be a string, and the same as prompt")
		}
		delete(a.Input, "prompt")
		a.Prompt = text
	}
	found := map[string]bool{}
	_, err = rewrite("", a.Input, func(key, s string) (string, error) {
		s, err := p.inputString(ctx, b, key, s)
		if err == nil && strings.HasPrefix(s, assetScheme) {
			found[s] = true
		}
		return s, err
	})
	if err != nil {
		return a, nil, err
	}
	for name := range found {
		assets = append(assets, name)
	}
	slices.Sort(assets)
	if len(assets) > domain.MaxGenerationFiles {
		return a, nil, domain.Errorf(domain.CodeTooLarge, "input: names more than %d files", domain.MaxGenerationFiles)
	}
	return a, assets, nil
}

// inputString returns what stands in a sealed input for a string that came.
func (p *Preparation) inputString(ctx context.Context, b by, key, s string) (string, error) {
	if isDataURL([]byte(s[:min(len(s), 5)])) {
		id, err := p.cfg.Assets.Store(ctx, b.room, b.actor, []byte(s))
		return assetScheme + id, err
	}
	if !meansAddress(key, s) {
		return s, nil
	}
	src, err := p.readAddress(s)
	if err != nil {
		return "", domain.Errorf(domain.CodeBadRequest, "input.%.64s: neither words nor an address that is known here", key)
	}
	if src.kind == assetSource {
		return assetScheme + src.asset, p.mayUse(ctx, b, src.asset)
	}
	return s, publicFile(key, s)
}

// meansAddress reports whether the other side may take a string for an address, however it is written. The rest are words.
func meansAddress(key, s string) bool {
	s = strings.ToLower(strings.TrimFunc(s, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }))
	switch {
	case s == "":
		return false
	case strings.HasSuffix(key, "url"), strings.HasSuffix(key, "urls"):
		return true
	case strings.ContainsFunc(s, unicode.IsSpace):
		return false
	}
	for _, begin := range [...]string{assetScheme, assetPath, "http:", "https:", "//", `\\`, `/\`} {
		if strings.HasPrefix(s, begin) {
			return true
		}
	}
	return strings.Contains(s, "://")
}

// mayUse refuses a file that the caller can't see, as one that is not there.
func (p *Preparation) mayUse(ctx context.Context, b by, id string) error {
	none := domain.Errorf(domain.CodeNotFound, "input: there is no asset %s", id)
	a, err := p.cfg.Assets.fold(ctx, id)
	if err != nil {
		return err
	}
	if !a.Shown() {
		return none
	}
	switch err := p.mayOpen(ctx, b, id, &a); {
	case isCode(err, domain.CodeForbidden):
		return none
	case err != nil:
		return err
	}
	return p.cfg.Assets.useAgain(ctx, id, &a)
}

// publicFile refuses addresses that fal.ai's servers would fetch for us elsewhere than among its own public files. Weights of a style ("loras":[{"path"}])
// may be where the front end has them.
func publicFile(key, address string) error {
	u, err := url.Parse(address)
	host := ""
	if err == nil && u.Scheme == "https" && u.User == nil && u.Port() == "" {
		host = strings.ToLower(u.Hostname())
	}
	if host == "fal.media" || strings.HasSuffix(host, ".fal.media") || host == "huggingface.co" && key == "path" {
		return nil
	}
	return domain.Errorf(domain.CodeBadRequest, "input.%.64s: only files of this server and of fal.media may be named", key)
}

// jobInput makes the input of a job: what is ours is given to the queue's side to read. ErrNoObject where a file is gone.
func (g *Generations) jobInput(ctx context.Context, a *asked) (json.RawMessage, error) {
	sent := map[string]string{} // addresses of assets
	in, err := rewrite("", clone(a.Input), func(_, s string) (string, error) {
		id, ours := strings.CutPrefix(s, assetScheme)
		if !ours || !events.ValidStreamID(id) {
			return s, nil
		}
		if sent[id] == "" {
			address, err := g.give(ctx, id)
			if err != nil {
				return "", err
			}
			sent[id] = address
		}
		return sent[id], nil
	})
	if err != nil {
		return nil, err
	}
	ready := asked{Prompt: a.Prompt, Input: in.(map[string]any)}
	return ready.body(), nil
}

// clone copies what rewrite would change in place.
func clone(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = clone(v[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for k := range v {
			m[k] = clone(v[k])
		}
		return m
	}
	return v
}

// give uploads an asset to where the queue's side reads it.
func (g *Generations) give(ctx context.Context, id string) (address string, err error) {
	a, err := g.cfg.Uploads.fold(ctx, id)
	if err != nil {
		return "", err
	}
	if !a.Shown() {
		return "", fmt.Errorf("asset %s is %s: %w", id, a.Status, ErrNoObject)
	}
	if err := g.copies.Acquire(ctx, 1); err != nil {
		return "", err
	}
	defer g.copies.Release(1)
	body, _, err := g.cfg.Objects.Get(ctx, a.Stored.Key, 0, -1)
	if err != nil {
		return "", err
	}
	address, err = g.cfg.Jobs.Upload(ctx, path.Base(a.Stored.Key), a.Stored.ContentType, a.Stored.Size, body)
	return address, errors.Join(err, body.Close())
}

// openNamed opens a picture that an input names: one of ours, or one of the queue's side.
func (g *Generations) openNamed(ctx context.Context, name string) (io.ReadCloser, error) {
	id, ours := strings.CutPrefix(name, assetScheme)
	if !ours {
		body, _, _, err := g.cfg.Jobs.Fetch(ctx, name)
		return body, err
	}
	a, err := g.cfg.Uploads.fold(ctx, id)
	if err != nil {
		return nil, err
	}
	if !a.Shown() {
		return nil, fmt.Errorf("asset %s is %s: %w", id, a.Status, ErrNoObject)
	}
	body, _, err := g.cfg.Objects.Get(ctx, a.Stored.Key, 0, -1)
	return body, err
}
