package domain

import "github.com/infinite-kanvas/kanvas/events"

// Room is the state of one room: everything Decide and a joining client depend on, and nothing else.
// It is not safe for concurrent use; one goroutine owns it.
type Room struct {
	head
	id          string
	canvas      canvas
	people      map[string]*person
	invites     []*invite     // oldest first; the slice is never modified
	generations []*Generation // oldest first; neither slice nor values are ever modified
	chat        []ChatMessage // oldest first, at most ChatKept
	comments    []*Comment    // in the order they were added; the values are never modified
	byID        map[string]int
	stacks      map[string]*stacks
	actors      actorTable
	once        onceState
	journal     journal
}

// head is the part of a room that is copied as a whole into the journal.
type head struct {
	exists, deleted   bool
	checkpointed      bool // the last event is a checkpoint
	name, description string
	visibility        Visibility
	defaultRole       Role
	owner             string // who made the room, or had it transferred; "" for rooms born by an anonymous connection
	key               uint64 // how often the key of links to its pictures was changed
	created, updated  int64  // Unix ms
	revision          uint64
	sum               string
	at                int64 // Unix ms of the last commit
	seq               uint64
	change            change       // the one that the newest events belong to
	undoBytes         int          // of all undo and redo steps
	operation         *events.Part // of which a part is still missing; nil: none
	finished          finished
}

// finished names the operation that was completed last.
type finished struct {
	op   string
	last uint64 // revision of its last event
}

// person is what a room knows of an identity that is or was a participant. Values are never modified, only replaced.
type person struct {
	user      string
	role      Role
	joinedAt  int64  // Unix ms
	joinedRev uint64 // revision of the event that let them in
	removed   bool
}

// Participant is a person with a role of its own in a room.
type Participant struct {
	User     string
	Role     Role
	JoinedAt int64 // Unix ms
}

// ChatMessage is one message as room state keeps it; its text stays sealed.
type ChatMessage struct {
	ID       string // of its event
	Revision uint64
	User     string // actor id
	At       int64  // Unix ms
	Text     events.Sealed
	// For actors without a user stream: what the others were shown (see events.ChatPostedData).
	Name          events.Sealed
	Color, UserID string
}

// Comment is one comment as room state keeps it; its text stays sealed.
type Comment struct {
	ID, ElementID string   // ElementID is "" where it belongs to no element
	X, Y          *float64 // never modified
	User          string   // who wrote it
	At            int64    // Unix ms
	Text          events.Sealed
	Resolved      bool
	ResolvedBy    string
	ResolvedAt    int64 // Unix ms
}

// NewRoom returns the state of a room in whose stream nothing happened yet.
func NewRoom(id string) *Room {
	r := &Room{id: id, people: map[string]*person{}, byID: map[string]int{}}
	r.canvas.init()
	r.stacks = map[string]*stacks{}
	r.actors.init()
	r.once.init()
	return r
}

// ID is the room's id.
func (r *Room) ID() string { return r.id }

// Exists reports whether the room was ever created; a deleted room exists too.
func (r *Room) Exists() bool { return r.exists }

// Deleted reports whether the room was deleted; nothing happens in it any more.
func (r *Room) Deleted() bool { return r.deleted }

// Revision is the number of the last event; 0 before the first.
func (r *Room) Revision() uint64 { return r.revision }

// Sum is that of the last commit; "" before the first.
func (r *Room) Sum() string { return r.sum }

// At is the time of the last commit in Unix milliseconds.
func (r *Room) At() int64 { return r.at }

// Seq is the last commit's position in its log partition.
func (r *Room) Seq() uint64 { return r.seq }

// Operation is the newest part of an operation whose last part is still missing, nil where there is none. Nothing else may be decided before it is
// finished: see DecideRest. A snapshot has none, as none is made before the end of one.
func (r *Room) Operation() *events.Part { return r.operation }

// Finished returns the last revision of an operation, where it was completed and no other one was since.
func (r *Room) Finished(op string) (last uint64, ok bool) {
	return r.finished.last, op != "" && r.finished.op == op
}

// CloseOperation ends the open operation, which is complete or never will be. Not to be called between a Mark and its Rollback or Release.
func (r *Room) CloseOperation(complete bool) {
	if p := r.operation; complete && p != nil {
		r.finished = finished{p.Op, r.revision}
	}
	r.operation = nil
}

// Name, Description, Visibility and DefaultRole are the room's own properties.
func (r *Room) Name() string           { return r.name }
func (r *Room) Description() string    { return r.description }
func (r *Room) Visibility() Visibility { return r.visibility }
func (r *Room) DefaultRole() Role      { return r.defaultRole }

// OwnerID is who made the room; "" where an anonymous connection did. It doesn't change, whoever is an owner later.
func (r *Room) OwnerID() string { return r.owner }

// Key is the number of the key with which links to the room's pictures are made; those made with another one are no good.
func (r *Room) Key() uint64 { return r.key }

// CreatedAt and UpdatedAt are in Unix milliseconds. Checkpoints don't count as updates.
func (r *Room) CreatedAt() int64 { return r.created }
func (r *Room) UpdatedAt() int64 { return r.updated }
