package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// clock is a time that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func newTokens(t *testing.T, c *clock) *Tokens {
	t.Helper()
	tokens, err := NewTokens(secret, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestTokenSpeaksForItsUserUntilItExpires(t *testing.T) {
	c := newClock()
	tokens := newTokens(t, c)
	token, made, err := tokens.Sign("guest_1", "guest", GuestLife)
	if err != nil {
		t.Fatal(err)
	}
	id, err := tokens.Verify(context.Background(), token)
	if err != nil || id.User != "guest_1" || id.Kind != "guest" || !id.Expires.Equal(made.Expires) || id.HalfLifeOver(c.t) {
		t.Fatalf("%+v, %v", id, err)
	}
	c.t = c.t.Add(GuestLife/2 + time.Hour)
	if id, err = tokens.Verify(context.Background(), token); err != nil || !id.HalfLifeOver(c.t) {
		t.Fatalf("past half of its life: %+v, %v", id, err)
	}
	c.t = c.t.Add(GuestLife / 2)
	if id, err = tokens.Verify(context.Background(), token); !errors.Is(err, ErrExpired) || id.User != "guest_1" {
		t.Fatalf("after its life: %+v, %v", id, err)
	}
}

// forge signs claims as somebody would who does not follow our rules.
func forge(t *testing.T, method jwt.SigningMethod, key any, header map[string]any, c jwt.MapClaims) string {
	t.Helper()
	tok := jwt.NewWithClaims(method, c)
	for k, v := range header {
		tok.Header[k] = v
	}
	s, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestForgedTokensAreRefused(t *testing.T) {
	c := newClock()
	tokens := newTokens(t, c)
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"iss": issuer, "sub": "guest_1", "kind": "guest", "iat": c.t.Unix(), "exp": c.t.Add(time.Hour).Unix()}
	}
	with := func(name string, value any) jwt.MapClaims {
		m := good()
		if m[name] = value; value == nil {
			delete(m, name)
		}
		return m
	}
	kid := map[string]any{"kid": tokens.kid}
	if _, err := tokens.Verify(context.Background(), forge(t, jwt.SigningMethodHS256, tokens.key, kid, good())); err != nil {
		t.Fatalf("the forger's own tool makes no good token: %v", err) // else all below would prove nothing
	}
	signed, _, err := tokens.Sign("guest_1", "guest", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(signed, ".")
	other, err := NewTokens([]byte(strings.Repeat("x", 32)), c.now)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{
		"empty":               "",
		"no token":            "abc",
		"three dots":          "...",
		"other key":           forge(t, jwt.SigningMethodHS256, other.key, kid, good()),
		"the secret itself":   forge(t, jwt.SigningMethodHS256, secret, kid, good()),
		"empty key":           forge(t, jwt.SigningMethodHS256, []byte{}, kid, good()),
		"alg none":            forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid, good()),
		"alg HS512":           forge(t, jwt.SigningMethodHS512, tokens.key, kid, good()),
		"alg in header only":  base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"NONE","kid":"`+tokens.kid+`"}`)) + "." + parts[1] + ".",
		"no signature":        parts[0] + "." + parts[1] + ".",
		"cut signature":       signed[:len(signed)-4],
		"other claims":        parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"kanvas","sub":"guest_2","kind":"guest","iat":1,"exp":99999999999}`)) + "." + parts[2],
		"no kid":              forge(t, jwt.SigningMethodHS256, tokens.key, nil, good()),
		"wrong kid":           forge(t, jwt.SigningMethodHS256, tokens.key, map[string]any{"kid": "../../dev/null"}, good()),
		"kid of another type": forge(t, jwt.SigningMethodHS256, tokens.key, map[string]any{"kid": []string{tokens.kid}}, good()),
		"no exp":              forge(t, jwt.SigningMethodHS256, tokens.key, kid, with("exp", nil)),
		"no iat":              forge(t, jwt.SigningMethodHS256, tokens.key, kid, with("iat", nil)),
		"from the future":     forge(t, jwt.SigningMethodHS256, tokens.key, kid, with("iat", c.t.Add(time.Hour).Unix())),
		"other issuer":        forge(t, jwt.SigningMethodHS256, tokens.key, kid, with("iss", "clerk")),
		"no issuer":           forge(t, jwt.SigningMethodHS256, tokens.key, kid, with("iss", nil)),
		"no subject":          forge(t, jwt.SigningMethodHS256, tokens.key, kid, with("sub", nil)),
		"the system":          forge(t, jwt.SigningMethodHS256, tokens.key, kid, with("sub", "system")),
		"anonymous":           forge(t, jwt.SigningMethodHS256, tokens.key, kid, with("sub", "anon:1")),
		"path as subject":     forge(t, jwt.SigningMethodHS256, tokens.key, kid, with("sub", "../x")),
		"unknown kind":        forge(t, jwt.SigningMethodHS256, tokens.key, kid, with("kind", "admin")),
		"another form of it":  parts[0] + "." + parts[1] + "." + parts[2][:20] + "\n" + parts[2][20:],
		"too long":            signed + strings.Repeat("A", MaxTokenBytes),
	}
	for name, token := range bad {
		if id, err := tokens.Verify(context.Background(), token); !errors.Is(err, ErrToken) || id != (Identity{}) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	// An expired token of another issuer is not one of ours that is over.
	m := with("iss", "clerk")
	m["exp"] = c.t.Add(-time.Hour).Unix()
	if _, err := tokens.Verify(context.Background(), forge(t, jwt.SigningMethodHS256, tokens.key, kid, m)); !errors.Is(err, ErrToken) {
		t.Errorf("expired and of another issuer: %v", err)
	}
}

