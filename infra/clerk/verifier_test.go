package clerk

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/clerk/clerktest"
)

const frontEnd = "https://app.example.com"

// good are the claims of a session token as Clerk makes them; changes are merged in, nil takes a member out.
func good(now time.Time, changes ...clerktest.Claims) clerktest.Claims {
	c := clerktest.Claims{"azp": frontEnd, "exp": now.Unix() + 60, "iat": now.Unix(), "nbf": now.Unix() - 10, "iss": "https://clerk.example.com",
		"sid": "sess_1", "sub": "user_1", "sts": "active", "v": 2}
	for _, change := range changes {
		maps.Copy(c, change)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// TestTokens holds every verdict of ours against that of Clerk's own package, but for those where we ask for more.
func TestTokens(t *testing.T) {
	c := clerktest.Start(t)
	a, b := c.Key("ins_a", ""), c.Key("ins_b", "ins_a")
	v, err := NewVerifier(Config{PEM: a.PEM, Parties: []string{frontEnd, "https://other.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	type claims = clerktest.Claims
	for _, x := range []struct {
		name  string
		token string
		want  error
		ours  bool // Clerk's package would take it
	}{
		{"good", c.Token(a, nil, good(now), "", ""), nil, false},
		{"without a party", c.Token(a, nil, good(now, claims{"azp": nil}), "", ""), ErrToken, false},
		{"of another party", c.Token(a, nil, good(now, claims{"azp": "https://evil.test"}), "", ""), ErrToken, false},
		{"expired 3 s ago", c.Token(a, nil, good(now, claims{"exp": now.Unix() - 3}), "", ""), nil, false},
		{"expired 8 s ago", c.Token(a, nil, good(now, claims{"exp": now.Unix() - 8}), "", ""), ErrExpired, false},
		{"expired long ago, of another party", c.Token(a, nil, good(now, claims{"exp": now.Unix() - 800, "azp": "https://evil.test"}), "", ""), ErrToken, false},
		{"without an end", c.Token(a, nil, good(now, claims{"exp": nil}), "", ""), ErrToken, false},
		{"not before 3 s from now", c.Token(a, nil, good(now, claims{"nbf": now.Unix() + 3}), "", ""), nil, false},
		{"not before 60 s from now", c.Token(a, nil, good(now, claims{"nbf": now.Unix() + 60}), "", ""), ErrToken, false},
		{"from the future", c.Token(a, nil, good(now, claims{"iat": now.Unix() + 60}), "", ""), ErrToken, false},
		{"of nobody", c.Token(a, nil, good(now, claims{"sub": nil}), "", ""), ErrToken, false},
		{"of a number", c.Token(a, nil, good(now, claims{"sub": 7}), "", ""), ErrToken, false},
		{"of a session that is pending", c.Token(a, nil, good(now, claims{"sts": "pending"}), "", ""), ErrToken, true},
		{"signed by another key under the same id", c.Token(b, nil, good(now), "", ""), ErrToken, false},
		{"HS256 with the public key as secret", c.Token(a, nil, good(now), "HS256", a.PEM), ErrToken, false},
		{"RS512", c.Token(a, nil, good(now), "RS512", ""), ErrToken, false},
		{"PS256", c.Token(a, nil, good(now), "PS256", ""), ErrToken, false},
		{"none", c.Token(a, nil, good(now), "none", ""), ErrToken, false},
		{"an access token of OAuth", c.Token(a, claims{"typ": "at+jwt"}, good(now), "", ""), ErrToken, false},
		{"empty", "", ErrToken, false},
		{"no token", "a.b.c", ErrToken, false},
	} {
		s, err := v.Verify(context.Background(), x.token)
		if !errors.Is(err, x.want) || x.want == nil && (s.User != "user_1" || s.Expires.IsZero()) {
			t.Errorf("%s: %+v, %v", x.name, s, err)
		}
		if x.token == "" {
			continue
		}
		theirs, why := c.Accepts(a, x.token, []string{frontEnd})
		if theirs != (x.want == nil || x.ours) {
			t.Errorf("%s: Clerk's package says %t (%s), we %v", x.name, theirs, why, err)
		}
	}
	strict, err := NewVerifier(Config{PEM: strings.ReplaceAll(a.PEM, "\n", `\n`), Issuer: "https://clerk.other.com/"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strict.Verify(context.Background(), c.Token(a, nil, good(now), "", "")); !errors.Is(err, ErrToken) {
		t.Errorf("of another issuer: %v", err)
	}
	if _, err := strict.Verify(context.Background(), c.Token(a, nil, good(now, claims{"iss": "https://clerk.other.com"}), "", "")); err != nil {
		t.Errorf("of the issuer: %v", err)
	}
}

// mutations is how many damaged tokens are tried: MUTATIONS, some where it isn't said.
func mutations(t *testing.T, normal int) int {
	t.Helper()
	if s := os.Getenv("MUTATIONS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("MUTATIONS: %q is not a number above 0", s)
		}
		return n
	}
	return normal
}

// mutate damages text: a character more, less or another, two exchanged, a piece cut out or said twice.
func mutate(r *rand.Rand, text string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\r\t\x00\"{},é"
	b := []byte(text)
	for range 1 + r.IntN(3) {
		if len(b) < 2 {
			break
		}
		i, j := r.IntN(len(b)), r.IntN(len(b))
		switch r.IntN(6) {
		case 0:
			b[i] = letters[r.IntN(len(letters))]
		case 1:
			b = append(b[:i:i], b[i+1:]...)
		case 2:
			b = append(b[:i:i], append([]byte{letters[r.IntN(len(letters))]}, b[i:]...)...)
		case 3:
			b[i], b[j] = b[j], b[i]
		case 4:
			b = append(b[:min(i, j):min(i, j)], b[max(i, j):]...)
		case 5:
			b = append(b[:i:i], b[max(i-3, 0):]...)
		}
	}
	return string(b)
}

// TestMutatedTokens: of many damaged tokens none is accepted, whether it is damaged as text or in what it says.
func TestMutatedTokens(t *testing.T) {
	c := clerktest.Start(t)
	a := c.Key("ins_a", "")
	v, err := NewVerifier(Config{PEM: a.PEM})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	one, two := c.Token(a, nil, good(now, clerktest.Claims{"exp": now.Unix() + 3600}), "", ""), c.Token(a, nil, good(now, clerktest.Claims{"exp": now.Unix() + 3600, "sub": "user_2"}), "", "")
	for _, token := range []string{one, two} {
		if _, err := v.Verify(context.Background(), token); err != nil {
			t.Fatal(err) // else all below would prove nothing
		}
	}
	parts, others := strings.Split(one, "."), strings.Split(two, ".")
	r, tried := rand.New(rand.NewPCG(1, 2)), 0
	for n := mutations(t, 5_000); tried < n; {
		p := append([]string{}, parts...)
		i := r.IntN(3)
		switch r.IntN(4) {
		case 0: // as text
			p = strings.Split(mutate(r, one), ".")
		case 1: // what a part says
			raw, err := base64.RawURLEncoding.DecodeString(p[i])
			if err != nil {
				t.Fatal(err)
			}
			p[i] = base64.RawURLEncoding.EncodeToString([]byte(mutate(r, string(raw))))
		case 2: // a part of another good token
			p[i] = others[i]
			p[(i+1)%3] = mutate(r, p[(i+1)%3])
		case 3:
			p[1], p[2] = others[1], mutate(r, others[2])
		}
		token := strings.Join(p, ".")
		if token == one || token == two {
			continue
		}
		tried++
		if s, err := v.Verify(context.Background(), token); err == nil || !errors.Is(err, ErrToken) {
			t.Fatalf("mutation %d is %v for %+v: %q", tried, err, s, token)
		}
	}
	t.Logf("%d mutated tokens, none accepted", tried)
}

// keyServer publishes keys and counts who asks.
type keyServer struct {
	*httptest.Server
	mu    sync.Mutex
	set   []byte
	down  bool
	asked atomic.Int32
	auth  string
}

func newKeyServer(t *testing.T, set []byte) *keyServer {
	s := &keyServer{set: set}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.auth = r.Header.Get("Authorization")
		if s.down {
			w.WriteHeader(503)
			return
		}
		_, _ = w.Write(s.set)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) change(set []byte, down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.down = set, down
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func TestKeysAreCachedAndRotate(t *testing.T) {
	c := clerktest.Start(t)
	a, b := c.Key("ins_a", ""), c.Key("ins_b", "")
	server, clock := newKeyServer(t, clerktest.Set(a)), &clock{at: time.Now()}
	v, err := NewVerifier(Config{JWKSURL: server.URL, Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	for_ := func(k clerktest.Key) string {
		return c.Token(k, nil, good(clock.now(), clerktest.Claims{"exp": clock.now().Add(time.Hour * 100).Unix()}), "", "")
	}
	ctx := context.Background()
	want := func(what, token string, err error, asked int32) {
		t.Helper()
		if _, got := v.Verify(ctx, token); !errors.Is(got, err) || server.asked.Load() != asked {
			t.Errorf("%s: %v, asked %d times", what, got, server.asked.Load())
		}
	}
	ta, tb := for_(a), for_(b)
	var all sync.WaitGroup
	for range 50 { // the first tokens all at once: one fetch
		all.Go(func() {
			if _, err := v.Verify(ctx, ta); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want("cached", ta, nil, 1)
	for range 100 { // unknown keys, whatever they are called: no fetch within the pause
		want("unknown", tb, ErrToken, 1)
	}
	server.change(clerktest.Set(a, b), false)
	clock.advance(keyPause)
	want("rotated in", tb, nil, 2)
	want("both are good", ta, nil, 2)
	server.change(clerktest.Set(b), false)
	want("still cached", ta, nil, 2)
	clock.advance(keysFresh)
	want("withdrawn", ta, ErrToken, 3)
	want("the new one", tb, nil, 3)
	server.change(nil, true)
	clock.advance(keysFresh)
	want("Clerk is away", tb, nil, 4)
	if _, err := v.Verify(ctx, ta); err == nil || errors.Is(err, ErrToken) {
		t.Errorf("an unknown key while Clerk is away: %v", err) // nobody knows
	}
	clock.advance(keysKept)
	if _, err := v.Verify(ctx, tb); err == nil || errors.Is(err, ErrToken) {
		t.Errorf("away for a day: %v", err)
	}
	server.change([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"ins_a"}]}`), false)
	clock.advance(keyPause)
	if _, err := v.Verify(ctx, ta); err == nil {
		t.Error("a symmetric key in the set signs tokens")
	}
}

func TestWhereKeysComeFrom(t *testing.T) {
	c := clerktest.Start(t)
	a := c.Key("ins_a", "")
	server := newKeyServer(t, clerktest.Set(a))
	token := c.Token(a, nil, good(time.Now(), clerktest.Claims{"iss": server.URL}), "", "")
	for name, cfg := range map[string]Config{"issuer": {Issuer: server.URL}, "secret key": {SecretKey: "sk_test_hush", APIURL: server.URL}} {
		v, err := NewVerifier(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(context.Background(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := map[bool]string{true: "Bearer sk_test_hush"}[name == "secret key"]; server.auth != want {
			t.Errorf("%s: Authorization %q", name, server.auth)
		}
		server.change(nil, true)
		v, _ = NewVerifier(cfg)
		if _, err := v.Verify(context.Background(), token); err == nil || strings.Contains(fmt.Sprint(err, cfg), "hush") {
			t.Errorf("%s: while Clerk is away: %v", name, err)
		}
		server.change(clerktest.Set(a), false)
	}
	for _, bad := range []Config{{}, {PEM: "x"}, {PEM: "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----"}, {JWKSURL: "/keys"}} {
		if _, err := NewVerifier(bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
