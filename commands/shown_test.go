package commands_test

import (
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// An asset is shown to all who may enter a room that shows it, so only who may see it can show it.
func TestOnlyWhoMaySeeAnAssetShowsIt(t *testing.T) {
	w := newWorkshop(t)
	ctx := testContext(t)
	private := func(room, who string) {
		mustDo(t, w.d, room, by(who, domain.CreateRoom{Name: "Room", Visibility: domain.Private, DefaultRole: domain.RoleEditor}))
	}
	private("r", owner)
	private("theirs", "eve")
	stored, err := w.prepare(domain.RoleEditor, imageWith(t, dataURL("image/png", media(t)["image/png"].b)))
	if err != nil {
		t.Fatal(err)
	}
	src := srcOf(t, stored)
	mustDo(t, w.d, "r", by(owner, stored))
	if err := w.assets.Attach(ctx, "r", map[string]uint64{src[len("asset:"):]: 2}); err != nil {
		t.Fatal(err)
	}
	shows := func(p *commands.Preparation, room, who string) error {
		_, err := p.Prepare(ctx, room, domain.Actor{ID: who}, domain.RoleEditor, []domain.Command{sourcePatch(src)})
		return err
	}
	for _, p := range []*commands.Preparation{w.p, newPreparer(w)} { // also where nothing is remembered
		wantCode(t, shows(p, "theirs", "eve"), domain.CodeForbidden)
		if err := shows(p, "theirs", owner); err != nil {
			t.Errorf("who stored it: %v", err)
		}
		if err := shows(p, "r", "bob"); err != nil {
			t.Errorf("in the room that shows it: %v", err)
		}
	}
	mustDo(t, w.d, "r", by(owner, domain.SetRole{User: "eve", Role: domain.RoleViewer}))
	if err := shows(w.p, "theirs", "eve"); err != nil {
		t.Errorf("a participant of its room: %v", err)
	}
	mustDo(t, w.d, "r", by(owner, domain.RemoveParticipant{User: "eve"}))
	wantCode(t, shows(w.p, "theirs", "eve"), domain.CodeForbidden)

	// shown already, and not committed as attached yet
	mustDo(t, w.d, "theirs", by("eve", imageWith(t, src)))
	if err := shows(w.p, "theirs", "eve"); err != nil {
		t.Errorf("an element of the room shows it: %v", err)
	}
}
