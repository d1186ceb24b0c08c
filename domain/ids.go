package domain

import (
	"strings"

	"github.com/infinite-kanvas/kanvas/events"
)

// ValidElementID reports whether id has the form of an element's (and a comment's) id: 1 to MaxElementID bytes of
// ASCII 0x21–0x7E without / \ ? # % ", and not ".", ".." or "__proto__".
func ValidElementID(id string) bool {
	if len(id) == 0 || len(id) > MaxElementID || id == "." || id == ".." || id == "__proto__" {
		return false
	}
	for i := 0; i < len(id); i++ {
		switch c := id[i]; {
		case c < 0x21 || c > 0x7E, c == '/', c == '\\', c == '?', c == '#', c == '%', c == '"':
			return false
		}
	}
	return true
}

// ValidRoomID reports whether id has the form of a room's id: 1 to MaxRoomID of A-Z a-z 0-9 _ -.
func ValidRoomID(id string) bool {
	return len(id) <= MaxRoomID && events.ValidStreamID(id) && strings.IndexByte(id, ':') < 0
}

// anonymousPrefix begins the ids of guests without a user stream.
const anonymousPrefix = "anon:"

// Anonymous reports whether the actor is a guest for the length of a connection, without a user stream.
func (a Actor) Anonymous() bool { return strings.HasPrefix(a.ID, anonymousPrefix) }

// person reports whether the actor is somebody with a user stream: who may be a participant and has undo steps.
func (a Actor) person() bool { return validUserID(a.ID) }

func validUserID(id string) bool {
	return id != SystemID && events.ValidStreamID(id) && !strings.HasPrefix(id, anonymousPrefix)
}
