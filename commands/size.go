package commands

import "github.com/infinite-kanvas/kanvas/events"

// payloadBytes is about what an event's payload needs in a commit, without eventOverhead. It may be too small where text has many
// characters that JSON escapes; the encoded commit is measured before it is appended.
func payloadBytes(e *events.Event) int {
	switch p := e.Payload.(type) {
	case *events.ElementAddedData:
		return len(p.Element)
	case *events.ElementPatchedData:
		n := len(p.ID)
		for _, m := range p.Set {
			n += len(m.Key) + len(m.Value) + 8
		}
		return n + stringBytes(p.Unset)
	case *events.ElementRemovedData:
		return stringBytes(p.IDs)
	case *events.ChatPostedData:
		return len(p.Text) + len(p.Name) + len(p.UserID)
	case *events.CommentAddedData:
		return len(p.ID) + len(p.ElementID) + len(p.Text)
	case *events.RoomCreatedData:
		return len(p.Name) + len(p.Description) + len(p.Owner)
	case *events.RoomUpdatedData:
		return textBytes(p.Name) + textBytes(p.Description)
	default:
		return 256
	}
}

func textBytes(s *string) int {
	if s == nil {
		return 0
	}
	return len(*s)
}

// doneBytes is about what an answer needs in a commit.
func doneBytes(d *events.Done) int {
	return doneOverhead + len(d.User) + len(d.Client) + len(d.Key) + len(d.Hash) + stringBytes(d.Dropped)
}
