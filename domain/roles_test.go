package domain

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

// What each command comes to for each role, on a room with one element, comment and step of everybody's. ok commands are decided;
// the others are forbidden.
func TestCommandsByRole(t *testing.T) {
	owner, editor, commenter, viewer := "olga", "ann", "carl", "vic"
	all := []string{owner, editor, commenter, viewer, "sam", "anon:1"} // sam and anon:1 have the default role, viewer
	tried := map[string]bool{}
	for _, c := range []struct {
		command Command
		ok      []string
	}{
		{UpdateRoom{Name: ptr("N")}, []string{owner}},
		{DeleteRoom{}, []string{owner}},
		{TransferRoom{"ann"}, []string{owner}},
		{RotateKey{}, []string{owner}},
		{ClaimParticipant{"zoe"}, all[:5]},
		{CreateInvite{ID: "j", Hash: codeHash("j"), Role: RoleViewer}, []string{owner}},
		{RevokeInvite{"i"}, []string{owner}},
		{RedeemInvite{codeHash("i")}, all[:5]},
		{Join{}, all},
		{Checkpoint{}, nil},
		{AdvanceGeneration{&events.GenerationStartedData{ID: "g"}}, nil},
		{FinishGeneration{ID: "g", Files: []GeneratedFile{{Asset: "a"}}}, nil},
		{ShowGeneration{ID: "g", ElementID: "p-g", Status: GenerationFailed}, nil},
		{asks("h"), []string{owner, editor}},
		{CancelGeneration{"g"}, []string{owner, editor}}, // ann's own
		{SetRole{"vic", RoleEditor}, []string{owner}},
		{RemoveParticipant{"zoe"}, []string{owner}},
		{shape(t, "n"), []string{owner, editor}},
		{set("e", "x", "9"), []string{owner, editor}},
		{RemoveElements{IDs: []string{"e"}}, []string{owner, editor}},
		{ReorderElements{IDs: []string{"e"}, To: "back"}, []string{owner, editor}},
		{PostChat{Sealed: "s"}, []string{owner, editor, commenter}},
		{AddComment{ID: "n", Sealed: "s"}, []string{owner, editor, commenter}},
		{ResolveComment{ID: "c"}, []string{owner, editor, commenter}},
		{Undo{}, []string{owner, editor}},
		{Redo{}, []string{owner, editor}},
		{Restore{}, []string{owner, editor}},
	} {
		for _, actor := range all {
			w := studio(t)
			w.must("olga", SetRole{"zoe", RoleViewer}, shape(t, "e"), shape(t, "f"), AddComment{ID: "c", Sealed: "s"}, UpdateRoom{DefaultRole: ptr(RoleViewer)},
				CreateInvite{ID: "i", Hash: codeHash("i"), Role: RoleViewer})
			w.must("ann", asks("g"))
			for _, who := range []string{owner, editor} { // something to undo and to redo
				w.must(who, set("e", who, "1"))
				w.must(who, set("e", who, "2"))
				w.must(who, Undo{})
			}
			name := c.command.CommandName()
			_, err := Decide(w.room, Actor{actor}, c.command, w.now)
			want, refusal := slices.Contains(c.ok, actor), CodeForbidden
			if actor == "anon:1" && name == "invite.redeem" {
				refusal = CodeUnauthenticated // nobody to let in
			}
			if actor == "anon:1" && name == "participant.claim" {
				want = true // which changes nothing
			}
			if want && err != nil || !want && codeOf(err) != refusal {
				t.Errorf("%s by %s: %v", name, actor, err)
			}
			if role, _ := w.room.RoleOf(actor); refusal == CodeForbidden && Allowed(role, name) != want {
				t.Errorf("Allowed(%s, %s) is %t", role, name, !want)
			}
			tried[name] = true
		}
	}
	for _, name := range CommandNames() {
		if !tried[name] && name != "room.create" {
			t.Errorf("%s was not tried", name)
		}
	}
	if Allowed("", "element.add") || Allowed(RoleOwner, "element.polish") {
		t.Error("no role or no command is allowed")
	}
}

