package api

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/clerk"
	"github.com/infinite-kanvas/kanvas/infra/clerk/clerktest"
)

const clerkSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func withClerk(t testing.TB) func(*Config) {
	w, err := clerk.NewWebhook(clerkSecret)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) { c.Directory = w }
}

// local is the token of somebody who has signed in, and is no guest.
func (w *world) local(id string) string {
	w.t.Helper()
	if _, err := w.cfg.Users.Ensure(soon(w.t), id, commands.KindLocal, "Name of "+id); err != nil {
		w.t.Fatal(err)
	}
	token, _, err := w.cfg.Auth.Tokens().Sign(id, "local", time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func clerkMessage(kind, id, name string, at int64) string {
	return fmt.Sprintf(`{"type":%q,"data":{"id":%q,"first_name":%q,"last_name":null,"email_addresses":[{"id":"e","email_address":"%s@example.org"}],"primary_email_address_id":"e","updated_at":%d}}`,
		kind, id, name, name, at)
}

func clerkHeaders(c *clerktest.Clerk, delivery, body string) (pairs []string) {
	h := c.Webhook(clerkSecret, delivery, time.Now().Unix(), body)
	for name := range h {
		pairs = append(pairs, name, h.Get(name))
	}
	return pairs
}

func TestClerkTellsWhoPeopleAre(t *testing.T) {
	c := clerktest.Start(t)
	w := newWorld(t, withClerk(t))
	tell := func(delivery, body string) *answer {
		t.Helper()
		return w.call("POST", "/api/clerk", "", body, clerkHeaders(c, delivery, body)...)
	}
	tell("msg_1", clerkMessage("user.created", "user_1", "Ann", 100)).ok(200)
	tell("msg_2", clerkMessage("user.updated", "user_1", "Anna", 200)).ok(200)
	tell("msg_1", clerkMessage("user.created", "user_1", "Ann", 100)).ok(200)      // again
	tell("msg_3", clerkMessage("user.updated", "user_1", "Too late", 150)).ok(200) // older
	tell("msg_4", `{"type":"session.created","data":{"id":"sess_1"}}`).ok(200)
	if p := w.cfg.Users.Profile(soon(t), "user_1"); p.Name != "Anna" {
		t.Errorf("%+v", p)
	}
	if err := w.cfg.Progress.WaitHead(soon(t)); err != nil {
		t.Fatal(err)
	}
	if row := w.userRow("user_1"); row != "Anna Anna@example.org" {
		t.Errorf("the row has %q", row)
	}
	good := clerkMessage("user.updated", "user_1", "Eve", 300)
	headers := clerkHeaders(c, "msg_5", good)
	w.call("POST", "/api/clerk", "", strings.Replace(good, "Eve", "Bad", 1), headers...).refused(401, "unauthenticated")
	w.call("POST", "/api/clerk", "", good).refused(401, "unauthenticated")
	bad := `{"type":"user.updated","data":{}}`
	w.call("POST", "/api/clerk", "", bad, clerkHeaders(c, "msg_6", bad)...).refused(400, "bad_request")
	w.call("POST", "/api/clerk", "", strings.Repeat("x", maxClerkBody+1), headers...).refused(413, "too_large")
	guest := strings.Replace(good, "user_1", "guest_1", 1)
	w.call("POST", "/api/clerk", "", guest, clerkHeaders(c, "msg_7", guest)...).refused(400, "bad_request")
	if p := w.cfg.Users.Profile(soon(t), "user_1"); p.Name != "Anna" {
		t.Errorf("refused, but now %+v", p)
	}
	tell("msg_8", `{"type":"user.deleted","data":{"id":"user_1","deleted":true}}`).ok(200)
	tell("msg_9", clerkMessage("user.updated", "user_1", "Back", 400)).ok(200)
	if p := w.cfg.Users.Profile(soon(t), "user_1"); p.Name != commands.DeletedName {
		t.Errorf("deleted, but now %+v", p)
	}
	if logs := w.logs.String(); strings.Contains(logs, "example.org") || strings.Contains(logs, "MfKQ9r8") {
		t.Error("the log of requests holds what was told")
	}
	newWorld(t).call("POST", "/api/clerk", "", good, headers...).refused(404, "not_found")
}

func TestAGuestIsClaimed(t *testing.T) {
	w := newWorld(t)
	gus, user, other := w.guest("Gus"), w.local("local_1"), w.local("local_2")
	room := w.room(gus, "mine", "private")
	w.call("POST", room+"/commands", gus.token, commandsBody(addText("a", "x"))).ok(200)
	w.call("GET", room, user, nil).refused(404, "not_found")
	for range 2 {
		me := w.call("POST", "/v1/me/claim", user, cmd{"token": gus.token}).ok(200)
		if me.str("id") != "local_1" || fmt.Sprint(me.list("claimed")) != "["+gus.id+"]" {
			t.Errorf("%s", me.body)
		}
	}
	w.call("POST", "/v1/me/claim", other, cmd{"token": gus.token}).refused(409, "conflict")
	if a := w.call("GET", room, user, nil).ok(200); a.str("role") != "owner" {
		t.Errorf("%s", a.body)
	}
	if a := w.call("GET", "/v1/me", gus.token, nil).ok(200); a.str("claimed_by") != "local_1" {
		t.Errorf("%s", a.body)
	}
	people := w.call("GET", room+"/participants?min_revision=1", user, nil).ok(200).list("participants")
	if first := people[0].(cmd); first["user_id"] != gus.id || first["claimed_by"] != "local_1" || len(people) != 2 {
		t.Errorf("%v", people)
	}
	for c := range w.commits("mine") {
		for i := range c.Events {
			if e := &c.Events[i]; e.Type == events.ElementAdded && e.Actor != gus.id {
				t.Errorf("the element is %s's now", e.Actor)
			}
		}
	}
	expired, _, err := w.cfg.Auth.Tokens().Sign(w.guest("Old").id, "guest", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Minute)
	for _, bad := range []any{cmd{}, cmd{"token": 7}, cmd{"token": ""}, cmd{"token": "x.y.z"}, cmd{"token": user}, cmd{"token": expired}, "[]"} {
		w.call("POST", "/v1/me/claim", user, bad).refused(400, string(domain.CodeBadRequest))
	}
	w.call("POST", "/v1/me/claim", "", cmd{"token": gus.token}).refused(401, "unauthenticated")
	w.call("POST", "/v1/me/claim", w.guest("Eve").token, cmd{"token": gus.token}).refused(403, "forbidden")
}

// userRow reads a person's name and e-mail from the file of the tables, as the front end does.
func (w *world) userRow(id string) string {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.dir+"/kanvas.db?mode=ro")
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	var name, email string
	if err := db.QueryRowContext(soon(w.t), "SELECT name, email FROM users WHERE id = ?", id).Scan(&name, &email); err != nil {
		w.t.Fatal(err)
	}
	return name + " " + email
}
