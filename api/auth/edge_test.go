package auth

import (
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

const edgeSecret = "a secret of thirty-two characters"

func newEdge(t *testing.T, secret string) *Edge {
	t.Helper()
	e, err := NewEdge(secret)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOnlyTheWorkerIsBelieved(t *testing.T) {
	e := newEdge(t, edgeSecret)
	other := newEdge(t, strings.ToUpper(edgeSecret))
	proxies := Proxies{netip.MustParsePrefix("10.0.0.0/8")}
	for name, x := range map[string]struct {
		edge                   *Edge
		proof, forwarded, want string
	}{
		"the Worker":              {e, e.proof, "198.51.100.9", "198.51.100.9"},
		"behind a proxy of ours":  {e, e.proof, "198.51.100.9, 172.64.0.1", "198.51.100.9"},
		"IPv6":                    {e, e.proof, "2001:db8::7", "2001:db8::7"},
		"the Worker says nothing": {e, e.proof, "", "192.0.2.1"},
		"the Worker says rubbish": {e, e.proof, "nobody", "192.0.2.1"},
		"no proof":                {e, "", "198.51.100.9", "192.0.2.1"},
		"another secret's proof":  {e, other.proof, "198.51.100.9", "192.0.2.1"},
		"the secret itself":       {e, edgeSecret, "198.51.100.9", "192.0.2.1"},
		"no Worker is known":      {nil, e.proof, "198.51.100.9", "192.0.2.1"},
		"none and no proof":       {nil, "", "198.51.100.9", "192.0.2.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "192.0.2.1:5"
		r.Header.Set("X-Forwarded-For", x.forwarded)
		r.Header.Set("Kanvas-Accept-Object", "1")
		r.Header.Set("Kanvas-Edge", x.proof)
		if got := x.edge.Client(r, proxies).String(); got != x.want {
			t.Errorf("%s: %s, not %s", name, got, x.want)
		}
		if got, want := x.edge.AddsObject(r), x.edge != nil && x.proof == x.edge.proof; got != want {
			t.Errorf("%s: adds objects: %v", name, got)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:5"
	r.Header.Set("X-Forwarded-For", "203.0.113.5")
	if got := e.Client(r, proxies).String(); got != "203.0.113.5" {
		t.Errorf("without proof the proxies are asked no more: %s", got)
	}
}

func TestShortEdgeSecretsAreRefused(t *testing.T) {
	if _, err := NewEdge(strings.Repeat("x", MinEdgeSecret-1)); err == nil || strings.Contains(err.Error(), "xx") {
		t.Error(err)
	}
}

func TestPictureURL(t *testing.T) {
	e := newEdge(t, edgeSecret)
	until := time.Unix(1_800_000_000, 0)
	u, err := url.Parse(e.PictureURL("https://kanvas.example.com/", "a", "images/ann/a b#?.png", until))
	if err != nil {
		t.Fatal(err)
	}
	if u.Path != "/images/ann/a b#?.png" || u.Query().Get("asset") != "a" || u.Query().Get("expires") != "1800000000" || len(u.Query().Get("sig")) != 43 {
		t.Errorf("%s", u)
	}
	seen := map[string]bool{}
	for _, other := range []string{
		e.PictureURL("", "a", "images/ann/x.png", until), e.PictureURL("", "b", "images/ann/x.png", until), e.PictureURL("", "a", "images/ann/y.png", until), e.PictureURL("", "a", "images/ann/x.png", until.Add(time.Second)),
		newEdge(t, edgeSecret+"!").PictureURL("", "a", "images/ann/x.png", until),
	} {
		_, sig, _ := strings.Cut(other, "&sig=")
		if seen[sig] {
			t.Errorf("the signature of %s is another's too", other)
		}
		seen[sig] = true
	}
}
