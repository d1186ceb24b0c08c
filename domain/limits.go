package domain

import "time"

// Limits. Bytes are of UTF-8 or of canonical JSON. Each is tested at the limit and one past it.
const (
	MaxElementBytes    = 64 << 10 // canonical JSON of one element, data URLs taken out
	MaxElements        = 20_000   // per room
	MaxRoomBytes       = 32 << 20 // canonical JSON of all elements of a room
	MaxElementID       = 128
	MaxRoomID          = 64
	MaxRoomName        = 256
	MaxDescription     = 4 << 10
	MaxChatText        = 16 << 10
	MaxCommentText     = 16 << 10
	MaxComments        = 5_000 // per room, resolved ones too
	MaxParticipants    = 10_000
	MaxGenerations     = 100      // per room, under way; and as many whose end is unknown
	MaxGenerationBytes = 64 << 10 // JSON of prompt and input together
	MaxGenerationFiles = 16       // files of ours that one input names
	MaxModelName       = 128
	MaxInvites         = 200    // per room, that are not over
	MaxInviteUses      = 10_000 // people that one invite lets in, where it is bounded
	MaxPersonName      = 128
	MaxClientID        = 64
	MaxIdempotencyKey  = 128
	MaxZ               = 256                  // bytes of a paint-order key before a rebalance
	MaxCommandsPerList = 2_000                // commands in one all-or-nothing list
	MaxIDsPerCommand   = 20_000               // ids in one remove or reorder
	MaxJSONDepth       = 32                   // of an element
	MaxDataDepth       = MaxJSONDepth + 1     // of a command's data
	MaxUndoSteps       = 100                  // per user and room
	MaxUndoBytes       = MaxRoomBytes + 8<<20 // of old values, per room: what takes back a change of everything there is, and more; the oldest steps go first
	ChatKept           = 200                  // messages kept in room state (snapshot and history of old clients)
	OncePerClient      = 1_024                // answers remembered per (user, client)
	OnceKeyAge         = 24 * time.Hour       // how long Idempotency-Keys are remembered, by event time
)
