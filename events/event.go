package events

import "encoding/json"

// Type names what happened, in the past tense. Types are constants of the wire and the log: never renamed.
type Type string

// Event types of room streams.
const (
	RoomCreated            Type = "room.created"
	RoomUpdated            Type = "room.updated"
	RoomTransferred        Type = "room.transferred"
	RoomKeyRotated         Type = "room.key_rotated"
	RoomDeleted            Type = "room.deleted"
	RoomCheckpointed       Type = "room.checkpointed"
	ParticipantJoined      Type = "participant.joined"
	ParticipantRoleChanged Type = "participant.role_changed"
	ParticipantRemoved     Type = "participant.removed"
	InviteCreated          Type = "invite.created"
	InviteRevoked          Type = "invite.revoked"
	InviteRedeemed         Type = "invite.redeemed"
	ElementAdded           Type = "element.added"
	ElementPatched         Type = "element.patched"
	ElementRemoved         Type = "element.removed"
	ChatPosted             Type = "chat.posted"
	CommentAdded           Type = "comment.added"
	CommentResolved        Type = "comment.resolved"

	GenerationRequested  Type = "generation.requested"
	GenerationSubmitting Type = "generation.submitting"
	GenerationUnsent     Type = "generation.unsent"
	GenerationSubmitted  Type = "generation.submitted"
	GenerationStarted    Type = "generation.started"
	GenerationSucceeded  Type = "generation.succeeded"
	GenerationFailed     Type = "generation.failed"
	GenerationCanceled   Type = "generation.canceled"
	GenerationUnknown    Type = "generation.unknown"
	GenerationSettled    Type = "generation.settled"
)

// Event types of user and asset streams.
const (
	UserCreated   Type = "user.created"
	UserUpdated   Type = "user.updated"
	UserDeleted   Type = "user.deleted"
	UserClaimed   Type = "user.claimed"
	UserLinked    Type = "user.linked"
	AssetStored   Type = "asset.stored"
	AssetAttached Type = "asset.attached"

	AssetUploadRequested Type = "asset.upload_requested"
	AssetFailed          Type = "asset.failed"
	AssetProcessed       Type = "asset.processed"
	AssetMarkedUnused    Type = "asset.marked_unused"
	AssetUsedAgain       Type = "asset.used_again"
	AssetDeleted         Type = "asset.deleted"
)

// Event types of spending streams.
const SpendingRecorded Type = "spending.recorded"

// Cause says why element events happened when it was not a plain edit.
type Cause string

// Causes. The empty Cause is a plain edit.
const (
	CauseUndo    Cause = "undo"
	CauseRedo    Cause = "redo"
	CauseRestore Cause = "restore"
	// CauseGeneration is what a generation does to the element that shows it: in its requester's name, but no step of undo.
	CauseGeneration Cause = "generation"
)

// Event is one thing that happened in a stream. Its revision is Commit.First plus its index, its time Commit.At.
type Event struct {
	ID     string `json:"id"` // UUIDv7, made in commands
	Type   Type   `json:"type"`
	V      int    `json:"v"`                // version of Data's shape
	Actor  string `json:"actor"`            // id of who did it; never a name
	Client string `json:"client,omitempty"` // the v1 client and seq of the command, where it had them
	Seq    uint64 `json:"seq,omitempty"`
	Cause  Cause  `json:"cause,omitempty"`
	// Step is set with CauseUndo and CauseRedo: the first revision of the change that is undone or redone.
	Step uint64 `json:"step,omitempty"`
	// Cont is true on all but the first event of one change (one command or all-or-nothing list): an undo step ends where Cont is false.
	Cont bool            `json:"cont,omitempty"`
	Data json.RawMessage `json:"data"`

	// Payload is Data decoded to the newest version's struct (a pointer to one of the *Data types below), filled by Decode
	// and by whoever makes an event. Encode writes Data from it. Never modified once shared.
	Payload any `json:"-"`
}

// Done says that this commit completes one command: known either by (User, Client, Seq) or by (User, Key).
// First and Last are the revisions of its events; First > Last means it changed nothing and was answered at revision Last.
type Done struct {
	User    string   `json:"user"`
	Client  string   `json:"client,omitempty"`
	Seq     uint64   `json:"seq,omitempty"`
	Key     string   `json:"key,omitempty"`
	Hash    string   `json:"hash,omitempty"` // of the HTTP body, with Key: 64 hex digits; a plain SHA-256 in commits of early versions
	First   uint64   `json:"first"`
	Last    uint64   `json:"last"`
	Dropped []string `json:"dropped,omitempty"` // ids of elements that were gone
}

// Part marks a commit as one of several under one operation: a change that is larger than a commit may be. Its parts follow each other in the
// stream with nothing between them; all but the last say how the rest is made.
type Part struct {
	Op   string `json:"op"`
	Part int    `json:"part"` // from 1
	Of   int    `json:"of"`   // the last part's number; a later part may put it higher
	Rest *Rest  `json:"rest,omitempty"`
}

// Rest says how the parts that are still missing are made: the change is decided again on the room as the parts so far have left it.
type Rest struct {
	Cause    Cause  `json:"cause"`
	Revision uint64 `json:"revision,omitempty"` // CauseRestore: whose elements the room gets
	// Done is what the last part completes. First is the revision of the operation's first event, Last is 0; User is always set.
	Done Done `json:"done"`
}

// Commit is the events of one append: all of them are in the log, or none.
// Invariants: len(Events) ≥ 1; First ≥ 1; At never runs backwards in a stream.
type Commit struct {
	First  uint64 // revision of Events[0]
	At     int64  // Unix milliseconds
	Prev   string // Sum of the commit before in this stream; "" for the first
	Events []Event
	Done   []Done
	Part   *Part
	Sum    string // hex SHA-256, see Encode
	Seq    uint64 // position in its partition; not part of the encoding, set by whoever read or appended it
}

// Last is the revision of the commit's last event.
func (c *Commit) Last() uint64 { return c.First + uint64(len(c.Events)) - 1 }
