package domain

import (
	"encoding/json"

	"github.com/infinite-kanvas/kanvas/events"
)

// Actor is who asks. ID is a user id, "anon:" and an id made by the server, or SystemID.
type Actor struct{ ID string }

// SystemID acts for process handlers; it may do what no person may (checkpoints, what becomes of generations) and nothing else.
const SystemID = "system"

// Role of a participant. The zero Role is none.
type Role string

// Roles, strongest first.
const (
	RoleOwner     Role = "owner"
	RoleEditor    Role = "editor"
	RoleCommenter Role = "commenter"
	RoleViewer    Role = "viewer"
)

// Visibility of a room.
type Visibility string

// Visibilities. Public: listed, anybody enters. Unlisted: who knows the id enters. Private: participants only.
const (
	Public   Visibility = "public"
	Unlisted Visibility = "unlisted"
	Private  Visibility = "private"
)

// Command is what somebody asks of a room. The implementations are the structs below; CommandName is the wire name.
type Command interface{ CommandName() string }

// Commands. Those with personal text carry it twice: Text as asked, and Sealed as commands sealed it; Decide uses Sealed alone.
type (
	// CreateRoom makes the room. Repeated by the same owner it changes nothing; by another it is CodeConflict.
	CreateRoom struct {
		Name, Description string
		Visibility        Visibility
		DefaultRole       Role
	}
	UpdateRoom struct {
		Name, Description *string
		Visibility        *Visibility
		DefaultRole       *Role
	}
	DeleteRoom struct{}
	// TransferRoom hands the room over to another participant: they become owner, and who asks becomes editor.
	TransferRoom struct{ User string }
	// RotateKey makes all links to the room's pictures worthless that old clients were given until now.
	RotateKey struct{}
	// Join records the first entry of an identity. It changes nothing for participants and anonymous actors.
	Join struct{}
	// Checkpoint is the system's alone.
	Checkpoint struct{}
	SetRole    struct {
		User string
		Role Role
	}
	RemoveParticipant struct{ User string }
	// ClaimParticipant gives the user that a guest turned out to be the role that the guest has. Asked by the guest itself; not for clients.
	ClaimParticipant struct{ User string }
	// CreateInvite makes a link that lets its bearers in. Hash is the SHA-256 of its code in hex: the code itself is nobody's but theirs.
	// Not for clients, who can't make codes.
	CreateInvite struct {
		ID, Hash  string
		Role      Role
		ExpiresAt int64 // Unix ms; 0: never
		Uses      int   // how many people it lets in; 0: any number
	}
	RevokeInvite struct{ ID string }
	// RequestGeneration asks for a picture or a video. Not for clients, who can't seal. Element is the placeholder that shows it; nil: the element
	// ElementID does, which stays as it is until the result replaces it.
	RequestGeneration struct {
		ID, Model, Result string
		Request           events.Sealed
		Assets            []string // "asset:" and the id, sorted
		Estimate          int64    // millionths of a US dollar
		Element           *Element
		ElementID         string
		RetryOf           string
	}
	// CancelGeneration is for whoever asked for it, and for owners.
	CancelGeneration struct{ ID string }
	// AdvanceGeneration is the system's alone: To is the payload of what happened to a generation. What can't follow any more changes nothing.
	AdvanceGeneration struct{ To any }
	// ShowGeneration is the system's alone: an element that waits for a generation, and came back or was copied, gets what became of it, which was
	// told before. It changes nothing while the generation is under way.
	ShowGeneration struct {
		ID, ElementID string
		Status        GenerationStatus // succeeded, failed, canceled or unknown
		File          GeneratedFile    // of succeeded: the first
		Code, Detail  string           // of failed
	}
	// FinishGeneration is the system's alone: the result is stored.
	FinishGeneration struct {
		ID         string
		Files      []GeneratedFile // at least one
		Seed       string
		Cost       int64 // millionths of a US dollar
		DurationMS int64
	}
	// RedeemInvite lets the bearer of a code in, strangers of private rooms too. It never makes a role weaker, and counts once a person.
	RedeemInvite struct{ Hash string }
	AddElement   struct {
		Element *Element // z is ignored: Decide gives it
		Before  string   // element id, or "" for the front
	}
	PatchElement struct {
		ID    string
		Set   events.Members
		Unset []string
		// sound: Set and Unset were checked when they were parsed. Whoever puts another value in puts in compact JSON.
		sound bool
	}
	RemoveElements  struct{ IDs []string }
	ReorderElements struct {
		IDs           []string
		Before, After string // element ids, at most one of Before, After, To
		To            string // "front" or "back"
	}
	PostChat struct {
		Text   string
		Sealed events.Sealed
		// For actors without a user stream (see events.ChatPostedData).
		Name          string
		SealedName    events.Sealed
		Color, UserID string
	}
	AddComment struct {
		ID, ElementID string
		X, Y          *float64
		Text          string
		Sealed        events.Sealed
	}
	ResolveComment struct{ ID string }
	Undo           struct{}
	Redo           struct{}
	// Restore carries the elements of the revision as commands read them from the log (Decide does no IO).
	Restore struct {
		Revision uint64
		Elements []*Element // paint order, filled in by commands
	}
)

