package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/api/auth"
)

func TestGuestsAndMe(t *testing.T) {
	w := newWorld(t)
	a := w.call("POST", "/v1/guests", "", cmd{"name": "  Ada "}).ok(201)
	user := a.json()["user"].(map[string]any)
	if user["name"] != "Ada" || user["id"] == "" || !strings.HasPrefix(user["color"].(string), "#") {
		t.Fatalf("%s", a.body)
	}
	expires, err := time.Parse(time.RFC3339, a.str("expires_at"))
	if err != nil || time.Until(expires) < auth.GuestLife-time.Minute || time.Until(expires) > auth.GuestLife {
		t.Errorf("expires_at %v %v", expires, err)
	}
	token := a.str("token")
	me := w.call("GET", "/v1/me", token, nil).ok(200)
	if me.str("id") != user["id"] || me.str("name") != "Ada" || me.json()["token"] != nil {
		t.Errorf("%s", me.body)
	}
	w.clock.advance(auth.GuestLife/2 + time.Hour)
	fresh := w.call("GET", "/v1/me", token, nil).ok(200).str("token")
	if fresh == token {
		t.Error("the fresh token is the old one")
	}
	w.clock.advance(auth.GuestLife / 2)
	w.call("GET", "/v1/me", token, nil).refused(401, "unauthenticated")
	w.call("GET", "/v1/me", fresh, nil).ok(200)
	w.call("GET", "/v1/me", "", nil).refused(401, "unauthenticated")
	if got := w.call("GET", "/v1/me", "", nil).header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
		t.Errorf("WWW-Authenticate: %q", got)
	}
}

func TestRoomIsMadeOnceByItsOwner(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	body := cmd{"id": "atelier", "name": "Atelier", "description": "d", "visibility": "public"}
	first := w.call("POST", "/v1/rooms", ada.token, body).ok(201)
	if first.header.Get("Location") != "/v1/rooms/atelier" || first.str("role") != "owner" || first.str("owner_id") != ada.id || first.str("default_role") != "editor" {
		t.Errorf("%v %s", first.header, first.body)
	}
	again := w.call("POST", "/v1/rooms", ada.token, body).ok(200)
	if again.num("revision") != first.num("revision") {
		t.Errorf("made twice: %s", again.body)
	}
	w.call("POST", "/v1/rooms", bob.token, body).refused(409, "conflict")
	w.call("DELETE", "/v1/rooms/atelier", bob.token, nil).refused(403, "forbidden")
	w.call("DELETE", "/v1/rooms/atelier", ada.token, nil).ok(204)
	w.call("GET", "/v1/rooms/atelier", ada.token, nil).refused(404, "not_found")
	w.call("DELETE", "/v1/rooms/atelier", ada.token, nil).refused(404, "not_found")
	w.call("POST", "/v1/rooms", ada.token, body).refused(409, "conflict")
	for _, blank := range []string{"", " \u2003", "\u200b"} {
		w.call("POST", "/v1/rooms", ada.token, cmd{"name": blank, "visibility": "public"}).refused(422, "invalid_command")
	}
	made := w.call("POST", "/v1/rooms", ada.token, cmd{"name": "No id", "visibility": "unlisted"}).ok(201)
	if made.header.Get("Location") != "/v1/rooms/"+made.str("id") {
		t.Errorf("Location %q of %s", made.header.Get("Location"), made.str("id"))
	}
}

