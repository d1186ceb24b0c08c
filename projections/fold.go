package projections

import (
	"strings"

	"github.com/infinite-kanvas/kanvas/events"
)

// fold gathers what a batch of changes does to the tables, coalesced: of what several changes write, the last is kept. It is pure.
// Changes of one stream must be added in their order; the order of streams does not matter to the rows.
type fold struct {
	users       ordered[userDelta]
	rooms       ordered[roomDelta]
	assets      ordered[assetDelta]
	comments    ordered[commentDelta]
	invites     ordered[inviteDelta]
	generations ordered[generationDelta]
	spending    ordered[spendingRow]

	userStubs, roomStubs ordered[struct{}]

	participants []participantOp // in order: each depends on the row before
	chat         []chatRow
	canvases     []canvasState
	snapshots    []snapshotRow
	attached     []attachedRow
}

// ordered is a map that remembers the order of first use, so that statements come out the same each time.
type ordered[T any] struct {
	byID map[string]*T
	ids  []string
}

// get returns the value under id, a new zero one where there is none.
func (o *ordered[T]) get(id string) *T {
	v := o.byID[id]
	if v == nil {
		if o.byID == nil {
			o.byID = map[string]*T{}
		}
		v = new(T)
		o.byID[id] = v
		o.ids = append(o.ids, id)
	}
	return v
}

// add folds in one change that can be applied.
func (f *fold) add(ch *change) {
	switch ch.stream.Kind {
	case events.KindRoom:
		f.addRoom(ch)
	case events.KindUser:
		f.addUser(ch)
	case events.KindAsset:
		f.addAsset(ch)
	case events.KindSpending:
		f.addSpending(ch)
	}
}

// person gives the value of a column that refers to users, with a stub for it; NULL for what is no user.
func (f *fold) person(id string) any {
	if id == "" || id == "system" || strings.HasPrefix(id, "anon:") {
		return nil
	}
	f.userStubs.get(id)
	return id
}

// orNil is NULL for what isn't there.
func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func timeOrNil(ms int64, there bool) any {
	if !there {
		return nil
	}
	return FormatTime(ms)
}
