package domain

import "maps"

// Roles returns RoleOf fixed as the room is now: what it answers does not change with the room, and it may be called concurrently.
// It costs a copy of the table of people.
func (r *Room) Roles() func(userID string) (Role, error) {
	fixed := &Room{head: r.head, people: maps.Clone(r.people)}
	return fixed.RoleOf
}
