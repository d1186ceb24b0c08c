package projections

import "github.com/infinite-kanvas/kanvas/events"

// assetDelta is what a batch does to one row of assets.
type assetDelta struct {
	stored     *events.AssetStoredData
	user, room any
	at         string
	revision   uint64
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
		switch d := ch.facts[i].event.Payload.(type) {
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
