package domain

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

func codeHash(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}

func invitation(id string, role Role, uses int) CreateInvite {
	return CreateInvite{ID: id, Hash: codeHash(id), Role: role, Uses: uses}
}

func redeemed(out outcome) bool {
	return slices.ContainsFunc(out.events, func(e events.Event) bool { return e.Type == events.InviteRedeemed })
}

func TestAnInviteLetsStrangersIntoAPrivateRoom(t *testing.T) {
	w := studio(t)
	w.must("olga", UpdateRoom{Visibility: ptr(Private)}, invitation("i", RoleCommenter, 0))
	w.refused(CodeNotFound, "zoe", Join{})
	_, guessed := w.do("zoe", RedeemInvite{codeHash("guess")})
	if _, err := newWorld(t).do("zoe", RedeemInvite{codeHash("guess")}); err == nil || guessed == nil || err.Error() != guessed.Error() {
		t.Errorf("a guess tells whether a room is there: %v, %v", guessed, err)
	}
	out := w.must("zoe", RedeemInvite{codeHash("i")})
	if len(out.events) != 2 || *out.events[1].Payload.(*events.ParticipantJoinedData) != (events.ParticipantJoinedData{User: "zoe", Role: "commenter"}) {
		t.Fatalf("%+v", out.events)
	}
	if role, err := w.room.RoleOf("zoe"); role != RoleCommenter || err != nil {
		t.Errorf("%s, %v", role, err)
	}
	for _, hash := range []string{codeHash("other"), "i", ""} {
		w.refused(CodeNotFound, "yan", RedeemInvite{hash})
	}
	w.refused(CodeUnauthenticated, "anon:1", RedeemInvite{codeHash("i")})
	w.refused(CodeForbidden, SystemID, RedeemInvite{codeHash("i")})
	w.must("olga", RemoveParticipant{"zoe"})
	w.refused(CodeForbidden, "zoe", RedeemInvite{codeHash("i")})
	w.must("olga", RevokeInvite{"i"})
	w.refused(CodeNotFound, "yan", RedeemInvite{codeHash("i")})
	w.refused(CodeNotFound, "olga", RevokeInvite{"i"})
	w.check()
}

func TestAnInviteCountsPeopleAndNeverMakesARoleWeaker(t *testing.T) {
	w := studio(t)
	w.must("olga", invitation("view", RoleViewer, 2), invitation("edit", RoleEditor, 1))
	for _, who := range []string{"olga", "ann", "vic", "zoe", "zoe"} { // all but zoe have that much already
		if out := w.must(who, RedeemInvite{codeHash("view")}); redeemed(out) != (who == "zoe" && w.room.Invites()[0].Used == 1 && len(out.events) > 0) {
			t.Errorf("%s: %+v", who, out.events)
		}
	}
	if used := w.room.Invites()[0].Used; used != 1 {
		t.Fatalf("%d uses", used)
	}
	if out := w.must("vic", RedeemInvite{codeHash("edit")}); len(out.events) != 2 || out.events[1].Type != events.ParticipantRoleChanged {
		t.Errorf("a viewer made an editor: %+v", out.events)
	}
	w.refused(CodeNotFound, "zoe", RedeemInvite{codeHash("edit")}) // used up
	w.must("vic", RedeemInvite{codeHash("edit")})                  // whose door it opened once
	w.must("yan", RedeemInvite{codeHash("view")})
	w.refused(CodeNotFound, "xia", RedeemInvite{codeHash("view")})
	w.check()
}

func TestAnInviteExpiresByEventTime(t *testing.T) {
	w := studio(t)
	at := w.now + 100
	c := invitation("i", RoleEditor, 0)
	c.ExpiresAt = at
	w.must("olga", c)
	w.now = at - 11 // do moves it by 10
	w.must("zoe", RedeemInvite{codeHash("i")})
	w.now = at - 10
	w.refused(CodeNotFound, "yan", RedeemInvite{codeHash("i")})
	w.must("zoe", RedeemInvite{codeHash("i")})
	c.ID, c.Hash = "j", codeHash("j")
	w.refused(CodeInvalidCommand, "olga", c)
	w.check()
}

func TestBadInvitesAreRefused(t *testing.T) {
	w := studio(t)
	w.must("olga", invitation("i", RoleEditor, 0))
	for _, bad := range []CreateInvite{
		invitation("j", RoleOwner, 0), invitation("j", "", 0), invitation("j", "king", 0), invitation("j", RoleEditor, -1), invitation("j", RoleEditor, MaxInviteUses+1),
		{ID: "j", Hash: "code", Role: RoleEditor}, {Hash: codeHash("j"), Role: RoleEditor}, {ID: "j", Hash: codeHash("j"), Role: RoleEditor, ExpiresAt: -1},
		{ID: "j", Hash: codeHash("j"), Role: RoleEditor, ExpiresAt: maxExpiry + 1},
	} {
		w.refused(CodeInvalidCommand, "olga", bad)
	}
	w.refused(CodeConflict, "olga", invitation("i", RoleEditor, 0))
	w.refused(CodeConflict, "olga", CreateInvite{ID: "j", Hash: codeHash("i"), Role: RoleEditor})
	w.must("olga", invitation("j", RoleEditor, MaxInviteUses))
}

