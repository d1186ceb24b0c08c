package domain

import "slices"

// Rights that no command stands for. A command's right is its name.
const (
	// RightRead lets in: the room itself, its canvas and events, who is in it, its pictures, a socket, a ticket.
	RightRead = "room.read"
	// RightPresence shows others where one is: cursors and viewports.
	RightPresence = "presence.show"
	// RightPreview shows others what isn't stored yet: a drag in progress, a generation under way.
	RightPreview = "element.preview"
	// RightInvites sees which invites there are (never their codes, which nobody can see again).
	RightInvites = "invite.list"
	// RightSpending sees what was spent in the room, and by whom.
	RightSpending = "spending.list"
)

var (
	everybody = []Role{RoleOwner, RoleEditor, RoleCommenter, RoleViewer}
	talkers   = []Role{RoleOwner, RoleEditor, RoleCommenter}
	editors   = []Role{RoleOwner, RoleEditor}
	owners    = []Role{RoleOwner}
)

// rights is who may do what in a room: the one table that commands (Decide), routes and socket messages ask. Who has no role in a room may
// nothing there. Four commands look further than it: generation.cancel is for what one asked for oneself, and for owners, participant.remove lets anybody remove themselves, room.create is for whoever finds no
// room, and invite.redeem for strangers too, as long as they were never removed.
var rights = map[string][]Role{
	RightRead:     everybody,
	RightPresence: everybody,
	RightPreview:  editors,
	RightInvites:  owners,
	RightSpending: owners,

	"room.create":          everybody,
	"room.update":          owners,
	"room.transfer":        owners,
	"room.rotate_key":      owners,
	"room.delete":          owners,
	"room.checkpoint":      {}, // the system's alone, as are all that nobody may
	"generation.advance":   {},
	"generation.finish":    {},
	"generation.show":      {},
	"participant.join":     everybody,
	"participant.set_role": owners,
	"participant.remove":   owners,
	"participant.claim":    everybody, // a guest's, for the user that it turned out to be
	"invite.create":        owners,
	"invite.revoke":        owners,
	"invite.redeem":        everybody,
	"element.add":          editors,
	"element.patch":        editors,
	"element.remove":       editors,
	"element.reorder":      editors,
	"canvas.restore":       editors,
	"generation.request":   editors,
	"generation.cancel":    editors, // their own; owners everybody's
	"undo":                 editors,
	"redo":                 editors,
	"chat.post":            talkers,
	"comment.add":          talkers,
	"comment.resolve":      talkers,
}

// Allowed reports whether a participant of the role has a right: a command's name, or one of the constants above. Unknown roles and
// rights have and give none.
func Allowed(role Role, right string) bool { return slices.Contains(rights[right], role) }

// KnownRight reports whether the table has the right.
func KnownRight(right string) bool { _, ok := rights[right]; return ok }

// CommandNames lists every command, sorted.
func CommandNames() []string {
	names := make([]string, 0, len(rights))
	for name := range rights {
		switch name {
		case RightRead, RightPresence, RightPreview, RightInvites, RightSpending:
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
