package realtime

import "github.com/infinite-kanvas/kanvas/domain"

// What each message of a client asks of the table of rights (domain.Allowed). A message that is not here is refused, whoever sends it. What is a
// command of the room's is decided by the room, at the command's own revision; it stands here under the right that the room will ask for.
var (
	v1Rights = map[string]string{
		"hello":    domain.RightRead,
		"command":  "", // the command asks for itself
		"commands": "",
		"preview":  domain.RightPreview,
		"cursor":   domain.RightPresence,
		"viewport": domain.RightPresence,
		"ping":     domain.RightRead,
	}
	partiesRights = map[string]string{
		"image:add":           domain.AddElement{}.CommandName(),
		"image:update":        domain.PatchElement{}.CommandName(),
		"image:remove":        domain.RemoveElements{}.CommandName(),
		"cursor:move":         domain.RightPresence,
		"viewport:change":     domain.RightPresence,
		"generation:start":    domain.RightPreview,
		"generation:complete": domain.RightPreview,
		"chat:send":           domain.PostChat{}.CommandName(),
	}
)
