package domain

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

func TestEvolveRefusesWhatCannotBe(t *testing.T) {
	w := letters(t, "ab")
	for _, e := range []events.Event{
		{Type: events.RoomCreated, Payload: &events.RoomCreatedData{}},
		{Type: events.ElementAdded, Payload: &events.ElementAddedData{Element: w.room.Element("a").JSON()}},
		{Type: events.ElementAdded, Payload: &events.ElementAddedData{Element: json.RawMessage(`{"id":"n","type":"shape"}`)}},
		{Type: events.ElementAdded, Payload: &events.ElementAddedData{Element: json.RawMessage(`{`)}},
		{Type: events.ElementPatched, Payload: &events.ElementPatchedData{ID: "gone"}},
		{Type: events.ElementPatched, Payload: &events.ElementPatchedData{ID: "a", Unset: []string{"z"}}},
		{Type: events.ElementPatched, Payload: &events.ElementPatchedData{ID: "a", Set: events.Members{{Key: "z", Value: []byte(`"a0"`)}}}},
		{Type: events.ElementPatched, Payload: &events.ElementPatchedData{ID: "a", Set: events.Members{{Key: "type", Value: []byte(`"text"`)}}}},
		{Type: events.ElementPatched, Payload: &events.ElementPatchedData{ID: "a", Set: events.Members{{Key: "k", Value: []byte(`1`)}}, Unset: []string{"k"}}},
		{Type: events.ElementRemoved, Payload: &events.ElementRemovedData{IDs: []string{"a", "gone"}}},
		{Type: events.ElementRemoved, Payload: &events.ElementRemovedData{IDs: []string{"a", "a"}}},
		{Type: events.ParticipantRoleChanged, Payload: &events.ParticipantRoleChangedData{User: "nobody"}},
		{Type: events.ParticipantRemoved, Payload: &events.ParticipantRemovedData{User: "nobody"}},
		{Type: events.CommentResolved, Payload: &events.CommentResolvedData{ID: "none"}},
		{Type: events.UserDeleted, Payload: &events.UserDeletedData{}},
		{Type: events.ElementPatched},
	} {
		before := w.room.EncodeSnapshot()
		e.Actor = "ann"
		if err := w.room.Evolve(&e, w.room.Revision()+1, w.now); err == nil {
			t.Errorf("%s %+v was folded", e.Type, e.Payload)
		}
		c := &events.Commit{First: w.room.Revision() + 1, Prev: w.room.Sum(), Events: []events.Event{
			{Type: events.RoomCheckpointed, Payload: &events.RoomCheckpointedData{}}, e}}
		if err := w.room.Apply(c); err == nil {
			t.Errorf("a commit with %s was folded", e.Type)
		}
		if after := w.room.EncodeSnapshot(); !bytes.Equal(before, after) || w.room.journal.on {
			t.Errorf("%s: the room was changed:\n%s", e.Type, firstDifference(before, after))
		}
	}
	ok := events.Event{Type: events.RoomCheckpointed, Payload: &events.RoomCheckpointedData{}}
	for _, c := range []events.Commit{{First: w.room.Revision() + 2, Prev: w.room.Sum()}, {First: w.room.Revision(), Prev: w.room.Sum()}, {First: w.room.Revision() + 1, Prev: "other"}} {
		if c.Events = []events.Event{ok}; w.room.Apply(&c) == nil {
			t.Errorf("commit %d after %q was folded", c.First, c.Prev)
		}
	}
	if w.room.Evolve(&ok, w.room.Revision()+2, w.now) == nil {
		t.Error("a gap was folded over")
	}
}
