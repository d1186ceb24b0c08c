package api

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
)

func TestAnInviteOpensAPrivateRoom(t *testing.T) {
	w := newWorld(t)
	ada, bob, eve := w.guest("Ada"), w.guest("Bob"), w.guest("Eve")
	room := w.room(ada, "private-1", "private")
	w.call("GET", room, bob.token, nil).refused(404, "not_found")
	made := w.call("POST", room+"/invites", ada.token, cmd{"role": "commenter", "uses": 1}).ok(201)
	code := made.str("code")
	if made.str("url") != w.server.URL+"/invite#"+code || !strings.HasPrefix(code, "private-1.") {
		t.Errorf("%s", made.body)
	}
	got := w.call("POST", "/v1/invites/"+code, bob.token, nil).ok(200)
	if got.str("id") != "private-1" || got.str("role") != "commenter" {
		t.Errorf("%s", got.body)
	}
	w.call("POST", "/v1/invites/"+code, bob.token, nil).ok(200) // again changes nothing
	w.call("POST", "/v1/invites/"+code, eve.token, nil).refused(404, "not_found")
	w.call("POST", "/v1/invites/"+code, "", nil).refused(401, "unauthenticated")
	list := w.call("GET", room+"/invites", ada.token, nil).ok(200)
	if one := list.list("invites")[0].(cmd); one["used"] != 1.0 || one["uses"] != 1.0 || one["created_by"] != ada.id || strings.Contains(string(list.body), code[10:]) {
		t.Errorf("%s", list.body)
	}
	w.call("DELETE", room+"/invites/"+made.str("id"), ada.token, nil).ok(204)
	if n := len(w.call("GET", room+"/invites", ada.token, nil).list("invites")); n != 0 {
		t.Errorf("%d invites after the only one was revoked", n)
	}
	w.call("GET", room+"/canvas", bob.token, nil).ok(200) // who came by it stays
	// The code is a secret: neither the log of events, nor what clients see of it, nor the log of requests holds it.
	seen := w.call("GET", room+"/events", bob.token, nil).ok(200)
	secret := strings.Split(code, ".")[1]
	for c := range w.commits("private-1") {
		b, err := events.Encode(c)
		if err != nil || strings.Contains(string(b), secret) {
			t.Errorf("the log has the code, or %v", err)
		}
	}
	if strings.Contains(string(seen.body), secret) || strings.Contains(string(seen.body), inviteHash(code)) {
		t.Errorf("participants see the code or its hash: %s", seen.body)
	}
	if strings.Contains(w.logs.String(), secret) {
		t.Error("the log of requests has the code")
	}
}

// commits yields what the log has of a room.
func (w *world) commits(room string) func(func(*events.Commit) bool) {
	return func(yield func(*events.Commit) bool) {
		if err := w.rooms.Commits(soon(w.t), room, 0, yield); err != nil {
			w.t.Error(err)
		}
	}
}

func TestBadInvitesOverHTTP(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	room := w.room(ada, "r1", "private")
	for _, x := range []struct {
		body   any
		status int
		code   string
	}{
		{cmd{}, 400, "bad_request"}, {cmd{"role": "owner"}, 400, "bad_request"}, {cmd{"role": 7}, 400, "bad_request"},
		{cmd{"role": "viewer", "uses": 0}, 400, "bad_request"}, {cmd{"role": "viewer", "uses": -1}, 400, "bad_request"}, {cmd{"role": "viewer", "uses": 1.5}, 400, "bad_request"},
		{cmd{"role": "viewer", "uses": 10_001}, 422, "invalid_command"}, {cmd{"role": "viewer", "expires_at": "tomorrow"}, 400, "bad_request"},
		{cmd{"role": "viewer", "expires_at": "2001-01-01T00:00:00Z"}, 422, "invalid_command"}, {cmd{"role": "viewer", "expires_at": "0001-01-01T00:00:00Z"}, 422, "invalid_command"},
		{cmd{"role": "viewer", "expire": "never"}, 400, "bad_request"}, {"[]", 400, "bad_request"}, {"{", 400, "bad_request"},
	} {
		w.call("POST", room+"/invites", ada.token, x.body).refused(x.status, x.code)
	}
	if n := len(w.call("GET", room+"/invites", ada.token, nil).list("invites")); n != 0 {
		t.Errorf("%d invites", n)
	}
	for _, code := range []string{"r1", "r1.", ".x", "r1.short", "r1." + strings.Repeat("A", 43), "nope." + strings.Repeat("A", 43), "a%2fb." + strings.Repeat("A", 43), strings.Repeat("x", 3000)} {
		w.call("POST", "/v1/invites/"+code, bob.token, nil).refused(404, "not_found")
	}
	w.call("DELETE", room+"/invites/nope", ada.token, nil).refused(404, "not_found")
}

func TestAnInviteExpires(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	room := w.room(ada, "r1", "private")
	at := time.Now().Add(300 * time.Millisecond)
	code := w.call("POST", room+"/invites", ada.token, cmd{"role": "viewer", "expires_at": at.UTC().Format(time.RFC3339Nano)}).ok(201).str("code")
	for !time.Now().After(at) { // the room goes by its own clock
		w.call("GET", room+"/invites", ada.token, nil).ok(200)
	}
	if a := w.call("POST", "/v1/invites/"+code, bob.token, nil).refused(404, "not_found"); !strings.Contains(a.str("detail"), "expired") {
		t.Errorf("%s", a.body)
	}
}

// Uses are counted in the room's stream: of many who come at once, exactly as many get in as the invite says.
func TestUsesAreExactInACrowd(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.RateLimits = false })
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "private")
	code := w.call("POST", room+"/invites", ada.token, cmd{"role": "editor", "uses": 7}).ok(201).str("code")
	var in, out atomic.Int32
	var crowd sync.WaitGroup
	for range 40 {
		p := w.guest("Somebody")
		for range 2 { // each twice at once: a use is a person's
			crowd.Go(func() {
				switch a := w.call("POST", "/v1/invites/"+code, p.token, nil); a.status {
				case 200:
					in.Add(1)
				case 404:
					out.Add(1)
				default:
					t.Errorf("%d %s", a.status, a.body)
				}
			})
		}
	}
	crowd.Wait()
	redeemed := 0
	for c := range w.commits("r1") {
		for i := range c.Events {
			if c.Events[i].Type == events.InviteRedeemed {
				redeemed++
			}
		}
	}
	if redeemed != 7 || in.Load() != 14 || out.Load() != 66 {
		t.Errorf("%d events, %d let in, %d refused", redeemed, in.Load(), out.Load())
	}
}

func TestTransferOverHTTP(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	room := w.room(ada, "r1", "public")
	w.call("POST", room+"/transfer", ada.token, cmd{"user_id": bob.id}).refused(404, "not_found")
	w.call("PUT", room+"/participants/"+bob.id, ada.token, cmd{"role": "viewer"}).ok(200)
	if a := w.call("POST", room+"/transfer", ada.token, cmd{"user_id": bob.id}).ok(200); a.str("owner_id") != bob.id || a.str("role") != "editor" {
		t.Errorf("%s", a.body)
	}
	w.call("DELETE", room, ada.token, nil).refused(403, "forbidden")
	a := w.call("GET", "/v1/rooms?min_revision=1", bob.token, nil).ok(200)
	if row := a.list("rooms")[0].(cmd); row["owner_id"] != bob.id || row["role"] != "owner" {
		t.Errorf("%s", a.body)
	}
	w.call("DELETE", room, bob.token, nil).ok(204)
}
