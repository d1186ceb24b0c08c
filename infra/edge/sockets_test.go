package edge_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
)

// sockets echoes frames; "close N" closes with that code.
func sockets(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"kanvas.v1"}, InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.CloseNow()
		ws.SetReadLimit(-1)
		if err := ws.Write(r.Context(), websocket.MessageText, []byte(r.RequestURI)); err != nil {
			return
		}
		for {
			kind, frame, err := ws.Read(context.Background())
			if err != nil {
				closed(r.URL.Query().Get("tell"), websocket.CloseStatus(err))
				return
			}
			var code int
			if n, _ := fmt.Sscanf(string(frame), "close %d", &code); n == 1 {
				ws.Close(websocket.StatusCode(code), "because")
				return
			}
			if err := ws.Write(context.Background(), kind, frame); err != nil {
				return
			}
		}
	}
}

// told is the code that a client's close arrived with, by the name that it gave.
var told = make(chan websocket.StatusCode, 10)

func closed(name string, code websocket.StatusCode) {
	if name != "" {
		told <- code
	}
}

func dial(t *testing.T, w *edgetest.Worker, path string) *websocket.Conn {
	t.Helper()
	ws, err := dialErr(w, path, nil)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	return ws
}

func dialErr(w *edgetest.Worker, path string, h http.Header) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ws, res, err := websocket.Dial(ctx, w.URL+path, &websocket.DialOptions{Subprotocols: []string{"kanvas.v1"}, HTTPHeader: h})
	if err != nil {
		if res != nil {
			return nil, statusError(res.StatusCode)
		}
		return nil, err
	}
	ws.SetReadLimit(-1)
	return ws, nil
}

type statusError int

func (s statusError) Error() string { return fmt.Sprintf("HTTP %d", int(s)) }

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestSocketsGoThrough(t *testing.T) {
	o := newOrigin(sockets(t))
	w := before(t, o)
	ws := dial(t, w, "/v1/rooms/r/ws?a=b%20c")
	if ws.Subprotocol() != "kanvas.v1" {
		t.Errorf("subprotocol %q", ws.Subprotocol())
	}
	if _, b, err := ws.Read(soon(t)); err != nil || string(b) != "/v1/rooms/r/ws?a=b%20c" {
		t.Errorf("%q %v", b, err)
	}
	for _, size := range []int{0, 1, 125, 126, 65536, 2 << 20} {
		for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
			frame := bytes.Repeat([]byte("x"), size)
			if err := ws.Write(soon(t), kind, frame); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			got, b, err := ws.Read(soon(t))
			if err != nil || got != kind || !bytes.Equal(b, frame) {
				t.Fatalf("%d bytes: %d came back, %v", size, len(b), err)
			}
		}
	}
	for _, path := range []string{"/parties/main/r?_pk=1", "/party/r?_pk=1", "/parties/registry/registry"} {
		if _, b, err := dial(t, w, path).Read(soon(t)); err != nil || string(b) != path {
			t.Errorf("%s: %q %v", path, b, err)
		}
	}
}

func TestCloseCodesGoThrough(t *testing.T) {
	o := newOrigin(sockets(t))
	w := before(t, o)
	for _, code := range []int{1000, 1001, 1012, 4400, 4401, 4403, 4404, 4408, 4409, 4413, 4429, 4503, 4508} {
		ws := dial(t, w, "/v1/rooms/r/ws")
		if _, _, err := ws.Read(soon(t)); err != nil {
			t.Fatal(err)
		}
		if err := ws.Write(soon(t), websocket.MessageText, fmt.Appendf(nil, "close %d", code)); err != nil {
			t.Fatal(err)
		}
		_, _, err := ws.Read(soon(t))
		var ended websocket.CloseError
		if !errors.As(err, &ended) || int(ended.Code) != code || ended.Reason != "because" {
			t.Errorf("%d: %v", code, err)
		}
	}
	for _, code := range []websocket.StatusCode{1000, 1001, 4000} {
		ws := dial(t, w, "/v1/rooms/r/ws?tell=me")
		if _, _, err := ws.Read(soon(t)); err != nil {
			t.Fatal(err)
		}
		if err := ws.Close(code, "bye"); err != nil {
			t.Errorf("%d: %v", code, err)
		}
		select {
		case got := <-told:
			if got != code {
				t.Errorf("a client's %d arrived as %d", code, got)
			}
		case <-soon(t).Done():
			t.Fatalf("a client's %d did not arrive", code)
		}
	}
}