// TestEveryCommandIsInTheTable reads this package's source for whatever has a CommandName, so that none is forgotten.
func TestEveryCommandIsInTheTable(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	method, found := regexp.MustCompile(`\) CommandName\(\) string\s*\{ return "([a-z_.]+)" \}`), []string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range method.FindAllSubmatch(b, -1) {
			found = append(found, string(m[1]))
		}
	}
	slices.Sort(found)
	if !slices.Equal(found, CommandNames()) {
		t.Errorf("commands %q, in the table %q", found, CommandNames())
	}
	for name := range parsers {
		if !slices.Contains(found, name) {
			t.Errorf("%s is parsed, but no command", name)
		}
	}
}

func TestWhoMayEnter(t *testing.T) {
	for _, v := range []Visibility{Public, Unlisted, Private} {
		w := studio(t)
		w.must("olga", UpdateRoom{Visibility: ptr(v), DefaultRole: ptr(RoleCommenter)})
		w.must("olga", RemoveParticipant{"vic"})
		for _, c := range []struct {
			user string
			role Role
			code Code
		}{{"olga", RoleOwner, ""}, {"ann", RoleEditor, ""}, {"vic", "", CodeForbidden}, {"sam", RoleCommenter, ""}, {"anon:7", RoleCommenter, ""}} {
			if v == Private && c.role == RoleCommenter {
				c.role, c.code = "", CodeNotFound
			}
			role, err := w.room.RoleOf(c.user)
			if role != c.role || codeOf(err) != c.code {
				t.Errorf("%s in a %s room: %q, %v", c.user, v, role, err)
			}
			if _, err := w.do(c.user, Join{}); codeOf(err) != c.code {
				t.Errorf("%s joins a %s room: %v", c.user, v, err)
			}
		}
		if _, is := w.room.people["sam"]; is != (v != Private) || w.room.people["anon:7"] != nil {
			t.Errorf("participants of a %s room: %v", v, w.room.Participants())
		}
		w.refused(CodeForbidden, "vic", PostChat{Sealed: "s"})
		w.must("olga", SetRole{"vic", RoleEditor})
		w.must("vic", shape(t, "e"))
		w.check()
	}
}

func TestParticipants(t *testing.T) {
	w := studio(t)
	if out := w.must("sam", Join{}); len(out.events) != 1 || *out.events[0].Payload.(*events.ParticipantJoinedData) != (events.ParticipantJoinedData{User: "sam", Role: "editor"}) {
		t.Fatalf("joined: %+v", out.events)
	}
	for _, none := range []outcome{w.must("sam", Join{}), w.must("anon:1", Join{}), w.must("olga", SetRole{"ann", RoleEditor})} {
		if len(none.events) != 0 {
			t.Errorf("changes nothing, but %+v", none.events)
		}
	}
	w.refused(CodeConflict, "olga", RemoveParticipant{"olga"})
	w.refused(CodeConflict, "olga", SetRole{"olga", RoleEditor})
	w.refused(CodeNotFound, "olga", RemoveParticipant{"nobody"})
	w.refused(CodeForbidden, "ann", RemoveParticipant{"bob"})
	for _, bad := range []SetRole{{"anon:1", RoleEditor}, {SystemID, RoleEditor}, {"a b", RoleEditor}, {"", RoleEditor}, {"ann", ""}, {"ann", "king"}} {
		w.refused(CodeInvalidCommand, "olga", bad)
	}
	w.must("olga", SetRole{"ann", RoleOwner})
	w.must("olga", RemoveParticipant{"olga"}) // leaves: ann is owner
	if len(w.must("ann", RemoveParticipant{"olga"}).events) != 0 {
		t.Error("removed twice")
	}
	w.refused(CodeForbidden, "olga", Join{})
	w.must("carl", RemoveParticipant{"carl"})
	var got []string
	for _, p := range w.room.Participants() {
		got = append(got, p.User+" "+string(p.Role))
	}
	if want := []string{"ann owner", "bob editor", "vic viewer", "sam editor"}; !slices.Equal(got, want) {
		t.Errorf("participants %q, want %q", got, want)
	}
	w.check()
}

