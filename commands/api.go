package commands

import (
	"context"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Request asks a room for one change: one command, or a list that succeeds or fails as a whole (one commit, one undo step).
type Request struct {
	Actor    domain.Actor
	Commands []domain.Command // prepared: personal text sealed, data URLs taken out (see Preparer)
	// Once-only identity, at most one of the two pairs. Client and Seq: a v1 socket. Key and Hash (Users.Sum of the body): HTTP.
	Client string
	Seq    uint64
	Key    string
	Hash   string
	// IfMatch, when not nil, refuses with CodeRevisionConflict unless the room is at this revision.
	IfMatch *uint64
}

// Result is the answer to a Request, after its commit is durable. First > Last: nothing changed, Last is the current revision.
type Result struct {
	First, Last uint64
	Dropped     []string
	// Commit holds the events First..Last (among others of the same group commit); nil where the answer was remembered or nothing changed.
	Commit *events.Commit
	// Remembered: the request had been answered before; this is the first answer again.
	Remembered bool
}

// View is a room at one revision; immutable, shared by all who ask at that revision.
type View struct {
	Room         RoomInfo
	Revision     uint64
	Deleted      bool  // the room was deleted at or before Revision
	At           int64 // Unix ms of the last commit
	Seq          uint64
	Elements     []*domain.Element // paint order
	Chat         []domain.ChatMessage
	Comments     []domain.Comment
	Participants []domain.Participant
	Invites      []domain.Invite      // for owners' eyes
	Generations  []*domain.Generation // under way, see domain.Room.Generations
	// Cached is for the api's encoders: one encoding per protocol and view.
	Cached Cache
	// RoleOf is the effective role of a user at this revision; see domain.Room.RoleOf.
	RoleOf func(userID string) (domain.Role, error)
}

// RoomInfo is a room's own data.
type RoomInfo struct {
	ID, Name, Description string
	Visibility            domain.Visibility
	DefaultRole           domain.Role
	OwnerID               string
	Key                   uint64 // of the links to its pictures, see domain.Room.Key
	CreatedAt, UpdatedAt  int64  // Unix ms
}

// Watcher is told of a room's commits. All its methods are called by the room's actor, one at a time, and must not block on IO.
type Watcher interface {
	// Committed gets every commit after the View that the watcher was given, in order, without gaps, whoever made it.
	Committed(c *events.Commit)
	// Ended says that the actor stopped (shutdown, or the room's log could not be read): no more calls. err says why.
	Ended(err error)
}

// Watch is a subscription to one room. It keeps the room loaded. Methods may be called concurrently.
type Watch interface {
	// View runs fn in the actor between two commits: what fn is given is complete up to View.Revision, and the Watcher has been or
	// will be told of exactly the commits after it. It returns without waiting; fn must not block.
	// A room that does not exist yet gives a View with Revision 0 and empty Room.OwnerID.
	View(fn func(*View))
	// Submit hands in a request; reply is called by the actor exactly once, after Committed for its commit. It never blocks: where the
	// room's queue is full, reply is called at once with CodeReadOnly ("overloaded").
	Submit(r Request, reply func(Result, error))
	Close()
}

// Rooms is the road to all rooms of this process. Methods may be called concurrently.
type Rooms interface {
	// Do submits and waits. Where ctx ends first the outcome is unknown to the caller (the request may still be committed).
	Do(ctx context.Context, roomID string, r Request) (Result, error)
	Watch(ctx context.Context, roomID string, w Watcher) (Watch, error)
	// View returns the room now; CodeNotFound where it does not exist or was deleted.
	View(ctx context.Context, roomID string) (*View, error)
	// ViewAt returns the room as of a revision, read from snapshots and the log; ViewAtTime as of the last commit at or before at (Unix ms).
	ViewAt(ctx context.Context, roomID string, revision uint64) (*View, error)
	ViewAtTime(ctx context.Context, roomID string, at int64) (*View, error)
	// Commits yields the commits that hold revisions > after, in order, up to the room's head.
	Commits(ctx context.Context, roomID string, after uint64, yield func(*events.Commit) bool) error
}

// Preparer makes what a client sent ready for the actor, outside of it and in order per connection: role check, personal text sealed,
// data URLs taken out to assets (bytes stored and the asset's commit made first). It has nothing to do for commands that are Plain.
type Preparer interface {
	Prepare(ctx context.Context, roomID string, a domain.Actor, role domain.Role, cs []domain.Command) ([]domain.Command, error)
}

// Profile is what others may see of a person.
type Profile struct {
	ID, Name, Color string
	ClaimedBy       string // of a guest: the user that it turned out to be
	Deleted         bool   // then Name is DeletedName
}

// Users is the road to the streams of people.
type Users interface {
	// CreateGuest makes a person of kind "guest" and returns its profile once it is durable.
	CreateGuest(ctx context.Context, name string) (Profile, error)
	// Ensure makes the person where it is unknown (kind "local" or "clerk").
	Ensure(ctx context.Context, id, kind, name string) (Profile, error)
	// Claim says that a guest is a user, for good: CodeConflict where it is another's already. Repeated it changes nothing.
	Claim(ctx context.Context, guest, user string) error
	// Guests are those that the user claimed, in order.
	Guests(ctx context.Context, user string) ([]string, error)
	// ApplyDirectory takes over what the directory says of a person; see People.ApplyDirectory.
	ApplyDirectory(ctx context.Context, c DirectoryChange) error
	// Profile never fails: unknown people have Name "", deleted ones DeletedName, both a colour derived from the id. Cached.
	Profile(ctx context.Context, id string) Profile
	// Deleted reports whether the person was deleted: nobody acts as them any more. Cached; known on every node at once.
	Deleted(ctx context.Context, id string) (bool, error)
	// Sum is what a body is known by when it comes again. It goes into the log, so it is made under the person's key: a plain sum of a short message
	// would tell it to whoever tries.
	Sum(ctx context.Context, person string, data []byte) (string, error)
	// Epoch changes when people are forgotten: what was encoded with names and opened texts at another epoch must not be shown.
	Epoch() uint64
	// Open returns the text of sealed, or ok false where the person's key is gone.
	Open(ctx context.Context, person string, sealed events.Sealed) (text string, ok bool)
}
