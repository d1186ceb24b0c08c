package projections

import (
	"context"

	"github.com/infinite-kanvas/kanvas/events"
)

// Queries is what the API reads from the tables. Implementations are safe for concurrent use.
type Queries interface {
	// ListRooms returns rooms that exist and have the visibility, newest first. cursor is "" or what the call before returned; next is ""
	// at the end. Rooms made or deleted meanwhile make nobody appear twice. A cursor that isn't ours is ErrCursor.
	ListRooms(ctx context.Context, visibility, cursor string, limit int) (rows []RoomRow, next string, err error)
	// RoomsOf returns the rooms that a person takes part in, likewise.
	RoomsOf(ctx context.Context, user, cursor string, limit int) (rows []RoomRow, next string, err error)
	// RoomByID returns the row of a room, of a deleted one too, ErrNotFound where there is none.
	RoomByID(ctx context.Context, room string) (RoomRow, error)
	// Participants returns who takes part in a room, in the order of joining.
	Participants(ctx context.Context, room string) ([]ParticipantRow, error)
	// RolesOf returns the roles of a person in those of the rooms that they took part in; "" where they were removed.
	RolesOf(ctx context.Context, user string, rooms []string) (map[string]string, error)
	// CountParticipants is the number of those.
	CountParticipants(ctx context.Context, room string) (int, error)
	// AssetByID returns an asset, ErrNotFound where there is none.
	AssetByID(ctx context.Context, asset string) (AssetRow, error)
	// AssetRooms returns the rooms that show or showed an asset, the one it was uploaded to among them, sorted.
	AssetRooms(ctx context.Context, asset string) ([]string, error)
	// AssetBytes is how many bytes of a person's assets are kept.
	AssetBytes(ctx context.Context, user string) (int64, error)
	// RoomAssets returns the assets that a room shows or showed and that can be served, sorted by id, those after the id after, at most limit.
	RoomAssets(ctx context.Context, room, after string, limit int) ([]AssetRow, error)
	// AssetsByID returns those of the assets that there are, in any order; at most MaxAssetIDs are asked for.
	AssetsByID(ctx context.Context, ids []string) ([]AssetRow, error)
	// StoredAssets returns all assets that can be served, likewise.
	StoredAssets(ctx context.Context, after string, limit int) ([]AssetRow, error)
	// Spending sums up, in the order of months, people and models.
	Spending(ctx context.Context, f SpendingFilter) ([]SpendingRow, error)
	// CallOfJob returns the entry of the call that put a job in fal.ai's queue, ErrNotFound where there is none.
	CallOfJob(ctx context.Context, job string) (events.SpendingRecordedData, error)
	// OpenSpending returns the generations of which it is not known yet what they cost, sorted by room and id.
	OpenSpending(ctx context.Context, f SpendingFilter) ([]OpenGeneration, error)
	// Generations returns the generations of a room, the newest first; cursor as with ListRooms.
	Generations(ctx context.Context, room, cursor string, limit int) (rows []GenerationRow, next string, err error)
	// GenerationByID returns one of a room, ErrNotFound where there is none.
	GenerationByID(ctx context.Context, room, id string) (GenerationRow, error)
	// UnfinishedGenerations returns those that are under way, or canceled with something still to come, in rooms that are there, sorted by room and id, those
	// after the room and id given, at most limit.
	UnfinishedGenerations(ctx context.Context, room, id string, limit int) ([]GenerationRow, error)
	// NewestSnapshot returns where the newest snapshot of a room at or below revision (0: any) is; ok is false where there is none.
	NewestSnapshot(ctx context.Context, room string, revision uint64) (row SnapshotRow, ok bool, err error)
	// RoomsNeedingCheckpoint returns the rooms in which something happened since their last checkpoint, sorted by id, those after the id
	// after, at most limit.
	RoomsNeedingCheckpoint(ctx context.Context, after string, limit int) ([]UncheckedRoom, error)
}

// RoomRow is a row of rooms. Times are Unix milliseconds.
type RoomRow struct {
	ID, Name, Description   string
	Visibility, DefaultRole string
	OwnerID                 string // "" for rooms without one
	CreatedAt, UpdatedAt    int64
	DeletedAt               int64 // 0: it isn't
	Revision                uint64
}

// ParticipantRow is a participant with what their own stream says of them. Times are Unix milliseconds.
type ParticipantRow struct {
	UserID, Role string
	JoinedAt     int64
	Name, Color  string // "" unknown or forgotten
}

// MaxAssetIDs is how many assets one call of AssetsByID takes.
const MaxAssetIDs = 500

// AssetRow is a row of assets. Times are Unix milliseconds.
type AssetRow struct {
	ID, UserID, RoomID string // UserID and RoomID may be ""
	Key, ContentType   string
	Size               int64 // bytes
	SHA256, Status     string
	Width, Height      int // pixels, 0 unknown
	CreatedAt          int64
	Variants           string // JSON of []events.AssetVariant, "" where they were not made yet
	Placeholder        string // a data URL, "" where there is none (yet)
	Reason             string // why the upload failed
	DeleteAfter        int64  // 0: it is not marked as unused
}

// GenerationRow is a row of generations. Times are Unix milliseconds, 0: not yet; money is in millionths of a US dollar.
type GenerationRow struct {
	RoomID, ID, UserID                              string // UserID may be ""
	Revision                                        uint64 // of the room, at which it was asked for
	Model, Result                                   string
	Request                                         string // sealed
	ElementID, RetryOf                              string
	Status                                          string
	Open                                            bool   // canceled, and something may still come of it
	Inputs, Assets                                  string // JSON lists of asset names, "" for none
	Seed                                            string
	Estimate                                        int64
	Cost                                            *int64 // nil: nothing is known of it yet
	Kept                                            *bool  // nil: likewise
	Reason, Detail, Said                            string // Said is sealed
	Retryable                                       bool
	RequestedAt, SubmittedAt, StartedAt, FinishedAt int64
	DurationMS                                      int64
}

// SnapshotRow says that the object under Key holds a room as of Revision, whose commit has sequence Seq and sum Sum.
type SnapshotRow struct {
	Revision, Seq uint64
	Sum, Key      string
}

// UncheckedRoom is a room whose revision is beyond its last checkpoint (0: it has none).
type UncheckedRoom struct {
	ID                   string
	Revision, Checkpoint uint64
	UpdatedAt            int64 // Unix milliseconds
}