func TestAHundredSockets(t *testing.T) {
	o := newOrigin(sockets(t))
	w := before(t, o)
	ctx := soon(t)
	var open []*websocket.Conn
	for i := range 100 {
		open = append(open, dial(t, w, fmt.Sprintf("/parties/main/r?_pk=%d", i)))
	}
	var g errgroup.Group
	for i, ws := range open {
		g.Go(func() error {
			if _, _, err := ws.Read(ctx); err != nil {
				return err
			}
			for n := range 20 {
				want := fmt.Sprintf("%d of %d", n, i)
				if err := ws.Write(ctx, websocket.MessageText, []byte(want)); err != nil {
					return err
				}
				if _, b, err := ws.Read(ctx); err != nil || string(b) != want {
					return fmt.Errorf("%q, not %q: %w", b, want, err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func TestAServerThatDiesTakesItsSocketsAlong(t *testing.T) {
	o := newOrigin(sockets(t))
	w := before(t, o)
	ws := dial(t, w, "/v1/rooms/r/ws")
	if _, _, err := ws.Read(soon(t)); err != nil {
		t.Fatal(err)
	}
	ctx := soon(t)
	ended := make(chan error, 1)
	go func() {
		_, _, err := ws.Read(ctx)
		ended <- err
	}()
	if err := ws.Write(ctx, websocket.MessageText, []byte("close 1006")); err != nil { // no code that can be sent: the server just hangs up
		t.Fatal(err)
	}
	if err := <-ended; err == nil || ctx.Err() != nil {
		t.Errorf("the client was not told: %v", err)
	}
}

// jwt signs a token by hand, so that every part of it can be wrong.
func jwt(header, payload map[string]any, sign func([]byte) []byte) string {
	part := func(v map[string]any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(header) + "." + part(payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(text)))
}

func TestOwnTokensAreCheckedBeforeTheUpgrade(t *testing.T) {
	o := newOrigin(sockets(t))
	secret := bytes.Repeat([]byte{7}, auth.MinSecretBytes)
	tokens, err := auth.NewTokens(secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	past, err := auth.NewTokens(secret, func() time.Time { return time.Now().Add(-time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	strangers, err := auth.NewTokens(bytes.Repeat([]byte{8}, auth.MinSecretBytes), nil)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(tk *auth.Tokens, ttl time.Duration) string {
		s, _, err := tk.Sign("ann", "guest", ttl)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := sign(tokens, time.Hour)
	parts := strings.Split(good, ".")
	w := before(t, o, edgetest.WithVar("TOKEN_KEY", tokens.Key()))
	key, err := hex.DecodeString(tokens.Key())
	if err != nil {
		t.Fatal(err)
	}
	hs256 := func(text []byte) []byte { m := hmac.New(sha256.New, key); m.Write(text); return m.Sum(nil) }
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	var header map[string]any
	if err := json.Unmarshal(head, &header); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token   string
		old, v1 int // status; 101 where it goes through
	}{
		"good":                 {good, 101, 101},
		"good, by hand":        {jwt(header, map[string]any{"sub": "ann"}, hs256), 101, 101},
		"expired":              {sign(past, time.Minute), 101, 401},    // an old client becomes a guest
		"of another server":    {sign(strangers, time.Hour), 101, 101}, // the server says so
		"other signature":      {parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), 401, 401},
		"other payload":        {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"root","exp":9999999999}`)) + "." + parts[2], 401, 401},
		"no signature":         {parts[0] + "." + parts[1] + ".", 401, 401},
		"alg none":             {jwt(map[string]any{"alg": "none"}, map[string]any{"sub": "root"}, func([]byte) []byte { return nil }), 401, 401},
		"alg HS512":            {jwt(map[string]any{"alg": "HS512", "kid": header["kid"]}, map[string]any{"sub": "root"}, hs256), 401, 401},
		"RS256 with our key":   {jwt(map[string]any{"alg": "RS256", "kid": header["kid"]}, map[string]any{"sub": "root"}, hs256), 101, 101}, // Clerk isn't known here: the server says so
		"no token":             {"rubbish", 401, 401},
		"two parts":            {parts[0] + "." + parts[1], 401, 401},
		"payload is no object": {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`7`)) + "." + parts[2], 401, 401},
		"too long":             {good + strings.Repeat("A", 8<<10), 401, 401},
	} {
		for path, want := range map[string]int{"/parties/main/r?token=" + c.token: c.old, "/v1/rooms/r/ws": c.v1} {
			calls := o.calls.Load()
			h := http.Header{}
			if strings.HasPrefix(path, "/v1/") {
				h.Set("Authorization", "Bearer "+c.token)
			}
			ws, err := dialErr(w, path, h)
			if err == nil {
				ws.CloseNow()
			}
			var status statusError
			if want == 101 && err != nil || want != 101 && (!errors.As(err, &status) || int(status) != want) {
				t.Errorf("%s at %.20s: %v", name, path, err)
			}
			if want == 401 && o.calls.Load() != calls {
				t.Errorf("%s at %.20s: the server was bothered", name, path)
			}
		}
	}
	if _, err := dialErr(w, "/parties/main/r", nil); err != nil {
		t.Errorf("without a token: %v", err)
	}
}

func TestClerkTokensAreCheckedBeforeTheUpgrade(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rs256 := func(k *rsa.PrivateKey) func([]byte) []byte {
		return func(text []byte) []byte {
			sum := sha256.Sum256(text)
			sig, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			return sig
		}
	}
	var fetches atomic.Int64
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetches.Add(1)
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "ins_1",
			"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		}}})
	}))
	t.Cleanup(keys.Close)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	gone := httptest.NewServer(nil)
	gone.Close()
	o := newOrigin(sockets(t))
	token := func(kid string, exp time.Duration, k *rsa.PrivateKey) string {
		return jwt(map[string]any{"alg": "RS256", "kid": kid}, map[string]any{"sub": "user_1", "exp": time.Now().Add(exp).Unix()}, rs256(k))
	}
	for name, c := range map[string]struct {
		vars []edgetest.Option
		// what becomes of: a good one, one of a key that isn't known, a forged one, an expired one
		good, unknown, forged, expired int
	}{
		"JWKS":              {[]edgetest.Option{edgetest.WithVar("CLERK_JWKS_URL", keys.URL)}, 101, 101, 401, 401},
		"PEM":               {[]edgetest.Option{edgetest.WithVar("CLERK_PEM", public)}, 101, 101, 401, 401},
		"PEM in one line":   {[]edgetest.Option{edgetest.WithVar("CLERK_PEM", strings.ReplaceAll(public, "\n", `\n`))}, 101, 101, 401, 401},
		"a PEM that is bad": {[]edgetest.Option{edgetest.WithVar("CLERK_PEM", "rubbish")}, 101, 101, 101, 101},
		"JWKS away":         {[]edgetest.Option{edgetest.WithVar("CLERK_JWKS_URL", gone.URL)}, 101, 101, 101, 101},
	} {
		t.Run(name, func(t *testing.T) {
			w := before(t, o, c.vars...)
			for what, x := range map[string]struct {
				token string
				want  int
			}{
				"good": {token("ins_1", time.Hour, key), c.good}, "of an unknown key": {token("ins_2", time.Hour, key), c.unknown},
				"forged": {token("ins_1", time.Hour, other), c.forged}, "expired": {token("ins_1", -time.Minute, key), c.expired},
			} {
				ws, err := dialErr(w, "/v1/rooms/r/ws", http.Header{"Authorization": {"Bearer " + x.token}})
				if err == nil {
					ws.CloseNow()
				}
				var status statusError
				if x.want == 101 && err != nil || x.want != 101 && (!errors.As(err, &status) || int(status) != x.want) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
	if n := fetches.Load(); n < 1 || n > 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
}
