package domain

import "slices"

// Invite is a link as owners see it. Its code is not there: nobody sees it twice.
type Invite struct {
	ID        string
	Role      Role
	By        string // who made it
	At        int64  // Unix ms
	ExpiresAt int64  // Unix ms; 0: never
	Uses      int    // how many people it lets in; 0: any number
	Used      int
}

// invite is what a room knows of a link. Values are never modified, only replaced.
type invite struct {
	Invite
	hash string // of the code: SHA-256 in hex
}

// over says why an invite lets nobody in any more, or "".
func (v *invite) over(now int64) string {
	switch {
	case v.ExpiresAt > 0 && now >= v.ExpiresAt:
		return "this invite has expired"
	case v.Uses > 0 && v.Used >= v.Uses:
		return "this invite is used up"
	}
	return ""
}

// Invites returns those that were not revoked, oldest first; expired and used up ones stay until others take their place. The slice is the
// caller's.
func (r *Room) Invites() []Invite {
	out := make([]Invite, len(r.invites))
	for i, v := range r.invites {
		out[i] = v.Invite
	}
	return out
}

func (r *Room) findInvite(match func(*invite) bool) int { return slices.IndexFunc(r.invites, match) }

// putInvites replaces the list. What is in it before is not modified, so that a rollback finds it as it was.
func (r *Room) putInvites(list []*invite) {
	was := r.invites
	r.invites = list
	if r.journal.on {
		r.onRollback(func() { r.invites = was })
	}
}

// addInvite makes room for a new one, at its own time, by dropping those that are over.
func (r *Room) addInvite(v *invite) {
	list := slices.Clone(r.invites)
	if len(list) >= MaxInvites {
		list = slices.DeleteFunc(list, func(old *invite) bool { return old.over(v.At) != "" })
	}
	r.putInvites(append(list, v))
}
