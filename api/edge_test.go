package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"image"
	"image/color"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/api/web"
	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// TestEveryCodeHasAStatus reads the codes from the source of domain, so that a new one can't be forgotten.
func TestEveryCodeHasAStatus(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../domain/error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "Code" {
				codes[strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`)] = true
			}
		}
		return true
	})
	if len(codes) < 17 {
		t.Fatalf("only %d codes found", len(codes))
	}
	for code := range codes {
		h, known := refusal(fmt.Errorf("wrapped: %w", domain.Errorf(domain.Code(code), "why")))
		status := wire.Status(h.reason.Code)
		if !known || string(h.reason.Code) != code || status < 400 || (status == 500) != (code == "internal") {
			t.Errorf("%s: status %d, known %v", code, status, known)
		}
		var p map[string]any
		if err := json.Unmarshal(appendProblem(nil, &h, status, "/x"), &p); err != nil || p["code"] != code || p["title"] == "" || p["instance"] != "/x" || p["detail"] != "why" {
			t.Errorf("%s: %v %v", code, p, err)
		}
	}
}

func TestUnknownErrorsAreInternalAndLoggedOnce(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Rooms = brokenRooms{c.Rooms} })
	a := w.call("GET", "/v1/rooms/boom", "", nil, "X-Request-Id", "req-1").refused(500, "internal")
	if strings.Contains(string(a.body), "hunter2") {
		t.Error("the reason is told to the client")
	}
	if n := strings.Count(w.logs.String(), "hunter2"); n != 1 || !strings.Contains(w.logs.String(), `"requestId":"req-1"`) {
		t.Errorf("logged %d times: %s", n, w.logs.String())
	}
	w.call("GET", "/v1/rooms/panic", "", nil).refused(500, "internal")
	w.call("GET", "/v1/rooms/late", "", nil).refused(503, "read_only")
	w.call("GET", "/healthz", "", nil).ok(200) // everybody else goes on
	if !strings.Contains(string(w.call("GET", "/metrics", "", nil).ok(200).body), "kanvas_http_panics_total 1") {
		t.Error("the panic is not counted")
	}
}

type brokenRooms struct{ commands.Rooms }

func (b brokenRooms) View(ctx context.Context, room string) (*commands.View, error) {
	switch room {
	case "boom":
		return nil, errors.New("disk on fire: hunter2")
	case "panic":
		panic("a bug")
	case "late":
		return nil, fmt.Errorf("view: %w", context.DeadlineExceeded)
	}
	return b.Rooms.View(ctx, room)
}

func TestWhatIsNotThereAnswersWithProblems(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	for _, x := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/v1/nothing", 404, "not_found"},
		{"GET", "/v2/rooms", 404, "not_found"},
		{"POST", "/v1/assets", 415, "bad_request"}, // without a body
		{"POST", "/v1/assets/x/complete", 404, "not_found"},
		{"GET", room + "/generations/nope", 404, "not_found"},
		{"GET", room + "/history", 404, "not_found"},
		{"GET", room + "/export", 404, "not_found"},
		{"GET", "/api/fal", 401, "unauthenticated"}, // a server without a key
		{"POST", "/api/clerk", 404, "not_found"},    // not set up
		{"PUT", "/v1/rooms", 405, "bad_request"},
		{"DELETE", "/v1/guests", 405, "bad_request"},
		{"BREW", room, 405, "bad_request"},
		{"POST", "/healthz", 405, "bad_request"},
		{"GET", "/v1/rooms/unknown", 404, "not_found"},
		{"GET", "/v1/rooms/unknown/canvas", 404, "not_found"},
		{"GET", "/v1/rooms/..%2f..%2fetc%2fpasswd/canvas", 404, "not_found"},
		{"GET", "/v1/rooms/%2e%2e/canvas", 404, "not_found"},
		{"GET", "/v1/rooms/a%00b", 404, "not_found"},
		{"GET", "/v1/rooms/a:b", 404, "not_found"},
		{"GET", "/v1/rooms/" + strings.Repeat("x", 65), 404, "not_found"},
		{"GET", "/v1/rooms/%F0%9F%98%80", 404, "not_found"},
		{"GET", "/v1/rooms//canvas", 404, "not_found"},
		{"GET", "/v1/assets/..%2f..%2fmaster.key", 404, "not_found"},
		{"GET", "/v1/assets/nope", 404, "not_found"},
		{"GET", "/r/..%2f..%2fx", 404, "not_found"},
		{"GET", "/assets/..%2findex.html", 404, "not_found"},
		{"GET", "/assets/../../go.mod", 404, "not_found"},
		{"GET", "/source.sha256", 404, "not_found"},
		{"GET", "/index.html", 404, "not_found"},
	} {
		a := w.call(x.method, x.path, ada.token, nil).refused(x.status, x.code)
		if x.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", x.method, x.path)
		}
	}
}

func TestForgedTokensAreRefusedEverywhere(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	stranger, err := auth.NewTokens([]byte(strings.Repeat("z", 32)), nil)
	if err != nil {
		t.Fatal(err)
	}
	forged, _, err := stranger.Sign(ada.id, "guest", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": "kanvas", "sub": ada.id, "kind": "guest", "iat": 1, "exp": time.Now().Unix() + 99}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{forged, none, "x", ada.token + "x", strings.Repeat("x", 9000)} {
		w.call("GET", "/v1/me", bad, nil).refused(401, "unauthenticated")
		w.call("GET", room, bad, nil).refused(401, "unauthenticated") // public, but its bearer thinks to be somebody
		w.call("POST", room+"/commands", bad, commandsBody(addText("a", "x"))).refused(401, "unauthenticated")
		w.call("POST", "/parties/main/r1?token="+url.QueryEscape(bad), "", cmd{"type": "canvas_update", "hash": "h"}).refused(401, "unauthenticated")
	}
	for _, scheme := range []string{"Basic abc", "Bearer", "bearer  ", ada.token} {
		w.call("GET", room, "", nil, "Authorization", scheme).refused(401, "unauthenticated")
	}
	w.call("GET", "/v1/me", "", nil, "Cookie", "__session="+ada.token, "Origin", "https://app.example.com").refused(401, "unauthenticated")
	if strings.Contains(w.logs.String(), ada.token) || strings.Contains(w.logs.String(), forged) {
		t.Error("a token is in the log")
	}
}

// sessions is an issuer whose tokens may come in the cookie.
type sessions struct{}

func (sessions) Verify(_ context.Context, token string) (auth.Identity, error) {
	if token != "session-of-carol" {
		return auth.Identity{}, auth.ErrToken
	}
	return auth.Identity{User: "user_carol", Kind: "clerk", Expires: time.Now().Add(time.Minute)}, nil
}

func TestSessionCookieCountsWithAListedOriginOnly(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Auth = auth.NewAuthenticator(c.Auth.Tokens(), sessions{}) })
	cookie := "__session=session-of-carol"
	if a := w.call("GET", "/v1/me", "", nil, "Cookie", cookie, "Origin", "https://app.example.com").ok(200); a.str("id") != "user_carol" {
		t.Errorf("%s", a.body)
	}
	w.call("GET", "/v1/me", "", nil, "Cookie", cookie).refused(401, "unauthenticated")
	w.call("GET", "/v1/me", "", nil, "Cookie", cookie, "Origin", "http://localhost:3000").refused(401, "unauthenticated")
	w.call("GET", "/v1/me", "", nil, "Cookie", cookie, "Origin", "null").refused(403, "forbidden")
	w.call("GET", "/v1/me", "session-of-carol", nil).ok(200)
	w.call("GET", "/v1/me", "", nil, "Cookie", "__session=forged", "Origin", "https://app.example.com").refused(401, "unauthenticated")
}

func TestOriginsAndHosts(t *testing.T) {
	w := newWorld(t)
	for origin, ok := range map[string]bool{"https://app.example.com": true, "http://localhost:3000": true, w.server.URL: true, "null": false, "https://evil.test": false} {
		a := w.call("GET", "/v1/rooms", "", nil, "Origin", origin)
		pre := w.call("OPTIONS", "/v1/rooms/x/commands", "", nil, "Origin", origin, "Access-Control-Request-Method", "POST")
		if !ok {
			a.refused(403, "forbidden")
			if pre.status != 403 || pre.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %d %v", origin, pre.status, pre.header)
			}
			continue
		}
		a.ok(200)
		if a.header.Get("Access-Control-Allow-Origin") != origin || a.header.Get("Vary") == "" {
			t.Errorf("%s: %v", origin, a.header)
		}
		if pre.status != 204 || !strings.Contains(pre.header.Get("Access-Control-Allow-Headers"), "Idempotency-Key") || !strings.Contains(pre.header.Get("Access-Control-Allow-Methods"), "POST") {
			t.Errorf("%s: %d %v", origin, pre.status, pre.header)
		}
		if got := a.header.Get("Access-Control-Allow-Credentials"); (got == "true") != (origin == "https://app.example.com") {
			t.Errorf("%s: credentials %q", origin, got)
		}
	}
	w.call("GET", "/v1/rooms", "", nil, "Host", "rebound.test").refused(421, "bad_request")
	w.call("GET", "/", "", nil, "Host", "rebound.test").refused(421, "bad_request")
	w.call("GET", "/healthz", "", nil, "Host", "10-0-0-1.pod").ok(200)
	w.call("GET", "/v1/rooms", "", nil, "Host", "localhost:1999").ok(200)
}

func TestRequestIDs(t *testing.T) {
	w := newWorld(t)
	if got := w.call("GET", "/healthz", "", nil, "X-Request-Id", "abc-1.2_3").header.Get("X-Request-Id"); got != "abc-1.2_3" {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"a b", `"},{"`, strings.Repeat("x", 65), "ü"} {
		if got := w.call("GET", "/healthz", "", nil, "X-Request-Id", bad).header.Get("X-Request-Id"); got == bad || got == "" {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func TestAccessLogHasTheGuidesFieldsAndNoSecrets(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "chat.post", "data": cmd{"text": "a private word"}})).ok(200)
	w.call("GET", room+"/canvas?at=1&cap=sesame&token=open", ada.token, nil).ok(200)
	w.call("GET", room+"/canvas?%74oken=open&at=1", ada.token, nil).ok(200)
	log := w.logs.String()
	for _, secret := range []string{"a private word", "sesame", "=open", ada.token} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
	found := false
	for _, line := range strings.Split(log, "\n") {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) != nil || m["route"] != "/v1/rooms/:id/commands" {
			continue
		}
		found = m["msg"] == "http_request" && m["roomId"] == "r1" && m["userId"] == ada.id && m["dataSize"].(float64) > 0 && m["status"] == 200.0 && m["requestId"] != ""
	}
	if !found {
		t.Errorf("no line with all fields: %s", log)
	}
}

func TestRates(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.RateLimits = true; c.Proxies = auth.Proxies{netip.MustParsePrefix("127.0.0.0/8")} })
	from := func(address string) int {
		for i := range 100 {
			a := w.call("POST", "/v1/guests", "", cmd{"name": "x"}, "X-Forwarded-For", address)
			if a.status == 429 {
				if a.refused(429, "rate_limited"); a.header.Get("Retry-After") == "" || a.header.Get(headerRemaining) != "0" {
					t.Errorf("headers of the refusal: %v", a.header)
				}
				return i
			}
			if a.ok(201); a.header.Get(headerLimit) != "30" || a.header.Get(headerReset) == "" {
				t.Errorf("headers: %v", a.header)
			}
			if left := a.header.Get(headerRemaining); i == 0 && address == "198.51.100.1" && left != "29" {
				t.Errorf("%s left", left)
			}
		}
		return 100
	}
	if n := from("198.51.100.1"); n < 30 || n > 33 {
		t.Errorf("refused after %d", n)
	}
	if n := from("2001:db8:1:2::1"); n < 30 {
		t.Errorf("another address was refused after %d", n)
	}
	if n := from("2001:db8:1:2:ffff::9"); n > 2 {
		t.Errorf("the same /64 made %d more", n)
	}
	ada := w.call("POST", "/v1/guests", "", cmd{"name": "x"}, "X-Forwarded-For", "203.0.113.1").ok(201).str("token")
	w.call("POST", "/v1/rooms", ada, cmd{"id": "r1", "name": "x", "visibility": "public"}).ok(201)
	list := make([]cmd, domain.MaxCommandsPerList)
	for i := range list {
		list[i] = cmd{"command": "element.remove", "data": cmd{"id": "x"}}
	}
	w.call("POST", "/v1/rooms/r1/commands", ada, commandsBody(list...)).ok(200)
	w.call("POST", "/v1/rooms/r1/commands", ada, commandsBody(list...)).refused(429, "rate_limited")
	w.clock.advance(time.Minute)
	w.call("POST", "/v1/rooms/r1/commands", ada, commandsBody(list...)).ok(200)
	refused := false
	for i := 0; i < 3*domain.MaxCommandsPerList && !refused; i++ { // bodies that are none are no free ride
		refused = w.call("POST", "/v1/rooms/r1/commands", ada, "{").status == 429
	}
	if !refused {
		t.Error("bad bodies are never refused")
	}
}

func TestRatesRememberABoundedNumberOfCallers(t *testing.T) {
	now := time.Now()
	r := newRates(true, func() time.Time { return now })
	for i := range callersKept + 100 {
		r.take(rateReads, fmt.Sprint(i), 1)
	}
	if c := r.by[rateReads]; c.order.Len() != callersKept || len(c.byKey) != callersKept {
		t.Errorf("%d and %d callers are kept", c.order.Len(), len(c.byKey))
	}
	if off := newRates(false, time.Now); off.take(rateReads, "x", 1e6) != 0 {
		t.Error("limits that are off limit")
	}
}

// picture is a PNG as a data URL, and its bytes.
func picture(t *testing.T) (dataURL string, raw []byte) {
	img := image.NewRGBA(image.Rect(0, 0, 40, 30))
	for i := range 40 {
		img.Set(i, i%30, color.RGBA{R: uint8(i * 6), G: 90, B: 30, A: 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()), b.Bytes()
}

func TestPicturesAreServedToThoseWhoMayEnter(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	room := w.room(ada, "secret", "private")
	data, raw := picture(t)
	add := commandsBody(cmd{"command": "element.add", "data": cmd{"element": cmd{"id": "p", "type": "image", "src": data, "width": 40, "height": 30}}})
	w.call("POST", room+"/commands", ada.token, add).ok(200)
	src := w.call("GET", room+"/canvas", ada.token, nil).ok(200).list("elements")[0].(cmd)["src"].(string)
	if !strings.HasPrefix(src, "/v1/assets/") {
		t.Fatalf("src %q", src)
	}
	a := w.call("GET", src, ada.token, nil).ok(200)
	if !bytes.Equal(a.body, raw) {
		t.Fatal("other bytes")
	}
	for name, want := range map[string]string{
		"Content-Type": "image/png", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": inertCSP, "Cache-Control": "private, max-age=31536000, immutable",
		"Accept-Ranges": "bytes", "Content-Length": fmt.Sprint(len(raw)),
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
	if part := w.call("GET", src, ada.token, nil, "Range", "bytes=3-9").ok(206); !bytes.Equal(part.body, raw[3:10]) {
		t.Errorf("range: %q", part.body)
	}
	if end := w.call("GET", src, ada.token, nil, "Range", "bytes=-5").ok(206); !bytes.Equal(end.body, raw[len(raw)-5:]) {
		t.Errorf("range: %q", end.body)
	}
	none := w.call("GET", src, ada.token, nil, "Range", "bytes=99999-").refused(416, "bad_request")
	if got := none.header.Get("Content-Range"); got != fmt.Sprintf("bytes */%d", len(raw)) || none.header.Get("Cache-Control") != "no-store" {
		t.Errorf("416: %v", none.header)
	}
	w.call("GET", src, ada.token, nil, "If-None-Match", a.header.Get("ETag")).ok(304)
	if head := w.call("HEAD", src, ada.token, nil).ok(200); len(head.body) != 0 || head.header.Get("Content-Length") != fmt.Sprint(len(raw)) {
		t.Errorf("HEAD: %d %v", len(head.body), head.header)
	}
	// Strangers are not told that it exists; the room's capability and a ticket open it.
	w.call("GET", src, bob.token, nil).refused(404, "not_found")
	w.call("GET", src, "", nil).refused(404, "not_found")
	capability := w.cfg.Capabilities.Capability("secret", 0)
	w.call("GET", src+"?room=secret&cap="+capability, "", nil).ok(200)
	w.call("GET", src+"?room=secret&cap="+capability+"x", "", nil).refused(404, "not_found")
	w.call("GET", src+"?room=other&cap="+w.cfg.Capabilities.Capability("other", 0), "", nil).refused(404, "not_found")
	ticket := w.call("POST", room+"/tickets", ada.token, nil).ok(201).str("ticket")
	w.call("GET", src+"?ticket="+ticket, "", nil).ok(200)
	w.call("GET", src+"?ticket="+ticket, "", nil).refused(401, "unauthenticated")
	elsewhere := w.room(ada, "elsewhere", "private")
	ticket = w.call("POST", elsewhere+"/tickets", ada.token, nil).ok(201).str("ticket")
	w.call("GET", src+"?ticket="+ticket, "", nil).refused(404, "not_found")
	// Who was in the room and was removed.
	w.call("PUT", room+"/participants/"+bob.id, ada.token, cmd{"role": "viewer"}).ok(200)
	w.call("GET", src, bob.token, nil).ok(200)
	w.call("DELETE", room+"/participants/"+bob.id, ada.token, nil).ok(204)
	w.call("GET", src, bob.token, nil).refused(403, "forbidden")
	// A public room's pictures are anybody's.
	w.call("PATCH", room, ada.token, cmd{"visibility": "public"}).ok(200)
	if got := w.call("GET", src, "", nil).ok(200).header.Get("Cache-Control"); got != "public, max-age=31536000, immutable, s-maxage=0" {
		t.Errorf("Cache-Control %q", got)
	}
}

// Whatever way somebody got to a picture of a private room, no cache but their own may keep it; what anybody may see is kept by shared caches only as
// far as they ask each time, since the room may turn private.
func TestNoSharedCacheKeepsAPrivatePicture(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "secret", "private")
	data, _ := picture(t)
	w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "element.add", "data": cmd{"element": cmd{"id": "p", "type": "image", "src": data}}})).ok(200)
	src := w.call("GET", room+"/canvas", ada.token, nil).ok(200).list("elements")[0].(cmd)["src"].(string)
	link := func(key uint64) string {
		return src + "?room=secret&cap=" + w.cfg.Capabilities.Capability("secret", key)
	}
	ways := func(key uint64) map[string]*answer {
		ticket := w.call("POST", room+"/tickets", ada.token, nil).ok(201).str("ticket")
		a := w.call("GET", src, ada.token, nil)
		return map[string]*answer{
			"token": a, "ticket": w.call("GET", src+"?ticket="+ticket, "", nil), "capability": w.call("GET", link(key), "", nil),
			"capability and token": w.call("GET", link(key), ada.token, nil), "variant": w.call("GET", link(key)+"&size=64", "", nil), "HEAD": w.call("HEAD", link(key), "", nil),
			"range": w.call("GET", link(key), "", nil, "Range", "bytes=0-3"), "not modified": w.call("GET", link(key), "", nil, "If-None-Match", a.header.Get("ETag")),
		}
	}
	check := func(key uint64, want string) {
		t.Helper()
		for way, a := range ways(key) {
			got := a.header.Get("Cache-Control")
			if a.status >= 400 || !strings.HasPrefix(got, want+", max-age=") || strings.Contains(got, "s-maxage=0") != (want == "public") {
				t.Errorf("%s of a %s room: %d %q", way, want, a.status, got)
			}
		}
	}
	check(0, "private")
	w.call("PATCH", room, ada.token, cmd{"visibility": "public"}).ok(200)
	check(0, "public")
	w.call("PATCH", room, ada.token, cmd{"visibility": "unlisted"}).ok(200)
	check(0, "private")
	w.call("PATCH", room, ada.token, cmd{"visibility": "private"}).ok(200)
	check(1, "private")
	for _, old := range []string{link(0), link(0) + "&size=64"} { // whoever passed by had it
		if a := w.call("GET", old, "", nil).refused(404, "not_found"); a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("a refusal is kept: %q", a.header.Get("Cache-Control"))
		}
	}
	w.call("POST", room+"/rotate-key", ada.token, nil, "If-Match", `"1"`).refused(409, "revision_conflict")
	check(1, "private")
	w.call("POST", room+"/rotate-key", ada.token, nil).ok(200)
	w.call("GET", link(1), "", nil).refused(404, "not_found")
	check(2, "private")
}

// No handler and no list is needed for a picture that a room shows already: nothing has attached the asset to the second room here.
func TestAPictureIsSeenAtOnceWhereItWasPasted(t *testing.T) {
	w := newWorld(t)
	ada, bob, eve := w.guest("Ada"), w.guest("Bob"), w.guest("Eve")
	first, second := w.room(ada, "first", "private"), w.room(ada, "second", "private")
	w.call("PUT", second+"/participants/"+bob.id, ada.token, cmd{"role": "viewer"}).ok(200)
	data, raw := picture(t)
	add := func(room, id, src string) *answer {
		return w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "element.add", "data": cmd{"element": cmd{"id": id, "type": "image", "src": src}}}))
	}
	add(first, "p", data).ok(200)
	src := w.call("GET", first+"/canvas", ada.token, nil).ok(200).list("elements")[0].(cmd)["src"].(string)
	w.call("GET", src, bob.token, nil).refused(404, "not_found")
	add(second, "taken", "https://example.com/x.png").ok(200)
	add(second, "taken", src).refused(409, "conflict") // asked for, and not shown
	w.call("GET", src, bob.token, nil).refused(404, "not_found")
	add(second, "p", src).ok(200)
	if got := w.call("GET", src, bob.token, nil).ok(200); !bytes.Equal(got.body, raw) || got.header.Get("Cache-Control") != "private, "+assetCache {
		t.Errorf("%v", got.header)
	}
	w.call("GET", src, eve.token, nil).refused(404, "not_found")
	w.call("DELETE", second+"/participants/"+bob.id, ada.token, nil).ok(204)
	w.call("GET", src, bob.token, nil).refused(403, "forbidden")
}

// A client that goes away is no failure of the server, and is written down as what it is.
func TestAHangUpIsNoFailure(t *testing.T) {
	entered, gone := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(c *Config) { c.Rooms = slowRooms{c.Rooms, entered, gone} })
	ada := w.guest("Ada")
	ctx, hangUp := context.WithCancel(soon(t))
	req, err := http.NewRequestWithContext(ctx, "GET", w.server.URL+"/v1/rooms/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+ada.token)
	go func() { <-entered; hangUp() }()
	if _, err := w.server.Client().Do(req); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	<-gone
	w.server.Close() // waits for the handler
	var lines []map[string]any
	for _, line := range strings.Split(w.logs.String(), "\n") {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) == nil && m["roomId"] == "slow" {
			lines = append(lines, m)
		}
	}
	if len(lines) != 1 || lines[0]["msg"] != "http_client_gone" || lines[0]["status"] != 499.0 || lines[0]["level"] != "DEBUG" {
		t.Errorf("%v", lines)
	}
}

// slowRooms answers for the room "slow" once its caller is gone.
type slowRooms struct {
	commands.Rooms
	entered, gone chan struct{}
}

func (r slowRooms) View(ctx context.Context, room string) (*commands.View, error) {
	if room != "slow" {
		return r.Rooms.View(ctx, room)
	}
	close(r.entered)
	<-ctx.Done()
	close(r.gone)
	return nil, fmt.Errorf("view: %w", ctx.Err())
}

func TestMissingBytesAreNotServedAsNothing(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	data, _ := picture(t)
	w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "element.add", "data": cmd{"element": cmd{"id": "p", "type": "image", "src": data}}})).ok(200)
	src := w.call("GET", room+"/canvas", ada.token, nil).ok(200).list("elements")[0].(cmd)["src"].(string)
	w.call("GET", src, ada.token, nil).ok(200)
	row, err := w.store.AssetByID(soon(t), strings.TrimPrefix(src, "/v1/assets/"))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string) {
		t.Helper()
		if a := w.call("GET", src, ada.token, nil).refused(500, "internal"); a.header.Get("ETag") != "" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: a refusal with the headers of the picture: %v", what, a.header)
		}
	}
	const page = "<html>what somebody else's server says to everything</html>"
	if err := w.cfg.Objects.Put(soon(t), row.Key, "text/html", strings.NewReader(page), int64(len(page))); err != nil {
		t.Fatal(err)
	}
	refused("other bytes")
	if err := w.cfg.Objects.Delete(soon(t), row.Key); err != nil {
		t.Fatal(err)
	}
	refused("no bytes")
}

func TestBridge(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	w.room(ada, "r1", "public")
	w.room(ada, "secret", "private")
	update := cmd{"type": "canvas_update", "hash": "abc"}
	for _, path := range []string{"/parties/main/r1", "/party/r1"} {
		w.call("POST", path, "", update).ok(200)
	}
	w.cached("canvas:r1:latest", "abc")
	w.call("POST", "/parties/main/r1", "", `{"type":"canvas_update","hash":"`+strings.Repeat("h", maxBridgeHash)+`"}`, "Content-Type", "text/plain;charset=UTF-8").ok(200)
	for _, bad := range []any{"", "x", "[]", cmd{}, cmd{"type": "other", "hash": "h"}, cmd{"type": "canvas_update", "hash": ""}, cmd{"type": "canvas_update", "hash": 1},
		cmd{"type": "canvas_update", "hash": strings.Repeat("h", maxBridgeHash+1)}} {
		w.call("POST", "/parties/main/r1", "", bad).refused(400, "bad_request")
	}
	w.call("POST", "/parties/main/r1", "", cmd{"type": "canvas_update", "hash": strings.Repeat("h", maxBridgeBody)}).refused(413, "too_large")
	w.cached("canvas:r1:latest", strings.Repeat("h", maxBridgeHash))
	w.call("POST", "/parties/main/secret", "", update).refused(404, "not_found")
	w.call("POST", "/parties/main/secret", bob.token, update).refused(404, "not_found")
	w.call("POST", "/parties/main/secret?token="+ada.token, "", update).ok(200)
	w.call("POST", "/parties/main/unknown", "", update).refused(404, "not_found")
	w.call("POST", "/parties/registry/registry", "", update).refused(404, "not_found")
	if strings.Contains(w.logs.String(), ada.token) {
		t.Error("the token is in the log")
	}
}

func TestPage(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/", "/r/some-room", "/r/some-room?x=1", "/invite"} {
		a := w.call("GET", path, "", nil).ok(200)
		if !strings.Contains(string(a.body), "<title>Kanvas") || a.header.Get("Content-Security-Policy") != pageCSP("") || a.header.Get("Cache-Control") != "no-cache" ||
			a.header.Get("Content-Type") != "text/html; charset=utf-8" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, a.header)
		}
		w.call("GET", path, "", nil, "If-None-Match", a.header.Get("ETag")).ok(304)
	}
	js := w.call("GET", "/assets/index-abc123.js", "", nil).ok(200)
	if js.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || js.header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("%v", js.header)
	}
	if a := w.call("HEAD", "/", "", nil).ok(200); len(a.body) != 0 {
		t.Error("HEAD has a body")
	}
	for _, part := range []string{"default-src 'self'", "frame-ancestors 'none'", "connect-src 'self' ws: wss:", "img-src 'self' blob: data: https:"} {
		if !strings.Contains(pageCSP(""), part) {
			t.Errorf("no %s", part)
		}
	}
}

// TestPageMaySendFilesToTheStore: and nowhere else but here.
func TestPageMaySendFilesToTheStore(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.UploadOrigin = "https://store.example.com" })
	csp := w.call("GET", "/", "", nil).ok(200).header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "; connect-src 'self' ws: wss: https://store.example.com; ") {
		t.Error(csp)
	}
}

// TestBuiltPageIsServedWhole: every file that the real page names is there, with a type that browsers take.
func TestBuiltPageIsServedWhole(t *testing.T) {
	p, err := loadPage(web.Files())
	if err != nil || p.files["index.html"] == nil {
		t.Fatalf("no index.html (%v)", err)
	}
	named := regexp.MustCompile(`(?:src|href)="/([^"]+)"`).FindAllStringSubmatch(string(p.files["index.html"].body), -1)
	if len(named) < 2 {
		t.Fatalf("index.html names %d files", len(named))
	}
	for _, m := range named {
		if f := p.files[m[1]]; f == nil || f.kind == "application/octet-stream" {
			t.Errorf("%s: %+v", m[1], f)
		}
	}
}

