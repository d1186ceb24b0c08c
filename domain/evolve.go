package domain

import (
	"fmt"
	"slices"

	"github.com/infinite-kanvas/kanvas/events"
)

// Evolve folds the event of a revision into the room; at is its commit's time. It is the same for fresh and replayed events and
// never fails on what Decide made of this very state. An error means that the event can't follow this state: the room is
// then unchanged. The event's Payload must be filled; it is not modified.
func (r *Room) Evolve(e *events.Event, rev uint64, at int64) error {
	if rev != r.revision+1 {
		return fmt.Errorf("domain: room %s: event %s at revision %d follows revision %d", r.id, e.Type, rev, r.revision)
	}
	if err := r.canFollow(e); err != nil {
		return fmt.Errorf("domain: room %s: event %s at revision %d: %w", r.id, e.Type, rev, err)
	}
	was := r.head
	r.keepHead()
	if !e.Cont {
		r.change = change{}
	}
	if err := r.fold(e, rev, at); err != nil {
		r.head = was
		return fmt.Errorf("domain: room %s: event %s at revision %d: %w", r.id, e.Type, rev, err)
	}
	r.revision = rev
	if r.checkpointed = e.Type == events.RoomCheckpointed; !r.checkpointed {
		r.updated = at
	}
	return nil
}

// canFollow reports whether an event of this type can happen to the room as it is.
func (r *Room) canFollow(e *events.Event) error {
	switch {
	case r.deleted:
		return fmt.Errorf("the room was deleted")
	case e.Type == events.RoomCreated && r.exists:
		return fmt.Errorf("the room exists")
	case e.Type != events.RoomCreated && !r.exists:
		return fmt.Errorf("the room was not created")
	}
	return nil
}

// fold changes nothing but the head where it fails.
func (r *Room) fold(e *events.Event, rev uint64, at int64) error {
	switch d := e.Payload.(type) {
	case *events.ElementPatchedData:
		return r.foldPatched(e, d, rev)
	case *events.ElementAddedData:
		return r.foldAdded(e, d, rev)
	case *events.ElementRemovedData:
		return r.foldRemoved(e, d, rev)
	case *events.RoomCreatedData:
		r.exists, r.created = true, at
		r.name, r.description, r.owner = d.Name, d.Description, d.Owner
		r.visibility, r.defaultRole = Visibility(d.Visibility), Role(d.DefaultRole)
	case *events.RoomUpdatedData:
		r.foldUpdated(d)
	case *events.RoomDeletedData:
		r.deleted = true
	case *events.RoomCheckpointedData:
	case *events.ParticipantJoinedData:
		r.putPerson(&person{user: d.User, role: Role(d.Role), joinedAt: at, joinedRev: rev})
	case *events.ParticipantRoleChangedData:
		return r.foldRole(d)
	case *events.ParticipantRemovedData:
		return r.foldLeft(d)
	case *events.RoomTransferredData:
		r.owner = d.Owner
	case *events.RoomKeyRotatedData:
		r.key = d.Key
	case *events.InviteCreatedData:
		r.addInvite(&invite{Invite{ID: d.ID, Role: Role(d.Role), By: e.Actor, At: at, ExpiresAt: d.ExpiresAt, Uses: d.Uses}, d.Hash})
	case *events.InviteRevokedData:
		return r.foldInvite(d.ID, nil)
	case *events.InviteRedeemedData:
		return r.foldInvite(d.ID, func(v *invite) { v.Used++ })
	case *events.ChatPostedData:
		r.foldChat(e, d, rev, at)
	case *events.CommentAddedData:
		return r.foldComment(e, d, at)
	case *events.CommentResolvedData:
		return r.foldResolved(e, d, at)
	default:
		if ok, err := r.foldGeneration(e, rev, at); ok {
			return err
		}
		return fmt.Errorf("no payload of a room: %T", e.Payload)
	}
	return nil
}

func (r *Room) foldUpdated(d *events.RoomUpdatedData) {
	if d.Name != nil {
		r.name = *d.Name
	}
	if d.Description != nil {
		r.description = *d.Description
	}
	if d.Visibility != nil {
		r.visibility = Visibility(*d.Visibility)
	}
	if d.DefaultRole != nil {
		r.defaultRole = Role(*d.DefaultRole)
	}
}

