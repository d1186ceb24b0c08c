package domain

import "github.com/infinite-kanvas/kanvas/events"

// AssetStatus is where an asset stands.
type AssetStatus string

// Statuses of assets. The zero value is of one that nobody asked for.
const (
	AssetPending AssetStatus = "pending" // its bytes may be sent
	AssetReady   AssetStatus = "ready"
	AssetFailed  AssetStatus = "failed"
	AssetUnused  AssetStatus = "unused" // ready still; nothing shows it, and it is deleted when that stays so
	AssetDeleted AssetStatus = "deleted"
)

// Asset is a stream of an asset, folded.
type Asset struct {
	Status      AssetStatus
	Requested   *events.AssetUploadRequestedData // nil: it came within a command
	Stored      *events.AssetStoredData          // nil until its bytes are there
	Failed      *events.AssetFailedData
	Processed   *events.AssetProcessedData // nil: there are no variants yet
	Rooms       []string                   // that show or showed it
	StoredAt    int64                      // Unix ms
	DeleteAfter int64                      // Unix ms; 0: it is not marked
}

// Shown reports whether the bytes may be served.
func (a *Asset) Shown() bool { return a.Status == AssetReady || a.Status == AssetUnused }

// FoldAsset folds all commits of an asset's stream.
func FoldAsset(commits []*events.Commit) Asset {
	var a Asset
	for _, c := range commits {
		for i := range c.Events {
			a.evolve(c.At, &c.Events[i])
		}
	}
	return a
}

func (a *Asset) evolve(at int64, e *events.Event) {
	switch d := e.Payload.(type) {
	case *events.AssetUploadRequestedData:
		a.Status, a.Requested = AssetPending, d
	case *events.AssetStoredData:
		a.Status, a.Stored, a.StoredAt = AssetReady, d, at
	case *events.AssetFailedData:
		a.Status, a.Failed = AssetFailed, d
	case *events.AssetProcessedData:
		a.Processed = d
	case *events.AssetAttachedData:
		a.Rooms = append(a.Rooms, d.Room)
	case *events.AssetMarkedUnusedData:
		a.Status, a.DeleteAfter = AssetUnused, d.DeleteAfter
	case *events.AssetUsedAgainData:
		a.Status, a.DeleteAfter = AssetReady, 0
	case *events.AssetDeletedData:
		a.Status = AssetDeleted
	}
}