func TestHealthReadinessAndMetrics(t *testing.T) {
	bad := Check{Name: "disk", OK: true}
	w := newWorld(t, func(c *Config) { c.Ready = func(context.Context) []Check { return []Check{bad} } })
	w.call("GET", "/healthz", "", nil).ok(200)
	if a := w.call("GET", "/readyz", "", nil).ok(200); a.str("durability") != "always" || a.str("status") != "ready" || len(a.list("checks")) != 1 {
		t.Errorf("%s", a.body)
	}
	bad = Check{Name: "disk", Detail: "full"}
	if a := w.call("GET", "/readyz", "", nil).ok(503); a.str("status") != "not_ready" {
		t.Errorf("%s", a.body)
	}
	w.room(w.guest("Ada"), "r1", "public")
	for range 3 {
		w.call("GET", fmt.Sprint("/v1/rooms/r", time.Now().UnixNano()), "", nil).refused(404, "not_found")
	}
	text := string(w.call("GET", "/metrics", "", nil).ok(200).body)
	for _, want := range []string{"kanvas_http_rooms_created_total 1", `kanvas_http_request_seconds_count{method="GET",route="/v1/rooms/:id",status="4xx"} 3`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

func TestNewNamesAllThatIsMissing(t *testing.T) {
	_, err := New(Config{})
	for _, name := range []string{"Rooms", "Users", "Preparer", "Queries", "Progress", "Objects", "Canvases", "Hub", "Auth", "Capabilities", "Sites"} {
		if err == nil || !strings.Contains(err.Error(), "Config."+name+" ") {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
}

// TestSlowReaderIsCut: an answer is written under a deadline a chunk, which moves on as the client takes them.
func TestSlowReaderIsCut(t *testing.T) {
	client, server := net.Pipe() // takes nothing until read
	defer client.Close()
	defer server.Close()
	rec := &pipeWriter{ResponseRecorder: httptest.NewRecorder(), conn: server}
	w := &chunkWriter{ResponseWriter: rec, control: http.NewResponseController(rec)}
	done := make(chan error, 1)
	go func() { _, err := w.Write(make([]byte, 3*chunk)); done <- err }()
	// Two chunks and a byte of the third: the writer is in its third write.
	if _, err := io.ReadFull(client, make([]byte, 2*chunk+1)); err != nil {
		t.Fatal(err)
	}
	if err := server.SetWriteDeadline(time.Now()); err != nil { // as if writeStall were over
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Fatal("a client that reads nothing is waited for")
	}
	if rec.deadlines < 3 {
		t.Errorf("%d deadlines for 3 chunks", rec.deadlines)
	}
}

type pipeWriter struct {
	*httptest.ResponseRecorder
	conn      net.Conn
	deadlines int
}

func (p *pipeWriter) Write(b []byte) (int, error) { return p.conn.Write(b) }
func (p *pipeWriter) SetWriteDeadline(t time.Time) error {
	p.deadlines++
	return p.conn.SetWriteDeadline(t)
}
