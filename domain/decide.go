package domain

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/infinite-kanvas/kanvas/events"
)

// Decision is what a command comes to: its events, and the ids of elements that were gone. No events: it changes nothing.
// Events have Type, V, Actor, Cause, Step, Cont and Payload filled; ID, Client and Seq are left to commands. Cont is false on
// the first.
type Decision struct {
	Events  []events.Event
	Dropped []string
}

// Decide says which events a command makes of the room as it is, or refuses it with an *Error. It changes nothing. now is in Unix
// milliseconds.
func Decide(r *Room, a Actor, c Command, now int64) (Decision, error) {
	d := decider{room: r, actor: a, now: now}
	var err error
	if create, ok := c.(CreateRoom); ok {
		err = d.create(create)
	} else if err = d.admit(c); err == nil {
		err = d.decide(c)
	}
	if err != nil {
		return Decision{}, err
	}
	return d.out, nil
}

type decider struct {
	room  *Room
	actor Actor
	now   int64 // Unix ms
	cause events.Cause
	step  uint64
	out   Decision
}

// emit adds an event.
func (d *decider) emit(t events.Type, payload any) {
	d.out.Events = append(d.out.Events, events.Event{Type: t, V: events.CurrentVersion(t), Actor: d.actor.ID,
		Cause: d.cause, Step: d.step, Cont: len(d.out.Events) > 0, Payload: payload})
}

func (d *decider) dropped(id string) { d.out.Dropped = append(d.out.Dropped, id) }

// admit refuses whoever has no right to the command.
func (d *decider) admit(c Command) error {
	switch {
	case c == nil:
		return Errorf(CodeInvalidCommand, "no command")
	case d.actor.ID == "":
		return Errorf(CodeUnauthenticated, "nobody asks")
	}
	_, code := c.(RedeemInvite)
	if !d.room.exists || d.room.deleted {
		if code {
			return errNoInvite() // which rooms there are is no secret to be had by guessing codes
		}
		return errNoRoom()
	}
	name := c.CommandName()
	if d.actor.ID == SystemID {
		if !KnownRight(name) || len(rights[name]) > 0 {
			return Errorf(CodeForbidden, "%s is not for the system", name)
		}
		return nil
	}
	if code {
		return nil // its code is the right; redeem looks at the rest
	}
	role, err := d.room.RoleOf(d.actor.ID)
	if err != nil {
		return err
	}
	if leave, ok := c.(RemoveParticipant); ok && leave.User == d.actor.ID {
		return nil
	}
	if !Allowed(role, name) {
		return Errorf(CodeForbidden, "%s is not for the role %s", name, role)
	}
	return nil
}

func (d *decider) decide(c Command) error {
	switch c := c.(type) {
	case PatchElement:
		return d.patch(c)
	case AddElement:
		return d.add(c)
	case RemoveElements:
		return d.remove(c)
	case ReorderElements:
		return d.reorder(c)
	case Undo:
		return d.undo(events.CauseUndo)
	case Redo:
		return d.undo(events.CauseRedo)
	case Restore:
		return d.restore(c)
	case PostChat:
		return d.chat(c)
	case AddComment:
		return d.comment(c)
	case ResolveComment:
		return d.resolve(c)
	case UpdateRoom:
		return d.update(c)
	case TransferRoom:
		return d.transfer(c)
	case RotateKey:
		d.rotateKey()
	case DeleteRoom:
		d.emit(events.RoomDeleted, &events.RoomDeletedData{})
	case Join:
		return d.join()
	case SetRole:
		return d.setRole(c)
	case RemoveParticipant:
		return d.removeParticipant(c)
	case ClaimParticipant:
		return d.claim(c)
	case CreateInvite:
		return d.createInvite(c)
	case RevokeInvite:
		return d.revokeInvite(c)
	case RedeemInvite:
		return d.redeem(c)
	case RequestGeneration:
		return d.requestGeneration(c)
	case CancelGeneration:
		return d.cancelGeneration(c)
	case AdvanceGeneration:
		return d.advanceGeneration(c.To)
	case FinishGeneration:
		return d.finishGeneration(c)
	case ShowGeneration:
		return d.showGeneration(c)
	case Checkpoint:
		if !d.room.checkpointed {
			d.emit(events.RoomCheckpointed, &events.RoomCheckpointedData{Revision: d.room.revision})
		}
	default:
		return Errorf(CodeInvalidCommand, "unknown command")
	}
	return nil
}

// checkLine refuses names: too long, not Unicode, or with control characters.
func checkLine(what, s string, limit int) error {
	if len(s) > limit {
		return Errorf(CodeTooLarge, "%s: more than %d bytes", what, limit)
	}
	return checkText(what, s, "")
}

// blank reports whether a name shows nothing at all.
func blank(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return unicode.IsGraphic(c) && !unicode.IsSpace(c) })
}

// checkText refuses control characters but the allowed ones.
func checkText(what, s, allowed string) error {
	if !utf8.ValidString(s) {
		return Errorf(CodeInvalidCommand, "%s: not valid Unicode", what)
	}
	for _, c := range s {
		if (c < 0x20 || c >= 0x7f && c < 0xa0) && !strings.ContainsRune(allowed, c) {
			return Errorf(CodeInvalidCommand, "%s: control characters are not allowed", what)
		}
	}
	return nil
}

func checkDescription(s string) error {
	if len(s) > MaxDescription {
		return Errorf(CodeTooLarge, "description: more than %d bytes", MaxDescription)
	}
	return checkText("description", s, "\n\r\t")
}