func TestInvitesAreBoundedAndThoseThatAreOverMakeRoom(t *testing.T) {
	w := studio(t)
	w.every = 50
	for i := range MaxInvites {
		w.must("olga", invitation(fmt.Sprint("i", i), RoleViewer, 1))
	}
	w.refused(CodeRoomFull, "olga", invitation("more", RoleViewer, 0))
	w.must("zoe", RedeemInvite{codeHash("i7")})
	w.must("olga", invitation("more", RoleViewer, 0))
	all := w.room.Invites()
	if len(all) != MaxInvites || all[len(all)-1].ID != "more" || slices.ContainsFunc(all, func(v Invite) bool { return v.ID == "i7" }) {
		t.Errorf("%d invites, the last %+v", len(all), all[len(all)-1])
	}
	w.check()
}

func TestTransfer(t *testing.T) {
	w := studio(t)
	w.refused(CodeNotFound, "olga", TransferRoom{"nobody"})
	w.refused(CodeConflict, "olga", TransferRoom{"olga"})
	w.refused(CodeInvalidCommand, "olga", TransferRoom{"anon:1"})
	w.must("olga", TransferRoom{"ann"})
	if role, _ := w.room.RoleOf("olga"); role != RoleEditor || w.room.OwnerID() != "ann" {
		t.Errorf("olga is %s, the owner %s", role, w.room.OwnerID())
	}
	w.refused(CodeForbidden, "olga", TransferRoom{"olga"})
	w.refused(CodeConflict, "ann", RemoveParticipant{"ann"})
	w.must("ann", SetRole{"bob", RoleOwner}, SetRole{"vic", RoleOwner})
	w.must("ann", RemoveParticipant{"ann"}) // whoever has been there longest takes over
	if w.room.OwnerID() != "bob" {
		t.Errorf("the owner is %s", w.room.OwnerID())
	}
	w.must("vic", SetRole{"bob", RoleViewer})
	if w.room.OwnerID() != "vic" {
		t.Errorf("the owner is %s", w.room.OwnerID())
	}
	w.check()
}

func TestAGuestsRoleIsClaimed(t *testing.T) {
	w := studio(t)
	w.must("olga", ClaimParticipant{"user"})
	if role, _ := w.room.RoleOf("user"); role != RoleOwner {
		t.Errorf("user is %s", role)
	}
	for _, same := range []outcome{w.must("olga", ClaimParticipant{"user"}), w.must("vic", ClaimParticipant{"user"}), w.must("vic", ClaimParticipant{"ann"}), w.must("sam", ClaimParticipant{"zoe"})} {
		if len(same.events) != 0 {
			t.Errorf("changes nothing, but %+v", same.events)
		}
	}
	w.must("ann", ClaimParticipant{"vic"})
	if role, _ := w.room.RoleOf("vic"); role != RoleEditor {
		t.Errorf("vic is %s", role)
	}
	w.must("olga", RemoveParticipant{"bob"})
	if len(w.must("ann", ClaimParticipant{"bob"}).events) != 0 {
		t.Error("who was removed came back")
	}
	w.refused(CodeForbidden, "bob", ClaimParticipant{"zoe"})
	w.refused(CodeInvalidCommand, "ann", ClaimParticipant{"ann"})
	w.check()
}

// Older snapshots had no invites, then no generations.
func TestOlderSnapshotsAreRead(t *testing.T) {
	w := studio(t)
	now := string(w.room.EncodeSnapshot())
	second := strings.Replace(strings.Replace(now, `{"v":3,`, `{"v":2,`, 1), `,"generations":[]`, "", 1)
	first := strings.Replace(strings.Replace(second, `{"v":2,`, `{"v":1,`, 1), `,"invites":[]`, "", 1)
	if second == now || len(now)-len(second) != len(`,"generations":[]`) || len(second)-len(first) != len(`,"invites":[]`) {
		t.Fatal("the snapshot has no version, no generations or no invites")
	}
	for _, before := range []string{first, second} {
		r, err := DecodeSnapshot([]byte(before))
		if err != nil || string(r.EncodeSnapshot()) != now {
			t.Errorf("a snapshot of a version before: %v", err)
		}
	}
	if _, err := DecodeSnapshot([]byte(strings.Replace(now, `{"v":3,`, `{"v":4,`, 1))); err == nil {
		t.Error("a snapshot of the version after is read")
	}
}
