package commands_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/forgotten"
)

func TestSumsAreThePersonsOwn(t *testing.T) {
	w := newWorkshop(t)
	ctx := testContext(t)
	sum := func(person, data string) string {
		t.Helper()
		s, err := w.sealer.Sum(ctx, person, []byte(data))
		if err != nil || len(s) != 64 {
			t.Fatalf("%q %v", s, err)
		}
		return s
	}
	plain := sha256.Sum256([]byte("hi"))
	if a := sum("ann", "hi"); a != sum("ann", "hi") || a == sum("ann", "ho") || a == sum("bob", "hi") || a == hex.EncodeToString(plain[:]) {
		t.Error("a sum tells what it is of, or does not tell it again")
	}
	if err := w.keys.Destroy(ctx, "ann"); err != nil {
		t.Fatal(err)
	}
	_, err := w.sealer.Sum(ctx, "ann", []byte("hi"))
	wantCode(t, err, domain.CodeForbidden)
}

// TestForgettingGoesOn: what a failure or a crash leaves is on the list, and done by whoever starts next; a guest that was claimed by somebody who was
// deleted goes with them, whichever came first; nobody is forgotten by a mistyped id.
func TestForgettingGoesOn(t *testing.T) {
	w := newWorkshop(t)
	ctx := testContext(t)
	path := filepath.Join(t.TempDir(), "forgotten")
	var list *forgotten.List
	var broken error
	begin := func() *commands.Forgetting {
		t.Helper()
		var err error
		if list, err = forgotten.Open(path); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = list.Close() }) // read only from here
		return commands.NewForgetting(commands.ForgetConfig{People: w.people, Sealer: w.sealer, Keys: w.keys, List: list, Scrub: func(context.Context) error { return broken }})
	}
	f := begin()
	guest, err := w.people.CreateGuest(ctx, "Gus")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.people.Ensure(ctx, "ann", commands.KindLocal, "Ann"); err != nil {
		t.Fatal(err)
	}
	for id, code := range map[string]domain.Code{"": domain.CodeBadRequest, domain.SystemID: domain.CodeBadRequest, "annn": domain.CodeNotFound, "anon:nobody": domain.CodeNotFound} {
		wantCode(t, f.Forget(ctx, id, func(string) {}), code)
	}
	broken = errors.New("disk full")
	if err := f.Forget(ctx, "ann", func(string) {}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	f = begin() // as after a crash
	if got := fmt.Sprint(list.Pending()); got != "[ann]" {
		t.Errorf("left to do: %s", got)
	}
	if _, ok, err := w.keys.Key(ctx, "ann", true); ok || err != nil {
		t.Errorf("the key is there: %v", err)
	}
	broken = nil
	f.Start()
	eventually(t, "all is done", func() bool { return len(list.Pending()) == 0 })
	f.Close()

	// The claim came before the deletion, and its link after it.
	if err := w.people.Claim(ctx, guest.ID, "ann"); err != nil {
		t.Fatal(err)
	}
	f = begin()
	f.Start()
	defer f.Close()
	for range 2 {
		var failed error
		err := w.log.Read(ctx, events.User(guest.ID), 1, func(rec events.Record) bool { failed = errors.Join(failed, f.Handle(ctx, rec)); return true })
		if err != nil || failed != nil {
			t.Fatal(err, failed)
		}
	}
	eventually(t, "all is done", func() bool { return list.Has(guest.ID) && len(list.Pending()) == 0 })
	if p := w.people.Profile(ctx, guest.ID); !p.Deleted || p.Name != commands.DeletedName {
		t.Errorf("%+v", p)
	}
	if deleted, err := w.people.Deleted(ctx, "bob"); deleted || err != nil {
		t.Errorf("somebody else: %v %v", deleted, err)
	}
}
