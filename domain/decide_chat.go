package domain

import (
	"github.com/infinite-kanvas/kanvas/events"
)

// maxSealed is the longest sealed form of n bytes of text: base64 of nonce, ciphertext and tag, and a prefix.
func maxSealed(n int) int { return (n+64)*4/3 + 64 }

func checkSealed(s events.Sealed, limit int) error {
	switch {
	case s == "":
		return Errorf(CodeInvalidCommand, "text: missing")
	case len(s) > maxSealed(limit):
		return Errorf(CodeTooLarge, "text: more than %d bytes", limit)
	}
	return nil
}

func (d *decider) chat(c PostChat) error {
	if err := checkSealed(c.Sealed, MaxChatText); err != nil {
		return err
	}
	data := &events.ChatPostedData{Text: c.Sealed}
	if d.actor.Anonymous() {
		if len(c.SealedName) > maxSealed(MaxPersonName) || len(c.UserID) > MaxElementID || len(c.Color) > 32 {
			return Errorf(CodeTooLarge, "name, color or id of the sender: too long")
		}
		data.Name, data.Color, data.UserID = c.SealedName, c.Color, c.UserID
	}
	d.emit(events.ChatPosted, data)
	return nil
}

func (d *decider) comment(c AddComment) error {
	if !ValidElementID(c.ID) {
		return Errorf(CodeInvalidCommand, "id: no valid form")
	}
	if c.ElementID != "" && !ValidElementID(c.ElementID) {
		return Errorf(CodeInvalidCommand, "element_id: no valid form")
	}
	if !finite(c.X) || !finite(c.Y) {
		return Errorf(CodeInvalidCommand, "x, y: must be finite numbers")
	}
	if err := checkSealed(c.Sealed, MaxCommentText); err != nil {
		return err
	}
	if i, ok := d.room.byID[c.ID]; ok {
		if !sameComment(d.room.comments[i], d.actor, c) {
			return Errorf(CodeConflict, "the comment's id is taken")
		}
		return nil
	}
	if len(d.room.comments) >= MaxComments {
		return Errorf(CodeRoomFull, "the room has %d comments", MaxComments)
	}
	d.emit(events.CommentAdded, &events.CommentAddedData{ID: c.ID, ElementID: c.ElementID, X: c.X, Y: c.Y, Text: c.Sealed})
	return nil
}

// sameComment tells a command sent again. Sealing is different each time, but keeps the text's length.
func sameComment(was *Comment, a Actor, c AddComment) bool {
	return was.User == a.ID && was.ElementID == c.ElementID && sameNumber(was.X, c.X) && sameNumber(was.Y, c.Y) &&
		len(was.Text) == len(c.Sealed)
}

func sameNumber(a, b *float64) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func finite(f *float64) bool { return f == nil || *f-*f == 0 }

func (d *decider) resolve(c ResolveComment) error {
	i, ok := d.room.byID[c.ID]
	if !ok {
		return Errorf(CodeNotFound, "no such comment")
	}
	if !d.room.comments[i].Resolved {
		d.emit(events.CommentResolved, &events.CommentResolvedData{ID: c.ID})
	}
	return nil
}