func TestRoomIsUpdatedByItsOwner(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	room := w.room(ada, "r1", "public")
	got := w.call("PATCH", room, ada.token, cmd{"name": "New", "visibility": "unlisted", "default_role": "viewer"}).ok(200)
	if got.str("name") != "New" || got.str("visibility") != "unlisted" || got.str("default_role") != "viewer" || got.header.Get("Kanvas-Revision") != fmt.Sprint(got.num("revision")) {
		t.Errorf("%s", got.body)
	}
	if r := w.call("GET", room, bob.token, nil).ok(200); r.str("role") != "viewer" || r.str("name") != "New" {
		t.Errorf("%s", r.body)
	}
	w.call("PATCH", room, bob.token, cmd{"name": "Bob's"}).refused(403, "forbidden")
	w.call("PATCH", room, "", cmd{"name": "Nobody's"}).refused(401, "unauthenticated")
	w.call("PATCH", room, ada.token, cmd{"name": "Late"}, "If-Match", `"1"`).refused(409, "revision_conflict")
	if same := w.call("PATCH", room, ada.token, cmd{}).ok(200); same.num("revision") != got.num("revision") {
		t.Errorf("nothing changed, and the revision did: %s", same.body)
	}
}

func TestPrivateRoomsAreHiddenFromStrangersNotFromTheRemoved(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	room := w.room(ada, "secret", "private")
	paths := []string{"", "/canvas", "/events", "/participants"}
	for _, p := range paths {
		w.call("GET", room+p, bob.token, nil).refused(404, "not_found")
		w.call("GET", room+p, "", nil).refused(404, "not_found")
	}
	w.call("POST", room+"/commands", bob.token, commandsBody(addText("t", "x"))).refused(404, "not_found")
	w.call("POST", room+"/tickets", bob.token, nil).refused(404, "not_found")
	set := w.call("PUT", room+"/participants/"+bob.id, ada.token, cmd{"role": "viewer"}).ok(200)
	if set.str("role") != "viewer" || set.str("user_id") != bob.id || set.str("name") != "Bob" {
		t.Errorf("%s", set.body)
	}
	for _, p := range paths {
		w.call("GET", room+p, bob.token, nil).ok(200)
	}
	w.call("POST", room+"/commands", bob.token, commandsBody(addText("t", "x"))).refused(403, "forbidden")
	w.call("DELETE", room+"/participants/"+bob.id, ada.token, nil).ok(204)
	for _, p := range paths {
		w.call("GET", room+p, bob.token, nil).refused(403, "forbidden")
	}
	w.call("DELETE", room+"/participants/"+ada.id, ada.token, nil) // whatever it says:
	w.call("GET", room, ada.token, nil).ok(200)                    // the last owner stays
}

func TestListOfPublicRoomsReadsYourWrites(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	for i := range 5 {
		w.room(ada, fmt.Sprintf("pub%d", i), "public")
	}
	w.room(ada, "hidden", "unlisted")
	w.room(ada, "mine", "private")
	var got []string
	path := "/v1/rooms?visibility=public&limit=2&min_revision=1"
	for {
		a := w.call("GET", path, "", nil).ok(200)
		for _, r := range a.list("rooms") {
			got = append(got, r.(map[string]any)["id"].(string))
		}
		next, more := a.json()["next_cursor"].(string)
		if !more {
			break
		}
		path = "/v1/rooms?visibility=public&limit=2&cursor=" + next
	}
	if strings.Join(got, " ") != "pub4 pub3 pub2 pub1 pub0" {
		t.Errorf("%v", got)
	}
	w.call("GET", "/v1/rooms?cursor=nonsense", "", nil).refused(400, "bad_request")
	w.call("GET", "/v1/rooms?visibility=private", ada.token, nil).refused(400, "bad_request")
	w.call("GET", "/v1/rooms?limit=0", "", nil).refused(400, "bad_request")
	w.call("GET", "/v1/rooms?limit=1000000", "", nil).ok(200)
	w.call("GET", "/v1/rooms?min_revision=x", "", nil).refused(400, "bad_request")
}

