package fal

import (
	"errors"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

func newProxy(t testing.TB, c Config) *Proxy {
	t.Helper()
	if c.Models == nil {
		c.Models = Models{"fal-ai/flux-kontext-lora", "fal-ai/bria/background"}
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestCalls(t *testing.T) {
	p := newProxy(t, Config{Key: "k"})
	for _, c := range []struct {
		method, target string
		kind           commands.FalKind
		model          string
	}{
		{"POST", "https://fal.run/fal-ai/flux-kontext-lora", commands.FalRun, "fal-ai/flux-kontext-lora"},
		{"POST", "https://FAL.run/fal-ai/flux-kontext-lora/", commands.FalRun, "fal-ai/flux-kontext-lora"},
		{"GET", "https://fal.run/fal-ai/flux-kontext-lora?prompt=x", commands.FalRun, "fal-ai/flux-kontext-lora"},
		{"PUT", "https://fal.run/fal-ai/flux-kontext-lora", commands.FalRun, "fal-ai/flux-kontext-lora"},
		{"POST", "https://fal.run/fal-ai/flux-kontext-lora/stream", commands.FalRun, "fal-ai/flux-kontext-lora/stream"},
		{"POST", "https://queue.fal.run/fal-ai/bria/background/remove", commands.FalRun, "fal-ai/bria/background/remove"},
		{"GET", "https://queue.fal.run/fal-ai/bria/requests/019-a/status?logs=1", commands.FalFollow, ""},
		{"GET", "https://queue.fal.run/fal-ai/bria/requests/019-a/status/stream", commands.FalFollow, ""},
		{"GET", "https://queue.fal.run/fal-ai/bria/requests/019-a", commands.FalFollow, ""},
		{"PUT", "https://queue.fal.run/fal-ai/bria/requests/019-a/cancel", commands.FalFollow, ""},
		// What only looks like a job is a call of the model.
		{"POST", "https://queue.fal.run/fal-ai/flux-kontext-lora/requests/019-a", commands.FalRun, "fal-ai/flux-kontext-lora/requests/019-a"},
		{"POST", "https://queue.fal.run/fal-ai/flux-kontext-lora/requests/019-a/cancel", commands.FalRun, "fal-ai/flux-kontext-lora/requests/019-a/cancel"},
		{"GET", "https://queue.fal.run/fal-ai/flux-kontext-lora/requests/019-a/other", commands.FalRun, "fal-ai/flux-kontext-lora/requests/019-a/other"},
		{"GET", "https://fal.run/fal-ai/flux-kontext-lora/requests/019-a/status", commands.FalRun, "fal-ai/flux-kontext-lora/requests/019-a/status"},
		{"POST", "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3", commands.FalUpload, ""},
		{"POST", "https://rest.fal.ai/storage/upload/initiate-multipart?storage_type=fal-cdn-v3", commands.FalUpload, ""},
		{"GET", "https://v3.fal.media/files/a/b%20c.png", commands.FalFile, ""},
		{"PUT", "https://v3b.fal.media/files/a/b.png?signature=x", commands.FalFile, ""},
	} {
		got, err := p.Call(c.method, c.target, false)
		if err != nil || got.Kind != c.kind || got.Model != c.model {
			t.Errorf("%s %s: %s %q %v", c.method, c.target, got.Kind, got.Model, err)
		}
	}
}

func TestRefusedTargets(t *testing.T) {
	p := newProxy(t, Config{Key: "k"})
	const model = "/fal-ai/flux-kontext-lora"
	anybody := map[string]domain.Code{ // whoever's key
		"":                                     domain.CodeBadRequest,
		"http://fal.run" + model:               domain.CodeForbidden,
		"ftp://fal.run" + model:                domain.CodeForbidden,
		"//fal.run" + model:                    domain.CodeForbidden,
		"fal.run" + model:                      domain.CodeForbidden,
		"https:fal.run" + model:                domain.CodeBadRequest,
		"https://fal.run@evil.com" + model:     domain.CodeForbidden,
		"https://user:pw@fal.run" + model:      domain.CodeForbidden,
		"https://@fal.run" + model:             domain.CodeForbidden,
		"https://evil.com" + model:             domain.CodeForbidden,
		"https://evil.com/fal.run":             domain.CodeForbidden,
		"https://fal.run.evil.com" + model:     domain.CodeForbidden,
		"https://evilfal.run" + model:          domain.CodeForbidden,
		"https://evil-fal.ai/":                 domain.CodeForbidden,
		"https://evilfal.media/x":              domain.CodeForbidden,
		"https://fal.run." + model:             domain.CodeForbidden,
		"https://fal.run:443" + model:          domain.CodeForbidden,
		"https://fal.run:8443" + model:         domain.CodeForbidden,
		"https://fal.run:" + model:             domain.CodeForbidden,
		"https://127.0.0.1" + model:            domain.CodeForbidden,
		"https://[::1]" + model:                domain.CodeForbidden,
		"https://2130706433" + model:           domain.CodeForbidden,
		"https://0x7f.1" + model:               domain.CodeForbidden,
		"https://169.254.169.254/latest":       domain.CodeForbidden,
		"https://localhost" + model:            domain.CodeForbidden,
		"https://.fal.run" + model:             domain.CodeForbidden,
		"https://a..fal.run" + model:           domain.CodeForbidden,
		"https://-a.fal.run" + model:           domain.CodeForbidden,
		"https://fal.run%2eevil.com/":          domain.CodeBadRequest,
		"https://fal%2erun" + model:            domain.CodeBadRequest,
		"https://ｆal.run" + model:              domain.CodeBadRequest,
		"https://fal.run\\@evil.com/":          domain.CodeBadRequest,
		"https://fal.run" + model + "#x":       domain.CodeBadRequest,
		"https://fal.run" + model + "#":        domain.CodeBadRequest,
		" https://fal.run" + model:             domain.CodeBadRequest,
		"https://fal.run" + model + "\r\nX: y": domain.CodeBadRequest,
		"https://fal.run" + model + "/" + strings.Repeat("a", maxTarget): domain.CodeTooLarge,
		"https://fal.run/fal-ai/../secret":                               domain.CodeBadRequest,
		"https://fal.run/fal-ai//x":                                      domain.CodeBadRequest,
		"https://fal.run/fal-ai/%2e%2e/x":                                domain.CodeBadRequest,
		"https://fal.run/fal-ai%2fx":                                     domain.CodeBadRequest,
		"https://fal.run/.hidden/x":                                      domain.CodeBadRequest,
		"https://fal.run/":                                               domain.CodeBadRequest,
		"https://fal.run":                                                domain.CodeBadRequest,
		"https://fal.run/fal-ai;x/y":                                     domain.CodeBadRequest,
	}
	withServersKey := map[string]domain.Code{
		"https://fal.run/fal-ai/flux-kontext-lora-pro":                  domain.CodeForbidden,
		"https://fal.run/fal-ai/flux":                                   domain.CodeForbidden,
		"https://fal.run/fal-ai":                                        domain.CodeForbidden,
		"https://fal.run/fal-ai/bria/video":                             domain.CodeForbidden,
		"https://queue.fal.run/fal-ai/other/requests/x/status":          domain.CodeForbidden,
		"https://queue.fal.run" + model + "?fal_webhook=https://evil":   domain.CodeForbidden,
		"https://queue.fal.run" + model + "?a=b&fal%5Fwebhook=https://": domain.CodeForbidden,
		"https://rest.fal.ai/tokens/":                                   domain.CodeForbidden,
		"https://rest.fal.ai/storage/upload/initiate/x":                 domain.CodeForbidden,
		"https://rest.alpha.fal.ai/billing":                             domain.CodeForbidden,
		"https://api.fal.ai/v1/keys":                                    domain.CodeForbidden,
		"https://fal.ai/dashboard":                                      domain.CodeForbidden,
		"https://gateway.fal.run" + model:                               domain.CodeForbidden,
	}
	check := func(target string, own bool, want domain.Code) {
		t.Helper()
		_, err := p.Call("GET", target, own)
		var coded *domain.Error
		if !errors.As(err, &coded) || coded.Code != want {
			t.Errorf("%q (own key %v): %v, not %s", target, own, err, want)
		}
	}
	for target, want := range anybody {
		check(target, false, want)
		check(target, true, want)
	}
	for target, want := range withServersKey {
		check(target, false, want)
		if _, err := p.Call("GET", target, true); err != nil {
			t.Errorf("%q with the caller's own key: %v", target, err)
		}
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} { // an upload is asked for by POST alone
		if _, err := p.Call(method, "https://rest.fal.ai/storage/upload/initiate", false); err == nil {
			t.Errorf("%s of an upload", method)
		}
	}
}

func TestModels(t *testing.T) {
	if bad := (Models{"*", "fal-ai/x", "a", "/a", "a/", "a b", "a//b", "../x", ""}).Check(); len(bad) != 6 {
		t.Errorf("%q", bad)
	}
	if _, err := New(Config{Models: Models{"https://fal.run/x"}}); err == nil {
		t.Error("an address is taken for a model")
	}
	all := newProxy(t, Config{Key: "k", Models: Models{"*"}})
	if _, err := all.Call("POST", "https://fal.run/any/thing", false); err != nil {
		t.Error(err)
	}
	if none := newProxy(t, Config{Key: "k", Models: Models{}}); true {
		if _, err := none.Call("POST", "https://fal.run/any/thing", false); err == nil {
			t.Error("no model is listed, and one is served")
		}
	}
}

// FuzzCall: whatever is asked, what is let through goes to a host of fal.ai by https, as url.Parse and the call agree.
func FuzzCall(f *testing.F) {
	for _, s := range []string{"https://fal.run/fal-ai/flux-kontext-lora", "https://fal.run@evil/", "https://v3.fal.media/a?b#c", "https://[::1]/", "https://fal.run:1/"} {
		f.Add("POST", s, false)
	}
	p := newProxy(f, Config{Key: "k"})
	f.Fuzz(func(t *testing.T, method, target string, own bool) {
		c, err := p.Call(method, target, own)
		if err != nil {
			return
		}
		host := c.URL.Hostname()
		ours := false
		for _, domain := range []string{"fal.ai", "fal.run", "fal.media"} {
			ours = ours || host == domain || strings.HasSuffix(host, "."+domain)
		}
		if c.URL.Scheme != "https" || c.URL.Port() != "" || c.URL.User != nil || !ours || strings.Contains(c.URL.EscapedPath(), "..") && c.Kind != commands.FalFile {
			t.Fatalf("%q goes to %s", target, c.URL)
		}
		if !own && c.Kind == commands.FalRun && !within(c.Model, "fal-ai/flux-kontext-lora") && !within(c.Model, "fal-ai/bria/background") {
			t.Fatalf("%q runs %s", target, c.Model)
		}
	})
}