func (r *Room) foldRole(d *events.ParticipantRoleChangedData) error {
	p := r.people[d.User]
	if p == nil {
		return fmt.Errorf("no such participant")
	}
	is := *p
	is.role, is.removed = Role(d.Role), false
	r.putPerson(&is)
	return nil
}

func (r *Room) foldLeft(d *events.ParticipantRemovedData) error {
	p := r.people[d.User]
	if p == nil {
		return fmt.Errorf("no such participant")
	}
	is := *p
	is.removed = true
	r.putPerson(&is)
	return nil
}

// foldInvite changes an invite, or takes it away where change is nil.
func (r *Room) foldInvite(id string, change func(*invite)) error {
	i := r.findInvite(func(v *invite) bool { return v.ID == id })
	if i < 0 {
		return fmt.Errorf("no such invite")
	}
	list := slices.Clone(r.invites)
	if change == nil {
		r.putInvites(slices.Delete(list, i, i+1))
		return nil
	}
	is := *list[i]
	change(&is)
	list[i] = &is
	r.putInvites(list)
	return nil
}

func (r *Room) foldChat(e *events.Event, d *events.ChatPostedData, rev uint64, at int64) {
	was := r.chat
	r.chat = append(r.chat, ChatMessage{ID: e.ID, Revision: rev, User: e.Actor, At: at, Text: d.Text,
		Name: d.Name, Color: d.Color, UserID: d.UserID})
	if len(r.chat) > ChatKept {
		r.chat = r.chat[1:]
	}
	if r.journal.on {
		r.onRollback(func() { r.chat = was })
	}
}

func (r *Room) foldComment(e *events.Event, d *events.CommentAddedData, at int64) error {
	if _, ok := r.byID[d.ID]; ok {
		return fmt.Errorf("the comment exists")
	}
	n := len(r.comments)
	r.byID[d.ID] = n
	r.comments = append(r.comments, &Comment{ID: d.ID, ElementID: d.ElementID, X: d.X, Y: d.Y, User: e.Actor, At: at, Text: d.Text})
	if r.journal.on {
		r.onRollback(func() {
			r.comments = r.comments[:n]
			delete(r.byID, d.ID)
		})
	}
	return nil
}

func (r *Room) foldResolved(e *events.Event, d *events.CommentResolvedData, at int64) error {
	i, ok := r.byID[d.ID]
	if !ok {
		return fmt.Errorf("no such comment")
	}
	was := r.comments[i]
	is := *was
	is.Resolved, is.ResolvedBy, is.ResolvedAt = true, e.Actor, at
	r.comments[i] = &is
	if r.journal.on {
		r.onRollback(func() { r.comments[i] = was })
	}
	return nil
}

// Chat returns the last ChatKept messages, oldest first. The slice is the caller's.
func (r *Room) Chat() []ChatMessage { return slices.Clone(r.chat) }

// Comments returns all comments, oldest first. The slice is the caller's.
func (r *Room) Comments() []Comment {
	out := make([]Comment, len(r.comments))
	for i, c := range r.comments {
		out[i] = *c
	}
	return out
}

// Seal takes note of a commit whose events were evolved and whose Done were remembered already: its sum, place and time, and the operation it is of.
func (r *Room) Seal(c *events.Commit) {
	r.keepHead()
	r.sum, r.seq, r.at = c.Sum, c.Seq, c.At
	r.operation = nil // what does not go on with it ends it
	switch p := c.Part; {
	case p == nil:
	case p.Part < p.Of:
		r.operation = p
	default:
		r.finished = finished{p.Op, c.Last()}
	}
}

// Apply folds a whole commit into the room. Where it fails the room is unchanged.
func (r *Room) Apply(c *events.Commit) error {
	if c.First != r.revision+1 || c.Prev != r.sum {
		return fmt.Errorf("domain: room %s: commit %d after %.16q does not follow revision %d with sum %.16q",
			r.id, c.First, c.Prev, r.revision, r.sum)
	}
	journaling := r.journal.on
	m := r.Mark()
	for i := range c.Events {
		if err := r.Evolve(&c.Events[i], c.First+uint64(i), c.At); err != nil {
			r.Rollback(m)
			if !journaling {
				r.Release()
			}
			return err
		}
	}
	for i := range c.Done {
		r.Remember(c.Done[i], c.At)
	}
	r.Seal(c)
	if !journaling {
		r.Release()
	}
	return nil
}
