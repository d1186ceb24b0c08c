package domain

import "github.com/infinite-kanvas/kanvas/events"

// maxExpiry is the last moment that times can be written of: 9999-12-31T23:59:59.999Z in Unix ms.
const maxExpiry = 253402300799999

// hashBytes is the length of a hex SHA-256.
const hashBytes = 64

func errNoInvite() error { return Errorf(CodeNotFound, "no such invite, or it was revoked") }

func (d *decider) createInvite(c CreateInvite) error {
	switch {
	case !validDefaultRole(c.Role):
		return Errorf(CodeInvalidCommand, "role: editor, commenter or viewer")
	case c.Uses < 0 || c.Uses > MaxInviteUses:
		return Errorf(CodeInvalidCommand, "uses: 1 to %d", MaxInviteUses)
	case c.ExpiresAt != 0 && c.ExpiresAt <= d.now || c.ExpiresAt > maxExpiry:
		return Errorf(CodeInvalidCommand, "expires_at: is over, or after the year 9999")
	case c.ID == "" || len(c.Hash) != hashBytes:
		return Errorf(CodeInvalidCommand, "an invite has an id and the hash of a code")
	case d.room.findInvite(func(v *invite) bool { return v.ID == c.ID || v.hash == c.Hash }) >= 0:
		return Errorf(CodeConflict, "the invite exists")
	}
	live := 0
	for _, v := range d.room.invites {
		if v.over(d.now) == "" {
			live++
		}
	}
	if live >= MaxInvites {
		return Errorf(CodeRoomFull, "the room has %d invites, revoke some", MaxInvites)
	}
	d.emit(events.InviteCreated, &events.InviteCreatedData{ID: c.ID, Hash: c.Hash, Role: string(c.Role), ExpiresAt: c.ExpiresAt, Uses: c.Uses})
	return nil
}

func (d *decider) revokeInvite(c RevokeInvite) error {
	if d.room.findInvite(func(v *invite) bool { return v.ID == c.ID }) < 0 {
		return Errorf(CodeNotFound, "no such invite")
	}
	d.emit(events.InviteRevoked, &events.InviteRevokedData{ID: c.ID})
	return nil
}

// redeem lets the bearer of a code in. Somebody who has at least the invite's role finds the door open, and no use is counted, whatever became
// of the invite since.
func (d *decider) redeem(c RedeemInvite) error {
	if !d.actor.person() {
		return Errorf(CodeUnauthenticated, "an invite is for somebody with an identity")
	}
	p := d.room.people[d.actor.ID]
	if p != nil && p.removed {
		return errRemoved()
	}
	i := d.room.findInvite(func(v *invite) bool { return v.hash == c.Hash })
	if i < 0 {
		return errNoInvite()
	}
	v := d.room.invites[i]
	if p != nil && !stronger(v.Role, p.role) {
		return nil
	}
	if why := v.over(d.now); why != "" {
		return Errorf(CodeNotFound, "%s", why)
	}
	d.emit(events.InviteRedeemed, &events.InviteRedeemedData{ID: v.ID, User: d.actor.ID})
	if p == nil {
		return d.letIn(d.actor.ID, v.Role)
	}
	d.emit(events.ParticipantRoleChanged, &events.ParticipantRoleChangedData{User: d.actor.ID, Role: string(v.Role)})
	return nil
}
