package commands_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

func told(delivery, id, name string, asOf int64) commands.DirectoryChange {
	return commands.DirectoryChange{User: commands.DirectoryUser{ID: id, Name: name, Email: name + "@example.org", Avatar: "https://img.example/" + name, AsOf: asOf}, Delivery: delivery}
}

// Messages come again and in any order; the person is always what the newest said.
func TestDirectoryInAnyOrder(t *testing.T) {
	w := newWorkshop(t)
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 40 {
		id := fmt.Sprint("user_", round)
		list := []commands.DirectoryChange{told("m1", id, "one", 100), told("m2", id, "two", 200), told("m3", id, "three", 300), told("m4", id, "one", 400)}
		list = append(list, list...)
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		for _, c := range list {
			if err := w.people.ApplyDirectory(testContext(t), c); err != nil {
				t.Fatal(err)
			}
		}
		if p := w.people.Profile(testContext(t), id); p.Name != "one" {
			t.Errorf("%s is %q after %v", id, p.Name, list)
		}
		if n := len(allOf(t, w.log, events.User(id))); n > 4 {
			t.Errorf("%d commits of four messages", n)
		}
	}
}

func TestADeletedPersonStaysSo(t *testing.T) {
	w := newWorkshop(t)
	r := rand.New(rand.NewPCG(7, 8))
	for round := range 20 {
		id := fmt.Sprint("user_", round)
		gone := commands.DirectoryChange{User: commands.DirectoryUser{ID: id}, Deleted: true, Delivery: "m9"}
		list := []commands.DirectoryChange{told("m1", id, "one", 100), told("m2", id, "two", 200), gone, gone}
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		for _, c := range list {
			if err := w.people.ApplyDirectory(testContext(t), c); err != nil {
				t.Fatal(err)
			}
		}
		if p := w.people.Profile(testContext(t), id); p.Name != commands.DeletedName || !p.Deleted || p.Color != commands.ColorOf(id) {
			t.Errorf("%+v came back", p)
		}
		_, err := w.people.Ensure(testContext(t), id, commands.KindClerk, "again")
		wantCode(t, err, domain.CodeForbidden)
	}
}

func TestAMessageAtOnceIsOnce(t *testing.T) {
	w := newWorkshop(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			people := commands.NewPeople(commands.NewStreams(w.log, nil), w.sealer, nil)
			if err := people.ApplyDirectory(testContext(t), told("m1", "user_1", "Ann", 100)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	recs := allOf(t, w.log, events.User("user_1"))
	if len(recs) != 1 || !strings.Contains(string(recs[0].Payload), `"key":"m1"`) {
		t.Errorf("%d commits: %s", len(recs), recs[0].Payload)
	}
	for _, personal := range []string{"Ann", "example.org", "img.example"} {
		if strings.Contains(string(recs[0].Payload), personal) {
			t.Errorf("the log holds %s", personal)
		}
	}
	// Somebody who came by their token before the webhook did.
	if _, err := w.people.Ensure(testContext(t), "user_2", commands.KindClerk, "User er_2"); err != nil {
		t.Fatal(err)
	}
	if err := w.people.ApplyDirectory(testContext(t), told("m2", "user_2", "Bob", 1)); err != nil {
		t.Fatal(err)
	}
	if p := w.people.Profile(testContext(t), "user_2"); p.Name != "Bob" {
		t.Errorf("%+v", p)
	}
}

func TestWhatADirectoryMaySay(t *testing.T) {
	w := newWorkshop(t)
	for _, id := range []string{"", "a/b", domain.SystemID, "anon:1", "guest_1"} {
		wantCode(t, w.people.ApplyDirectory(testContext(t), told("m", id, "x", 1)), domain.CodeBadRequest)
	}
	for name, want := range map[string]string{"": "User er_1", " \t\n": "User er_1", "a\x00b\nc": "abc", "bad\xff": "bad", strings.Repeat("é", 100): strings.Repeat("é", 64)} {
		people := newWorkshop(t).people
		if err := people.ApplyDirectory(testContext(t), told("m", "user_1", name, 1)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if p := people.Profile(testContext(t), "user_1"); p.Name != want {
			t.Errorf("%q became %q", name, p.Name)
		}
	}
}

func TestClaims(t *testing.T) {
	w := newWorkshop(t)
	node := newNode(t, w.log)
	ctx := testContext(t)
	guest, err := w.people.CreateGuest(ctx, "Gus")
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"user_1", "user_2"} {
		if _, err := w.people.Ensure(ctx, user, commands.KindClerk, "Name"); err != nil {
			t.Fatal(err)
		}
	}
	rooms := []string{"own", "gone", "barred", "asked"}
	for _, room := range rooms {
		owner := guest.ID
		if room == "asked" {
			owner = "user_2"
		}
		mustDo(t, node, room, by(owner, domain.CreateRoom{Name: room, Visibility: domain.Private}))
	}
	mustDo(t, node, "own", by(guest.ID, add(t, "e")))
	mustDo(t, node, "gone", by(guest.ID, domain.DeleteRoom{}))
	mustDo(t, node, "barred", by(guest.ID, domain.SetRole{User: "user_1", Role: domain.RoleViewer}))
	mustDo(t, node, "barred", by(guest.ID, domain.RemoveParticipant{User: "user_1"}))
	mustDo(t, node, "asked", by("user_2", domain.SetRole{User: guest.ID, Role: domain.RoleCommenter}))
	list := func(_ context.Context, user string, yield func(string) bool) error {
		for _, r := range rooms {
			if !yield(r) {
				break
			}
		}
		return nil
	}
	claims := commands.NewClaims(w.people, node, list)
	wantCode(t, w.people.Claim(ctx, "nobody", "user_1"), domain.CodeNotFound)
	wantCode(t, w.people.Claim(ctx, "user_2", "user_1"), domain.CodeNotFound)
	for range 2 { // again changes nothing
		if err := w.people.Claim(ctx, guest.ID, "user_1"); err != nil {
			t.Fatal(err)
		}
		// As after a crash: the handler finds the claim in the log.
		for _, rec := range allOf(t, w.log, events.User(guest.ID)) {
			if err := claims.Handle(ctx, rec); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantCode(t, w.people.Claim(ctx, guest.ID, "user_2"), domain.CodeConflict)
	if p := w.people.Profile(ctx, guest.ID); p.ClaimedBy != "user_1" || p.Name != "Gus" {
		t.Errorf("%+v", p)
	}
	if guests, err := w.people.Guests(ctx, "user_1"); err != nil || fmt.Sprint(guests) != "["+guest.ID+"]" {
		t.Errorf("%v %v", guests, err)
	}
	for room, want := range map[string]domain.Role{"own": domain.RoleOwner, "asked": domain.RoleCommenter, "barred": ""} {
		v, err := node.View(ctx, room)
		if err != nil {
			t.Fatal(err)
		}
		if role, _ := v.RoleOf("user_1"); role != want {
			t.Errorf("in %s the user is %q", room, role)
		}
	}
	if cs := readRoom(t, w.log, "own"); cs[1].Events[0].Actor != guest.ID {
		t.Errorf("the element is %s's now", cs[1].Events[0].Actor)
	}
}