func TestRoomsLife(t *testing.T) {
	w := newWorld(t)
	for _, c := range []Command{Join{}, shape(t, "e"), UpdateRoom{}, Undo{}, Checkpoint{}, DeleteRoom{}} {
		w.refused(CodeNotFound, "olga", c)
	}
	w.refused(CodeNotFound, SystemID, Checkpoint{})
	w.refused(CodeUnauthenticated, "", CreateRoom{})
	w.refused(CodeForbidden, SystemID, CreateRoom{})
	w.refused(CodeInvalidCommand, "anon:1", CreateRoom{Visibility: Private})
	w.refused(CodeInvalidCommand, "olga", CreateRoom{Visibility: "secret"})
	w.refused(CodeInvalidCommand, "olga", CreateRoom{DefaultRole: RoleOwner})
	w.refused(CodeInvalidCommand, "a b", CreateRoom{})
	out := w.must("olga", CreateRoom{Name: "A", Description: "two\nlines", Visibility: Private})
	if len(out.events) != 2 || !out.events[1].Cont || w.room.OwnerID() != "olga" || w.room.DefaultRole() != RoleEditor {
		t.Fatalf("created: %+v", out.events)
	}
	if len(w.must("olga", CreateRoom{Name: "B"}).events) != 0 {
		t.Error("created twice")
	}
	w.refused(CodeConflict, "ann", CreateRoom{Name: "A"})
	w.refused(CodeConflict, "anon:1", CreateRoom{Name: "A"})
	if len(w.must("olga", UpdateRoom{Name: ptr("A"), Visibility: ptr(Private)}).events) != 0 {
		t.Error("an update to what it is")
	}
	w.must("olga", UpdateRoom{Name: ptr("B"), Description: ptr("")})
	if w.room.Name() != "B" || w.room.Description() != "" || w.room.Visibility() != Private || w.room.UpdatedAt() != w.now || w.room.CreatedAt() >= w.now {
		t.Error("not updated")
	}
	updated := w.now
	w.must(SystemID, Checkpoint{})
	if len(w.must(SystemID, Checkpoint{}).events) != 0 || w.room.UpdatedAt() != updated {
		t.Error("a checkpoint of a checkpoint, or it counts as an update")
	}
	w.refused(CodeForbidden, SystemID, shape(t, "e"))
	w.check()
	w.must("olga", DeleteRoom{})
	w.refused(CodeNotFound, "olga", Join{})
	w.refused(CodeNotFound, SystemID, Checkpoint{})
	w.refused(CodeConflict, "olga", CreateRoom{Name: "r"})
	w.check()
}

func TestANameShowsSomething(t *testing.T) {
	w := studio(t)
	for _, name := range []string{"", " ", "\u00a0\u2003", "\u200b\u2060", "\ufeff"} {
		w.refused(CodeInvalidCommand, "olga", UpdateRoom{Name: &name})
		newWorld(t).refused(CodeInvalidCommand, "olga", CreateRoom{Name: name})
	}
	for _, name := range []string{"x", " x ", "👩‍🎨", "عربي", "\u200b."} {
		w.must("olga", UpdateRoom{Name: &name})
		newWorld(t).must("olga", CreateRoom{Name: name})
	}
}

func TestRoomsWithoutOwner(t *testing.T) {
	w := newWorld(t)
	w.must("anon:1", CreateRoom{Name: "r"}, shape(t, "e"))
	if len(w.must("anon:2", CreateRoom{Name: "r"}, set("e", "x", "1")).events) != 1 || w.room.OwnerID() != "" || w.room.Visibility() != Unlisted {
		t.Error("an anonymous connection to a room born by another")
	}
	w.refused(CodeConflict, "ann", CreateRoom{Name: "r"})
	w.must("ann", Join{})
	for _, who := range []string{"ann", "anon:1"} {
		w.refused(CodeForbidden, who, UpdateRoom{Name: ptr("mine")})
		w.refused(CodeForbidden, who, SetRole{who, RoleOwner})
	}
	w.check()
}