func TestSignRefusesWhatCanBeNobody(t *testing.T) {
	tokens := newTokens(t, newClock())
	for _, user := range []string{"", "system", "anon:1", "a b", "a/b", strings.Repeat("x", 129)} {
		if _, _, err := tokens.Sign(user, "local", time.Hour); err == nil {
			t.Errorf("signed for %q", user)
		}
	}
	for _, ttl := range []time.Duration{0, -time.Second, MaxTokenLife + 1} {
		if _, _, err := tokens.Sign("u", "local", ttl); err == nil {
			t.Errorf("signed for %s", ttl)
		}
	}
	if _, err := NewTokens(secret[:31], nil); err == nil {
		t.Error("a short secret is taken")
	}
}

// issuerOf is a verifier of one token of another issuer.
type issuerOf struct {
	token string
	err   error
}

func (v issuerOf) Verify(_ context.Context, token string) (Identity, error) {
	if token != v.token {
		return Identity{}, ErrToken
	}
	return Identity{User: "user_clerk", Kind: "clerk"}, v.err
}

func TestAuthenticatorAsksOthersAfterItself(t *testing.T) {
	tokens := newTokens(t, newClock())
	own, _, err := tokens.Sign("guest_1", "guest", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	down := errors.New("JWKS can't be reached")
	a := NewAuthenticator(tokens, issuerOf{"theirs", nil}, issuerOf{"late", ErrExpired}, issuerOf{"down", down})
	ctx := context.Background()
	if id, err := a.Authenticate(ctx, own); err != nil || id.User != "guest_1" {
		t.Errorf("own: %+v, %v", id, err)
	}
	if id, err := a.Authenticate(ctx, "theirs"); err != nil || id.User != "user_clerk" {
		t.Errorf("theirs: %+v, %v", id, err)
	}
	if _, err := a.Authenticate(ctx, "late"); !errors.Is(err, ErrExpired) {
		t.Errorf("late: %v", err)
	}
	if _, err := a.Authenticate(ctx, "down"); !errors.Is(err, down) {
		t.Errorf("down: %v", err)
	}
	if _, err := a.Session(ctx, own); !errors.Is(err, ErrToken) {
		t.Errorf("own token in a session cookie: %v", err)
	}
}

func TestTicketIsUsedOnceWithinAMinute(t *testing.T) {
	c := newClock()
	tickets := NewTickets(c.now)
	first, err := tickets.Issue("u", "room")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := tickets.Redeem(first); !ok || got.User != "u" || got.Room != "room" {
		t.Fatalf("%+v %v", got, ok)
	}
	if _, ok := tickets.Redeem(first); ok {
		t.Error("used twice")
	}
	late, _ := tickets.Issue("u", "room")
	c.t = c.t.Add(TicketLife)
	if _, ok := tickets.Redeem(late); ok {
		t.Error("used after its time")
	}
	if tickets.order.Len() != 0 || len(tickets.byValue) != 0 || len(tickets.perUser) != 0 {
		t.Error("something of used tickets is kept")
	}
}

func TestTicketsAreBounded(t *testing.T) {
	c := newClock()
	tickets := NewTickets(c.now)
	first, _ := tickets.Issue("greedy", "room")
	for range MaxTicketsPerUser {
		if _, err := tickets.Issue("greedy", "room"); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := tickets.Redeem(first); ok || tickets.order.Len() != MaxTicketsPerUser {
		t.Errorf("the oldest of too many is still good, or %d are kept", tickets.order.Len())
	}
	for i := 0; tickets.order.Len() < MaxTickets; i++ {
		if _, err := tickets.Issue("u"+time.Duration(i).String(), "room"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tickets.Issue("one more", "room"); !errors.Is(err, ErrTooManyTickets) {
		t.Errorf("one past the limit: %v", err)
	}
	c.t = c.t.Add(TicketLife)
	if _, err := tickets.Issue("one more", "room"); err != nil {
		t.Errorf("after their time: %v", err)
	}
}

func TestCapabilityIsOfOneRoomAndOneServer(t *testing.T) {
	c, err := NewCapabilities(secret)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewCapabilities([]byte(strings.Repeat("y", 32)))
	if err != nil {
		t.Fatal(err)
	}
	good := c.Capability("room-1", 0)
	if !c.VerifyCapability("room-1", 0, good) || c.Capability("room-1", 0) != good {
		t.Fatal("its own capability is refused, or changes")
	}
	for _, bad := range []string{"", good[:42], good + "A", c.Capability("room-2", 0), other.Capability("room-1", 0), c.Capability("room-1", 1), c.Capability("room-1/1", 0)} {
		if c.VerifyCapability("room-1", 0, bad) {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Links that are out there must stay good over a change of the program: their owners alone revoke them.
func TestCapabilitiesAreTheSameForEver(t *testing.T) {
	c, err := NewCapabilities(secret)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range []string{"cNm2BHQY6tQwcBEve9D70wW-PtAs9Tl-XzXXjiHZmnw", "qolr7f7erKtaZMShJPdMcBZ0aLCRWsOAgaLxJGJoepU", "M2_nuwnDgSSEfe_umLNLJN13cLSuxT740bSbqo9t5mY"} {
		if got := c.Capability("room-1", uint64(key)); got != want {
			t.Errorf("under key %d: %s, not %s", key, got, want)
		}
	}
}

func TestOrigins(t *testing.T) {
	open, err := NewSites([]string{"https://app.example.com", "http://10.0.0.7:3000/"}, []string{"kanvas.internal"}, "https://rooms.example.com", false)
	if err != nil {
		t.Fatal(err)
	}
	local, err := NewSites(nil, nil, "", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		sites        *Sites
		host, origin string
		ok           bool
	}{
		{open, "rooms.example.com", "", true},
		{open, "rooms.example.com", "https://app.example.com", true},
		{open, "rooms.example.com", "https://app.example.com:443", true},
		{open, "rooms.example.com", "HTTPS://APP.example.com", true},
		{open, "rooms.example.com", "http://10.0.0.7:3000", true},
		{open, "rooms.example.com", "https://rooms.example.com", true},
		{open, "rooms.example.com", "http://rooms.example.com", false}, // its own name, not its own scheme
		{open, "rooms.example.com", "null", false},
		{open, "rooms.example.com", "http://app.example.com", false},
		{open, "rooms.example.com", "https://app.example.com.evil.test", false},
		{open, "rooms.example.com", "https://evil.test", false},
		{open, "rooms.example.com", "https://user@app.example.com", false},
		{open, "rooms.example.com", "https://app.example.com/", false},
		{open, "rooms.example.com", "file://", false},
		{open, "rooms.example.com", "http://localhost:3000", false},
		{open, "rooms.example.com", "http://127.0.0.1:3000", false},
		{open, "evil.test", "https://evil.test", false},
		{open, "192.0.2.7:1999", "http://192.0.2.7:1999", true},
		{open, "192.0.2.7:1999", "https://rooms.example.com", true}, // our own page, through a Worker that asks under another name
		{open, "192.0.2.7:1999", "http://rooms.example.com", false},
		{local, "127.0.0.1:1999", "http://localhost:3000", true},
		{local, "127.0.0.1:1999", "http://[::1]:5173", true},
		{local, "127.0.0.1:1999", "https://app.localhost", true},
		{local, "127.0.0.1:1999", "http://localhost.evil.test", false},
		{local, "127.0.0.1:1999", "null", false},
		{local, "rebound.test:1999", "http://rebound.test:1999", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = x.host
		if x.origin != "" {
			r.Header.Set("Origin", x.origin)
		}
		if got := x.sites.OriginAllowed(r); got != x.ok {
			t.Errorf("host %s, origin %q: %v", x.host, x.origin, got)
		}
	}
	twice := httptest.NewRequest("GET", "/", nil)
	twice.Header["Origin"] = []string{"https://app.example.com", "https://evil.test"}
	if open.OriginAllowed(twice) || open.CookieAllowed(twice) {
		t.Error("two origins are taken")
	}
}

func TestCookiesNeedAListedOrigin(t *testing.T) {
	s, err := NewSites([]string{"https://app.example.com"}, nil, "https://rooms.example.com", true)
	if err != nil {
		t.Fatal(err)
	}
	for origin, ok := range map[string]bool{"https://app.example.com": true, "": false, "null": false, "https://rooms.example.com": false, "http://localhost:3000": false} {
		r := httptest.NewRequest("GET", "https://rooms.example.com/", nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if got := s.CookieAllowed(r); got != ok {
			t.Errorf("%q: %v", origin, got)
		}
	}
}

func TestHosts(t *testing.T) {
	open, err := NewSites(nil, []string{"kanvas.internal"}, "https://rooms.example.com:8443", false)
	if err != nil {
		t.Fatal(err)
	}
	local, err := NewSites(nil, nil, "", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		sites *Sites
		host  string
		ok    bool
	}{
		{open, "rooms.example.com:8443", true}, {open, "ROOMS.example.com.", true}, {open, "kanvas.internal:1999", true}, {open, "10.1.2.3:1999", true},
		{open, "[2001:db8::1]:1999", true}, {open, "localhost:1999", false}, {open, "evil.test", false}, {open, "", false},
		{local, "localhost:1999", true}, {local, "127.0.0.1:1999", true}, {local, "[::1]:1999", true}, {local, "rebound.test:1999", false},
	} {
		if got := x.sites.HostAllowed(x.host); got != x.ok {
			t.Errorf("%q: %v", x.host, got)
		}
	}
	if _, err := NewSites([]string{"app.example.com"}, nil, "", false); err == nil {
		t.Error("an origin without scheme is taken")
	}
}

func TestClientAddress(t *testing.T) {
	proxies := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ff::/48")}
	for _, x := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1"},
		{"192.0.2.1:5", []string{"198.51.100.9"}, "192.0.2.1"}, // not a proxy of ours: says what it likes
		{"10.0.0.1:5", []string{"198.51.100.9"}, "198.51.100.9"},
		{"10.0.0.1:5", []string{"1.1.1.1, 198.51.100.9, 10.0.0.2"}, "198.51.100.9"}, // the leftmost is the client's own word
		{"10.0.0.1:5", []string{"1.1.1.1", "198.51.100.9"}, "198.51.100.9"},
		{"10.0.0.1:5", []string{"nonsense, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:5", []string{"nonsense"}, "10.0.0.1"},
		{"10.0.0.1:5", []string{"[2001:db8::7]:443"}, "2001:db8::7"},
		{"[2001:db8:ff::1]:5", []string{"198.51.100.9:8080"}, "198.51.100.9"},
		{"[::ffff:10.0.0.1]:5", []string{"198.51.100.9"}, "198.51.100.9"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = x.peer
		r.Header["X-Forwarded-For"] = x.forwarded
		if got := proxies.Client(r).String(); got != x.want {
			t.Errorf("%s %v: %s, not %s", x.peer, x.forwarded, got, x.want)
		}
	}
	for in, want := range map[string]string{"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64"} {
		if got := AddressKey(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: %s, not %s", in, got, want)
		}
	}
}