func TestListSaysWhatTheCallerIs(t *testing.T) {
	w := newWorld(t)
	ada, bob, eve := w.guest("Ada"), w.guest("Bob"), w.guest("Eve")
	room := w.room(ada, "r1", "public")
	w.call("PUT", room+"/participants/"+bob.id, ada.token, cmd{"role": "viewer"}).ok(200)
	w.call("PUT", room+"/participants/"+eve.id, ada.token, cmd{"role": "viewer"}).ok(200)
	w.call("DELETE", room+"/participants/"+eve.id, ada.token, nil)
	for token, want := range map[string]string{ada.token: "owner", bob.token: "viewer", eve.token: "", w.guest("New").token: "editor", "": "editor"} {
		rooms := w.call("GET", "/v1/rooms?min_revision=1", token, nil).ok(200).list("rooms")
		if len(rooms) != 1 || rooms[0].(map[string]any)["role"] != want {
			t.Errorf("%v, want role %q", rooms, want)
		}
	}
}

func TestParticipantsReadYourWritesOrSayThatTheyCannot(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	var last string
	for i := range 3 {
		last = w.call("PUT", room+"/participants/"+w.guest(fmt.Sprint("P", i)).id, ada.token, cmd{"role": "viewer"}).ok(200).header.Get("Kanvas-Revision")
	}
	var names []string
	path := room + "/participants?limit=3&min_revision=" + last
	for path != "" {
		a := w.call("GET", path, ada.token, nil).ok(200)
		for _, p := range a.list("participants") {
			names = append(names, p.(map[string]any)["name"].(string))
		}
		path = ""
		if next, ok := a.json()["next_cursor"].(string); ok {
			path = room + "/participants?limit=3&cursor=" + next
		}
	}
	if strings.Join(names, " ") != "Ada P0 P1 P2" {
		t.Errorf("%v", names)
	}
	w.call("GET", room+"/participants?cursor=x", ada.token, nil).refused(400, "bad_request")
	w.stop()
	began := time.Now()
	w.call("GET", room+"/participants?min_revision=99", ada.token, nil).refused(504, "projection_behind")
	if took := time.Since(began); took < minRevisionWait || took > 2*minRevisionWait {
		t.Errorf("waited %s", took)
	}
}

func TestParticipantRefusals(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	room := w.room(ada, "r1", "public")
	for _, x := range []struct {
		method, user, token string
		body                any
		status              int
		code                string
	}{
		{"PUT", bob.id, "", cmd{"role": "editor"}, 401, "unauthenticated"},
		{"PUT", bob.id, bob.token, cmd{"role": "owner"}, 403, "forbidden"},
		{"PUT", bob.id, ada.token, cmd{"role": "king"}, 400, "bad_request"},
		{"PUT", bob.id, ada.token, cmd{}, 400, "bad_request"},
		{"PUT", bob.id, ada.token, cmd{"role": 1}, 400, "bad_request"},
		{"PUT", bob.id, ada.token, cmd{"role": nil}, 400, "bad_request"},
		{"PUT", "..%2F..", ada.token, cmd{"role": "editor"}, 400, "bad_request"},
		{"PUT", strings.Repeat("u", 129), ada.token, cmd{"role": "editor"}, 400, "bad_request"},
		{"PUT", "nobody", ada.token, cmd{"role": "editor"}, 404, "not_found"},
		{"PUT", "nobody", bob.token, cmd{"role": "editor"}, 403, "forbidden"}, // who may not set roles does not learn who is known
		{"DELETE", ada.id, bob.token, nil, 403, "forbidden"},
		{"DELETE", "", ada.token, nil, 404, "not_found"},
	} {
		w.call(x.method, room+"/participants/"+x.user, x.token, x.body).refused(x.status, x.code)
	}
	setRole := commandsBody(cmd{"command": "participant.set_role", "data": cmd{"user_id": "nobody", "role": "editor"}})
	w.call("POST", room+"/commands", ada.token, setRole).refused(404, "not_found")
	w.call("PUT", room+"/participants/"+bob.id, ada.token, cmd{"role": "owner"}).ok(200)
	w.call("DELETE", room+"/participants/"+ada.id, bob.token, nil).ok(http.StatusNoContent)
	w.call("GET", room, ada.token, nil).refused(403, "forbidden") // public, but she was removed
}