func (CreateRoom) CommandName() string        { return "room.create" }
func (UpdateRoom) CommandName() string        { return "room.update" }
func (DeleteRoom) CommandName() string        { return "room.delete" }
func (TransferRoom) CommandName() string      { return "room.transfer" }
func (RotateKey) CommandName() string         { return "room.rotate_key" }
func (Join) CommandName() string              { return "participant.join" }
func (Checkpoint) CommandName() string        { return "room.checkpoint" }
func (SetRole) CommandName() string           { return "participant.set_role" }
func (RemoveParticipant) CommandName() string { return "participant.remove" }
func (ClaimParticipant) CommandName() string  { return "participant.claim" }
func (CreateInvite) CommandName() string      { return "invite.create" }
func (RevokeInvite) CommandName() string      { return "invite.revoke" }
func (RequestGeneration) CommandName() string { return "generation.request" }
func (CancelGeneration) CommandName() string  { return "generation.cancel" }
func (AdvanceGeneration) CommandName() string { return "generation.advance" }
func (FinishGeneration) CommandName() string  { return "generation.finish" }
func (ShowGeneration) CommandName() string    { return "generation.show" }
func (RedeemInvite) CommandName() string      { return "invite.redeem" }
func (AddElement) CommandName() string        { return "element.add" }
func (PatchElement) CommandName() string      { return "element.patch" }
func (RemoveElements) CommandName() string    { return "element.remove" }
func (ReorderElements) CommandName() string   { return "element.reorder" }
func (PostChat) CommandName() string          { return "chat.post" }
func (AddComment) CommandName() string        { return "comment.add" }
func (ResolveComment) CommandName() string    { return "comment.resolve" }
func (Undo) CommandName() string              { return "undo" }
func (Redo) CommandName() string              { return "redo" }
func (Restore) CommandName() string           { return "canvas.restore" }

// ParseCommand reads a command of the v1 contract (the ones clients may send). data is not kept.
// A data URL in src is allowed here (commands take it out before Decide), so an element may be larger than MaxElementBytes.
// Errors are *Error with CodeInvalidCommand or CodeTooLarge.
func ParseCommand(name string, data json.RawMessage) (Command, error) {
	return parseCommand(name, data)
}

// ParseCompact is ParseCommand for data that is compact JSON and passed events.CheckJSON with MaxDataDepth: it is not looked at again. The
// command keeps parts of data, which nobody may change from then on.
func ParseCompact(name string, data json.RawMessage) (Command, error) {
	return parseCompact(name, data)
}
