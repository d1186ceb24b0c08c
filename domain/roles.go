package domain

import (
	"cmp"
	"slices"
)

// commandRoles is who may give which command. Decide refuses everybody else; two commands look further: participant.remove lets
// anybody remove themselves, and room.create is for whoever finds no room.
var commandRoles = map[string][]Role{
	"room.create":          {RoleOwner, RoleEditor, RoleCommenter, RoleViewer},
	"room.update":          {RoleOwner},
	"room.delete":          {RoleOwner},
	"room.checkpoint":      {}, // the system's alone
	"participant.join":     {RoleOwner, RoleEditor, RoleCommenter, RoleViewer},
	"participant.set_role": {RoleOwner},
	"participant.remove":   {RoleOwner},
	"element.add":          {RoleOwner, RoleEditor},
	"element.patch":        {RoleOwner, RoleEditor},
	"element.remove":       {RoleOwner, RoleEditor},
	"element.reorder":      {RoleOwner, RoleEditor},
	"canvas.restore":       {RoleOwner, RoleEditor},
	"undo":                 {RoleOwner, RoleEditor},
	"redo":                 {RoleOwner, RoleEditor},
	"chat.post":            {RoleOwner, RoleEditor, RoleCommenter},
	"comment.add":          {RoleOwner, RoleEditor, RoleCommenter},
	"comment.resolve":      {RoleOwner, RoleEditor, RoleCommenter},
}

// Allowed reports whether a participant of the role may give a command. Unknown roles and commands may nothing.
func Allowed(role Role, commandName string) bool {
	return slices.Contains(commandRoles[commandName], role)
}

// CommandNames lists every command, sorted.
func CommandNames() []string {
	names := make([]string, 0, len(commandRoles))
	for name := range commandRoles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ValidRole reports whether a participant can have the role.
func ValidRole(role Role) bool {
	return role == RoleOwner || validDefaultRole(role)
}

func validDefaultRole(role Role) bool {
	return role == RoleEditor || role == RoleCommenter || role == RoleViewer
}

// ValidVisibility reports whether a room can have the visibility.
func ValidVisibility(v Visibility) bool { return v == Public || v == Unlisted || v == Private }

// RoleOf is what a user may do right now: a participant's own role, else the default role where anybody may enter. Errors are
// *Error: CodeNotFound for strangers of private rooms and for rooms that don't exist or were deleted, CodeForbidden for people
// who were removed.
func (r *Room) RoleOf(userID string) (Role, error) {
	if !r.exists || r.deleted {
		return "", errNoRoom()
	}
	if p := r.people[userID]; p != nil {
		if p.removed {
			return "", Errorf(CodeForbidden, "you were removed from this room")
		}
		return p.role, nil
	}
	if r.visibility == Private {
		return "", errNoRoom()
	}
	return r.defaultRole, nil
}

func errNoRoom() error { return Errorf(CodeNotFound, "no such room") }

// Participants returns who has a role of their own, in the order in which they came. The slice is the caller's.
func (r *Room) Participants() []Participant {
	here := make([]*person, 0, len(r.people))
	for _, p := range r.people {
		if !p.removed {
			here = append(here, p)
		}
	}
	slices.SortFunc(here, func(a, b *person) int { return compareJoined(a, b) })
	out := make([]Participant, len(here))
	for i, p := range here {
		out[i] = Participant{User: p.user, Role: p.role, JoinedAt: p.joinedAt}
	}
	return out
}

// owners counts the people who own the room now.
func (r *Room) owners() int {
	n := 0
	for _, p := range r.people {
		if p.role == RoleOwner && !p.removed {
			n++
		}
	}
	return n
}

func compareJoined(a, b *person) int { return cmp.Compare(a.joinedRev, b.joinedRev) }
