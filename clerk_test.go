package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/infinite-kanvas/kanvas/infra/clerk/clerktest"
)

const (
	clerkFrontEnd = "https://app.example.com"
	clerkWebhook  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// TestClerkSignsPeopleIn runs the program beside Clerk's parts: tokens by Clerk's own packages, keys and people from an address that answers as the
// Backend API does. People are who Clerk says on every road in, by their own names.
func TestClerkSignsPeopleIn(t *testing.T) {
	clerk := clerktest.Start(t)
	key := clerk.Key("ins_a", "")
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer sk_test_hush":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/v1/jwks":
			_, _ = w.Write(clerktest.Set(key))
		case r.URL.Path == "/v1/users/user_ann":
			_, _ = io.WriteString(w, `{"id":"user_ann","first_name":"Ann","last_name":"Example","updated_at":100}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer backend.Close()
	s := startServer(t, t.TempDir(), "127.0.0.1:0", "CLERK_SECRET_KEY=sk_test_hush", "CLERK_API_URL="+backend.URL, "CLERK_WEBHOOK_SECRET="+clerkWebhook,
		"CLERK_AUTHORIZED_PARTIES="+clerkFrontEnd, "KANVAS_ORIGINS="+clerkFrontEnd)
	now := time.Now()
	token := func(user string, more clerktest.Claims) string {
		c := clerktest.Claims{"azp": clerkFrontEnd, "sub": user, "sid": "sess_1", "iss": "https://clerk.example.com", "iat": now.Unix(), "nbf": now.Unix() - 10, "exp": now.Unix() + 3600}
		for k, v := range more {
			c[k] = v
		}
		return clerk.Token(key, nil, c, "", "")
	}
	call := func(method, path string, body any, headers ...string) (int, map[string]any) {
		t.Helper()
		var b []byte
		switch body := body.(type) {
		case nil:
		case string:
			b = []byte(body)
		default:
			b, _ = json.Marshal(body)
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+path, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var m map[string]any
		_ = json.NewDecoder(res.Body).Decode(&m) // some answers have no body
		return res.StatusCode, m
	}
	ann, bob := token("user_ann", nil), token("user_bob", nil)
	bearer := func(t string) []string { return []string{"Authorization", "Bearer " + t} }

	// By Authorization: known by name at once, as the Backend API was asked.
	if status, me := call("GET", "/v1/me", nil, bearer(ann)...); status != 200 || me["id"] != "user_ann" || me["name"] != "Ann Example" {
		t.Fatalf("%d %v", status, me)
	}
	// Unknown there: by what the webhook tells later.
	if status, me := call("GET", "/v1/me", nil, bearer(bob)...); status != 200 || me["name"] != "User _bob" {
		t.Fatalf("%d %v", status, me)
	}
	told := `{"type":"user.created","data":{"id":"user_bob","username":"bob the builder","updated_at":200}}`
	signed := clerk.Webhook(clerkWebhook, "msg_1", now.Unix(), told)
	if status, m := call("POST", "/api/clerk", told, "svix-id", signed.Get("svix-id"), "svix-timestamp", signed.Get("svix-timestamp"), "svix-signature", signed.Get("svix-signature")); status != 200 {
		t.Fatalf("%d %v", status, m)
	}
	// By the session cookie, with an Origin of ours and no other.
	cookie := "__session=" + bob
	for origin, want := range map[string]int{clerkFrontEnd: 200, "": 401, "https://evil.test": 403, "http://" + s.addr: 401, "null": 403} {
		headers := []string{"Cookie", cookie}
		if origin != "" {
			headers = append(headers, "Origin", origin)
		}
		if status, me := call("GET", "/v1/me", nil, headers...); status != want || want == 200 && me["name"] != "bob the builder" {
			t.Errorf("cookie with origin %q: %d %v", origin, status, me)
		}
	}
	for what, bad := range map[string]string{"expired": token("user_ann", clerktest.Claims{"exp": now.Unix() - 60}), "of another front end": token("user_ann", clerktest.Claims{"azp": "https://evil.test"}),
		"of a guest": token("guest_1", nil), "of the system": token("system", nil), "of nobody": token("anon:1", nil)} {
		if status, m := call("GET", "/v1/me", nil, bearer(bad)...); status != 401 || m["code"] != "unauthenticated" {
			t.Errorf("a token %s: %d %v", what, status, m)
		}
	}
	if status, m := call("POST", "/v1/rooms", map[string]any{"id": "studio", "name": "Studio", "visibility": "private"}, bearer(ann)...); status != 201 {
		t.Fatalf("%d %v", status, m)
	}
	if status, m := call("PUT", "/v1/rooms/studio/participants/user_bob", map[string]any{"role": "editor"}, bearer(ann)...); status != 200 || m["name"] != "bob the builder" {
		t.Fatalf("%d %v", status, m)
	}
	// By a socket's hello, and by the token parameter of old clients: real names in presence, cursors, chat and the list of participants.
	a := dialAs(t, "ws://"+s.addr+"/v1/rooms/studio/ws", "kanvas.v1")
	a.say(t, map[string]any{"type": "hello", "token": ann, "client": "c"})
	a.until(t, `"type":"presence","online"`, "Ann Example")
	b := dialAs(t, "ws://"+s.addr+"/parties/main/studio?_pk=bb&token="+bob, "")
	b.until(t, `"connection:info"`, "bob the builder")
	a.say(t, map[string]any{"type": "cursor", "x": 1, "y": 2})
	b.until(t, `"cursor:move"`, "Ann Example")
	b.say(t, map[string]any{"type": "chat:send", "data": map[string]any{"text": "hello"}})
	a.until(t, `"chat.posted"`, "bob the builder")
	_, people := call("GET", "/v1/rooms/studio/participants?min_revision=3", nil, bearer(ann)...)
	if list := fmt.Sprint(people["participants"]); !strings.Contains(list, "Ann Example") || !strings.Contains(list, "bob the builder") {
		t.Errorf("%v", people)
	}
	// Deleted: their sockets end, and their tokens count no more.
	gone := `{"type":"user.deleted","data":{"id":"user_bob","deleted":true}}`
	signed = clerk.Webhook(clerkWebhook, "msg_2", now.Unix(), gone)
	if status, m := call("POST", "/api/clerk", gone, "svix-id", signed.Get("svix-id"), "svix-timestamp", signed.Get("svix-timestamp"), "svix-signature", signed.Get("svix-signature")); status != 200 {
		t.Fatalf("%d %v", status, m)
	}
	b.ends(t)
	if status, m := call("GET", "/v1/me", nil, bearer(bob)...); status != 401 {
		t.Errorf("a deleted person's token: %d %v", status, m)
	}
	for _, secret := range []string{"sk_test_hush", "MfKQ9r8GK", ann[len(ann)-20:], bob[len(bob)-20:]} {
		if strings.Contains(s.out.String(), secret) {
			t.Errorf("the log holds a secret that begins with %.6s", secret)
		}
	}
}

// listener is a socket read frame by frame.
type listener struct{ ws *websocket.Conn }

func dialAs(t *testing.T, address, subprotocol string) listener {
	t.Helper()
	o := &websocket.DialOptions{}
	if subprotocol != "" {
		o.Subprotocols = []string{subprotocol}
	}
	ws, _, err := websocket.Dial(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	return listener{ws}
}

func (l listener) say(t *testing.T, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = l.ws.Write(t.Context(), websocket.MessageText, b)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// until reads on to a frame with all of the texts.
func (l listener) until(t *testing.T, texts ...string) {
	t.Helper()
	for {
		_, b, err := l.ws.Read(t.Context())
		if err != nil {
			t.Fatalf("before a frame with %q: %v", texts, err)
		}
		all := true
		for _, x := range texts {
			all = all && strings.Contains(string(b), x)
		}
		if all {
			return
		}
	}
}

// ends reads on to the end of the socket.
func (l listener) ends(t *testing.T) {
	t.Helper()
	for {
		if _, _, err := l.ws.Read(t.Context()); err != nil {
			if code := websocket.CloseStatus(err); code != 4401 {
				t.Errorf("ended by %v", err)
			}
			return
		}
	}
}
