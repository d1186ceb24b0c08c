package projections

import (
	"encoding/json"

	"github.com/infinite-kanvas/kanvas/events"
)

// assetDelta is what a batch does to one row of assets.
type assetDelta struct {
	requested  *events.AssetUploadRequestedData
	stored     *events.AssetStoredData
	changes    []assetChange // of the row that is there then, in order
	user, room any
	at         string
	revision   uint64
}

type assetChange struct {
	t    *template
	args []any // but the last, the id
}

type attachedRow struct {
	asset, room, at string
	revision        uint64
}

func (f *fold) addAsset(ch *change) {
	a := f.assets.get(ch.stream.ID)
	a.revision = ch.last
	at := FormatTime(ch.commit.At)
	for i := range ch.facts {
		change := func(t *template, args ...any) { a.changes = append(a.changes, assetChange{t, args}) }
		switch d := ch.facts[i].event.Payload.(type) {
		case *events.AssetUploadRequestedData:
			a.requested, a.at = d, at
			a.user, a.room = f.person(d.User), f.roomRef(d.Room)
		case *events.AssetFailedData:
			change(assetFailedSQL, d.Detail)
		case *events.AssetProcessedData:
			change(assetProcessedSQL, variantsText(d.Variants), orNil(d.Placeholder))
		case *events.AssetMarkedUnusedData:
			change(assetUnusedSQL, FormatTime(d.DeleteAfter))
		case *events.AssetUsedAgainData:
			change(assetUsedSQL)
		case *events.AssetDeletedData:
			change(assetDeletedSQL)
		case *events.AssetStoredData:
			a.stored, a.at = d, at
			a.user, a.room = f.person(d.User), f.roomRef(d.Room)
		case *events.AssetAttachedData:
			if f.roomRef(d.Room) != nil {
				f.attached = append(f.attached, attachedRow{asset: ch.stream.ID, room: d.Room, at: at, revision: d.Revision})
			}
		}
	}
}

// roomRef gives the value of a column that refers to rooms, with a stub for it.
func (f *fold) roomRef(id string) any {
	if id == "" {
		return nil
	}
	f.roomStubs.get(id)
	return id
}

// variantsText is JSON, of none too: it says that they were made.
func variantsText(v []events.AssetVariant) any {
	if v == nil {
		v = []events.AssetVariant{}
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers and strings
	}
	return string(b)
}
