package projections

import (
	"fmt"

	"github.com/infinite-kanvas/kanvas/events"
)

// roomDelta is what a batch does to one row of rooms.
type roomDelta struct {
	created *roomCreated // with later updates of the batch in it
	updated events.RoomUpdatedData
	changed bool // updated holds something
	owner   any  // not nil: who it was transferred to
	deleted any  // time

	edited               any // time of the last commit that was more than a checkpoint
	revision, checkpoint uint64
	seq                  uint64
	sum                  string
}

type roomCreated struct {
	events.RoomCreatedData
	owner any
	at    string
}

type participantOp struct {
	room, user, role  string
	joined, removedAt any
}

type chatRow struct {
	room, id, actor, at string
	revision            uint64
	*events.ChatPostedData
}

type commentDelta struct {
	room, id             string
	added                *events.CommentAddedData
	actor, at            string
	revision             uint64
	resolvedBy, resolved any
}

// canvasState is a row of canvas_states. Its user is the room's owner as of the checkpoint: owner where ownerKnown, else whom rooms names
// before this batch.
type canvasState struct {
	room, at   string
	revision   uint64
	owner      any
	ownerKnown bool
	*canvasRow
}

// snapshotRow is of the commit that ends at revision. seq 0: it is the one that rooms.seq names before this batch.
type snapshotRow struct {
	room, at, sum, key string
	revision, seq      uint64
}

func (f *fold) addRoom(ch *change) {
	room := f.rooms.get(ch.stream.ID)
	at := FormatTime(ch.commit.At)
	for i := range ch.facts {
		f.addRoomFact(ch, room, &ch.facts[i], at)
	}
	if ch.edited {
		room.edited = at
	}
	room.revision, room.seq, room.sum = ch.last, ch.seq, ch.commit.Sum
}

func (f *fold) addRoomFact(ch *change, room *roomDelta, fc *fact, at string) {
	id := ch.stream.ID
	switch d := fc.event.Payload.(type) {
	case *events.RoomCreatedData:
		room.created = &roomCreated{RoomCreatedData: *d, owner: f.person(d.Owner), at: at}
		if room.created.owner != nil {
			f.participants = append(f.participants, participantOp{room: id, user: d.Owner, role: "owner", joined: at})
		}
	case *events.RoomUpdatedData:
		room.update(d)
	case *events.RoomTransferredData:
		room.transfer(f.person(d.Owner))
	case *events.RoomDeletedData:
		room.deleted = at
	case *events.RoomCheckpointedData:
		f.checkpoint(ch, room, fc, d.Revision, at)
	case *events.ParticipantJoinedData:
		f.enter(id, d.User, d.Role, at)
	case *events.ParticipantRoleChangedData:
		f.enter(id, d.User, d.Role, at)
	case *events.ParticipantRemovedData:
		if f.person(d.User) != nil {
			f.participants = append(f.participants, participantOp{room: id, user: d.User, role: "viewer", removedAt: at})
		}
	case *events.InviteCreatedData:
		v := f.invite(id, d.ID)
		v.created, v.by, v.at = d, f.person(fc.event.Actor), at
	case *events.InviteRedeemedData:
		f.invite(id, d.ID).used++
	case *events.InviteRevokedData:
		f.invite(id, d.ID).revoked = at
	case *events.ChatPostedData:
		f.chat = append(f.chat, chatRow{room: id, id: fc.event.ID, actor: fc.event.Actor, at: at, revision: fc.revision, ChatPostedData: d})
	case *events.CommentAddedData:
		c := f.comment(id, d.ID)
		if c.added == nil { // the first of an id stays
			c.added, c.actor, c.at, c.revision = d, fc.event.Actor, at, fc.revision
		}
	case *events.CommentResolvedData:
		c := f.comment(id, d.ID)
		c.resolvedBy, c.resolved = fc.event.Actor, at
	default:
		f.addGeneration(id, fc, at)
	}
}

func (f *fold) enter(room, user, role, at string) {
	if f.person(user) != nil {
		f.participants = append(f.participants, participantOp{room: room, user: user, role: role, joined: at})
	}
}

func (f *fold) comment(room, id string) *commentDelta {
	c := f.comments.get(room + "/" + id)
	c.room, c.id = room, id
	return c
}

// checkpoint keeps the room's state as of revision, and says where the snapshot of it is: only where revision ends a commit, as a
// reader goes on with the commit after it.
func (f *fold) checkpoint(ch *change, room *roomDelta, fc *fact, revision uint64, at string) {
	id := ch.stream.ID
	room.checkpoint = fc.revision
	owner, known := room.ownerNow()
	f.canvases = append(f.canvases, canvasState{room: id, at: at, revision: revision, owner: owner, ownerKnown: known, canvasRow: fc.canvas})
	if revision+1 == ch.commit.First && revision > 0 {
		f.snapshots = append(f.snapshots, snapshotRow{room: id, at: at, revision: revision, seq: room.seq, sum: ch.commit.Prev, key: SnapshotKey(id, revision)})
	}
}

// SnapshotKey names the object that holds a room's snapshot at a revision.
func SnapshotKey(room string, revision uint64) string {
	return fmt.Sprintf("snapshots/%s/%d.json", room, revision)
}

// transfer gives the room another owner, in its creation where that is in the batch too.
func (r *roomDelta) transfer(owner any) {
	if r.created != nil {
		r.created.owner = owner
		return
	}
	r.owner = owner
}

// ownerNow is the owner as of the changes folded so far; known is false where none of them says.
func (r *roomDelta) ownerNow() (owner any, known bool) {
	if r.created != nil {
		return r.created.owner, true
	}
	return r.owner, r.owner != nil
}

// update merges in changed members: into the creation where that is in the batch too.
func (r *roomDelta) update(d *events.RoomUpdatedData) {
	if c := r.created; c != nil {
		set(&c.Name, d.Name)
		set(&c.Description, d.Description)
		set(&c.Visibility, d.Visibility)
		set(&c.DefaultRole, d.DefaultRole)
		return
	}
	r.changed = true
	keep(&r.updated.Name, d.Name)
	keep(&r.updated.Description, d.Description)
	keep(&r.updated.Visibility, d.Visibility)
	keep(&r.updated.DefaultRole, d.DefaultRole)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func keep[T any](to **T, from *T) {
	if from != nil {
		*to = from
	}
}
