package projections

import "github.com/infinite-kanvas/kanvas/events"

// inviteDelta is what a batch does to one row of invites.
type inviteDelta struct {
	room, id string
	created  *events.InviteCreatedData
	by       any
	at       string
	used     int64 // how many came by it in this batch
	revoked  any   // time
}

func (f *fold) invite(room, id string) *inviteDelta {
	v := f.invites.get(room + "/" + id)
	v.room, v.id = room, id
	return v
}

func (f *fold) emitInvites(e *emitter) {
	rows := e.rows(inviteSQL)
	for _, key := range f.invites.ids {
		if v := f.invites.byID[key]; v.created != nil {
			rows.add(v.room, v.id, v.created.Role, timeOrNil(v.created.ExpiresAt, v.created.ExpiresAt > 0), int64(v.created.Uses), v.used, v.by, v.at, v.revoked)
		}
	}
	rows.flush()
	for _, key := range f.invites.ids {
		if v := f.invites.byID[key]; v.created == nil {
			e.one(inviteProgressSQL, v.used, v.revoked, v.room, v.id)
		}
	}
}
