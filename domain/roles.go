package domain

import (
	"cmp"
	"slices"
)

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
			return "", errRemoved()
		}
		return p.role, nil
	}
	if r.visibility == Private {
		return "", errNoRoom()
	}
	return r.defaultRole, nil
}

func errNoRoom() error { return Errorf(CodeNotFound, "no such room") }

func errRemoved() error { return Errorf(CodeForbidden, "you were removed from this room") }

// stronger reports whether a role is above another; no role is below all.
func stronger(a, b Role) bool { return rank(a) > rank(b) }

func rank(r Role) int {
	switch r {
	case RoleOwner:
		return 4
	case RoleEditor:
		return 3
	case RoleCommenter:
		return 2
	case RoleViewer:
		return 1
	}
	return 0
}

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
