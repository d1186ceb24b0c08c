package commands_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

func TestGuests(t *testing.T) {
	w := newWorkshop(t)
	p, err := w.people.CreateGuest(testContext(t), "  Ada  ")
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "Ada" || !strings.HasPrefix(p.ID, "guest_") || len(p.ID) != 38 || len(p.Color) != 7 {
		t.Fatalf("%+v", p)
	}
	other := commands.NewPeople(commands.NewStreams(w.log, nil), commands.NewSealer(w.keys), nil)
	if got := other.Profile(testContext(t), p.ID); got != p {
		t.Fatalf("another process sees %+v", got)
	}
	for _, rec := range allOf(t, w.log, events.User(p.ID)) {
		if strings.Contains(string(rec.Payload), "Ada") {
			t.Error("the log holds the name")
		}
	}
	if p, err := w.people.CreateGuest(testContext(t), " \t"); err != nil || p.Name != "Guest" {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := w.people.CreateGuest(testContext(t), strings.Repeat("é", domain.MaxPersonName/2)); err != nil || len(p.Name) != domain.MaxPersonName {
		t.Errorf("a name at the limit: %v", err)
	}
	_, err = w.people.CreateGuest(testContext(t), strings.Repeat("x", domain.MaxPersonName+1))
	wantCode(t, err, domain.CodeTooLarge)
	for _, name := range []string{"a\x00b", "a\nb", "a\x7fb", "a\xffb"} {
		_, err = w.people.CreateGuest(testContext(t), name)
		wantCode(t, err, domain.CodeBadRequest)
	}
}

func allOf(t testing.TB, log commands.Log, s events.Stream) (recs []events.Record) {
	t.Helper()
	if err := log.Read(testContext(t), s, 1, func(r events.Record) bool { recs = append(recs, r); return true }); err != nil {
		t.Fatal(err)
	}
	return recs
}

func TestEnsureIsOnce(t *testing.T) {
	w := newWorkshop(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			people := commands.NewPeople(commands.NewStreams(w.log, nil), w.sealer, nil)
			if p, err := people.Ensure(testContext(t), "user_1", commands.KindLocal, "Eve"); err != nil || p.Name != "Eve" {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
	wg.Wait()
	if n := len(allOf(t, w.log, events.User("user_1"))); n != 1 {
		t.Fatalf("%d commits", n)
	}
	for _, id := range []string{"", "a/b", domain.SystemID, "anon:1"} {
		_, err := w.people.Ensure(testContext(t), id, commands.KindLocal, "x")
		wantCode(t, err, domain.CodeBadRequest)
	}
}

func TestProfileOfUnknownPeople(t *testing.T) {
	w := newWorkshop(t)
	for _, id := range []string{"nobody", "anon:abc", domain.SystemID, "a/b", ""} {
		p := w.people.Profile(testContext(t), id)
		if p.ID != id || p.Name != "" || p.Color != commands.ColorOf(id) {
			t.Errorf("%+v", p)
		}
	}
}

// Forgetting somebody is destroying the key: the name is gone, the stream still verifies, and the person is not made again.
func TestForgottenPeople(t *testing.T) {
	w := newWorkshop(t)
	p, err := w.people.CreateGuest(testContext(t), "Ada")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := w.sealer.Seal(testContext(t), p.ID, "text")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.keys.Destroy(testContext(t), p.ID); err != nil {
		t.Fatal(err)
	}
	w.people.Forget(p.ID)
	if got := w.people.Profile(testContext(t), p.ID); got.Name != "" || got.Color != p.Color {
		t.Errorf("%+v", got)
	}
	if _, ok := w.people.Open(testContext(t), p.ID, sealed); ok {
		t.Error("the text still opens")
	}
	_, err = w.sealer.Seal(testContext(t), p.ID, "more")
	wantCode(t, err, domain.CodeForbidden)
}
