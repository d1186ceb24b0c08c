package domain

import "github.com/infinite-kanvas/kanvas/events"

func (d *decider) create(c CreateRoom) error {
	owner := d.actor.ID
	switch {
	case owner == "":
		return Errorf(CodeUnauthenticated, "nobody asks")
	case owner == SystemID:
		return Errorf(CodeForbidden, "room.create is not for the system")
	case d.actor.Anonymous():
		owner = ""
	case !d.actor.person():
		return Errorf(CodeInvalidCommand, "the user's id has no valid form")
	}
	if r := d.room; r.exists {
		if r.deleted || r.owner != owner {
			return Errorf(CodeConflict, "the room's id is taken")
		}
		_, err := r.RoleOf(d.actor.ID) // who made it and was removed since finds no way in here
		return err
	}
	if c.Visibility == "" {
		c.Visibility = Unlisted
	}
	if c.DefaultRole == "" {
		c.DefaultRole = RoleEditor
	}
	if err := checkRoom(&c.Name, &c.Description, &c.Visibility, &c.DefaultRole); err != nil {
		return err
	}
	if !ValidRoomID(d.room.id) {
		return Errorf(CodeInvalidCommand, "room id: 1 to %d of A-Z a-z 0-9 _ -", MaxRoomID)
	}
	if owner == "" && c.Visibility == Private {
		return Errorf(CodeInvalidCommand, "visibility: nobody could enter a private room without an owner")
	}
	d.emit(events.RoomCreated, &events.RoomCreatedData{Name: c.Name, Description: c.Description,
		Visibility: string(c.Visibility), DefaultRole: string(c.DefaultRole), Owner: owner})
	if owner != "" {
		d.emit(events.ParticipantJoined, &events.ParticipantJoinedData{User: owner, Role: string(RoleOwner)})
	}
	return nil
}

// checkRoom checks those of a room's properties that are not nil.
func checkRoom(name, description *string, v *Visibility, role *Role) error {
	if name != nil {
		if err := checkLine("name", *name, MaxRoomName); err != nil {
			return err
		}
		if blank(*name) {
			return Errorf(CodeInvalidCommand, "name: there is nothing to see in it")
		}
	}
	if description != nil {
		if err := checkDescription(*description); err != nil {
			return err
		}
	}
	if v != nil && !ValidVisibility(*v) {
		return Errorf(CodeInvalidCommand, "visibility: public, unlisted or private")
	}
	if role != nil && !validDefaultRole(*role) {
		return Errorf(CodeInvalidCommand, "default_role: editor, commenter or viewer")
	}
	return nil
}

func (d *decider) update(c UpdateRoom) error {
	if err := checkRoom(c.Name, c.Description, c.Visibility, c.DefaultRole); err != nil {
		return err
	}
	r, data := d.room, events.RoomUpdatedData{}
	if c.Name != nil && *c.Name != r.name {
		data.Name = c.Name
	}
	if c.Description != nil && *c.Description != r.description {
		data.Description = c.Description
	}
	if c.Visibility != nil && *c.Visibility != r.visibility {
		data.Visibility = (*string)(c.Visibility)
	}
	if c.DefaultRole != nil && *c.DefaultRole != r.defaultRole {
		data.DefaultRole = (*string)(c.DefaultRole)
	}
	if data != (events.RoomUpdatedData{}) {
		d.emit(events.RoomUpdated, &data)
	}
	if data.Visibility != nil && r.visibility != Private && *c.Visibility == Private {
		d.rotateKey() // whoever passed by has links to the pictures
	}
	return nil
}

func (d *decider) rotateKey() {
	d.emit(events.RoomKeyRotated, &events.RoomKeyRotatedData{Key: d.room.key + 1})
}

func (d *decider) join() error {
	if !d.actor.person() || d.room.people[d.actor.ID] != nil {
		return nil
	}
	return d.letIn(d.actor.ID, d.room.defaultRole)
}

// letIn makes somebody a participant.
func (d *decider) letIn(user string, role Role) error {
	if d.room.people[user] == nil && len(d.room.people) >= MaxParticipants {
		return Errorf(CodeRoomFull, "the room has had %d participants", MaxParticipants)
	}
	d.emit(events.ParticipantJoined, &events.ParticipantJoinedData{User: user, Role: string(role)})
	return nil
}

func (d *decider) setRole(c SetRole) error {
	switch {
	case !validUserID(c.User):
		return Errorf(CodeInvalidCommand, "user_id: no valid form")
	case !ValidRole(c.Role):
		return Errorf(CodeInvalidCommand, "role: owner, editor, commenter or viewer")
	}
	p := d.room.people[c.User]
	switch {
	case p == nil || p.removed:
		return d.letIn(c.User, c.Role)
	case p.role == c.Role:
		return nil
	case p.role == RoleOwner && d.room.owners() == 1:
		return Errorf(CodeConflict, "the last owner stays owner")
	}
	if p.role == RoleOwner {
		d.passOn(c.User)
	}
	d.emit(events.ParticipantRoleChanged, &events.ParticipantRoleChangedData{User: c.User, Role: string(c.Role)})
	return nil
}

func (d *decider) removeParticipant(c RemoveParticipant) error {
	p := d.room.people[c.User]
	switch {
	case p == nil:
		return Errorf(CodeNotFound, "no such participant")
	case p.removed:
		return nil
	case p.role == RoleOwner && d.room.owners() == 1:
		return Errorf(CodeConflict, "the last owner can't be removed")
	}
	d.passOn(c.User)
	d.emit(events.ParticipantRemoved, &events.ParticipantRemovedData{User: c.User})
	return nil
}
