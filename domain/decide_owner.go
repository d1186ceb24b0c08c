package domain

import "github.com/infinite-kanvas/kanvas/events"

// transfer makes another participant the owner, and who asks an editor.
func (d *decider) transfer(c TransferRoom) error {
	p := d.room.people[c.User]
	switch {
	case !validUserID(c.User):
		return Errorf(CodeInvalidCommand, "user_id: no valid form")
	case p == nil || p.removed:
		return Errorf(CodeNotFound, "no such participant")
	case c.User == d.actor.ID:
		return Errorf(CodeConflict, "the room is yours already")
	}
	d.emit(events.RoomTransferred, &events.RoomTransferredData{Owner: c.User})
	if p.role != RoleOwner {
		d.emit(events.ParticipantRoleChanged, &events.ParticipantRoleChangedData{User: c.User, Role: string(RoleOwner)})
	}
	d.emit(events.ParticipantRoleChanged, &events.ParticipantRoleChangedData{User: d.actor.ID, Role: string(RoleEditor)})
	return nil
}

// claim gives a user the role that the guest who asks has. Nobody gets a weaker role by it, and who was removed stays out.
func (d *decider) claim(c ClaimParticipant) error {
	guest, user := d.room.people[d.actor.ID], d.room.people[c.User]
	switch {
	case !validUserID(c.User) || c.User == d.actor.ID:
		return Errorf(CodeInvalidCommand, "user_id: no valid form")
	case guest == nil: // is in the room by its default role, as the user will be
		return nil
	case user == nil:
		return d.letIn(c.User, guest.role)
	case user.removed:
		return nil
	case stronger(guest.role, user.role):
		d.emit(events.ParticipantRoleChanged, &events.ParticipantRoleChangedData{User: c.User, Role: string(guest.role)})
	}
	return nil
}

// passOn finds the room another owner_id where its owner is about to be owner no more: who has been owner longest.
func (d *decider) passOn(leaving string) {
	if d.room.owner != leaving {
		return
	}
	var next *person
	for _, p := range d.room.people {
		if p.role == RoleOwner && !p.removed && p.user != leaving && (next == nil || compareJoined(p, next) < 0) {
			next = p
		}
	}
	if next != nil {
		d.emit(events.RoomTransferred, &events.RoomTransferredData{Owner: next.user})
	}
}
