package realtime

import (
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// right is what a commit did to one peer's rights.
type right struct {
	p   *peer
	end *closing // not nil: the socket is closed
}

// rights brings the roles of the room's peers up to the commit's last revision and returns what changed. Sockets are closed and told
// after the commit itself is queued for them.
func (r *room) rights(c *events.Commit) []right {
	var changes []right
	for i := range c.Events {
		switch d := c.Events[i].Payload.(type) {
		case *events.RoomDeletedData:
			for _, p := range r.peers {
				changes = append(changes, right{p, &byeDeleted})
			}
		case *events.ParticipantRemovedData:
			for _, p := range r.peers {
				if p.who.UserID == d.User {
					p.setRole("")
					changes = append(changes, right{p, &byeForbidden})
				}
			}
		case *events.ParticipantJoinedData:
			changes = r.roleSet(changes, d.User, domain.Role(d.Role))
		case *events.ParticipantRoleChangedData:
			changes = r.roleSet(changes, d.User, domain.Role(d.Role))
		case *events.RoomCreatedData:
			changes = r.roomCreated(changes, d)
		case *events.RoomUpdatedData:
			changes = r.roomUpdated(changes, d)
		case *events.RoomKeyRotatedData:
			r.key = d.Key
		}
	}
	return changes
}

func (r *room) roleSet(changes []right, user string, role domain.Role) []right {
	for _, p := range r.peers {
		if p.who.UserID != user {
			continue
		}
		p.participant = true
		if p.Role() != role {
			p.setRole(role)
			changes = append(changes, right{p, nil})
		}
	}
	return changes
}

// roomCreated: whoever was here before the room was has the rights that it was made with (old clients make rooms by connecting).
func (r *room) roomCreated(changes []right, d *events.RoomCreatedData) []right {
	for _, p := range r.peers {
		role := domain.Role(d.DefaultRole)
		if p.who.UserID == d.Owner {
			role, p.participant = domain.RoleOwner, true
		} else if domain.Visibility(d.Visibility) == domain.Private {
			p.setRole("")
			changes = append(changes, right{p, &byeNotFound})
			continue
		}
		if p.Role() != role {
			p.setRole(role)
			changes = append(changes, right{p, nil})
		}
	}
	return changes
}

// roomUpdated: those without a role of their own live by the room's: a private room is none of theirs.
func (r *room) roomUpdated(changes []right, d *events.RoomUpdatedData) []right {
	for _, p := range r.peers {
		if p.participant {
			continue
		}
		if d.Visibility != nil && domain.Visibility(*d.Visibility) == domain.Private {
			p.setRole("")
			changes = append(changes, right{p, &byeNotFound})
			continue
		}
		if d.DefaultRole != nil && p.Role() != domain.Role(*d.DefaultRole) {
			p.setRole(domain.Role(*d.DefaultRole))
			changes = append(changes, right{p, nil})
		}
	}
	return changes
}

func (r *room) applyRight(ch right) {
	if ch.end != nil {
		ch.p.end(*ch.end)
		return
	}
	ch.p.half.roleChanged(ch.p)
}
