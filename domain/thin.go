package domain

import (
	"encoding/json"

	"github.com/infinite-kanvas/kanvas/events"
)

type canvas struct{}

func (*canvas) init() {}

type undoState struct{}

func (*undoState) init() {}

type onceState struct{}

func (*onceState) init() {}

type journal struct{}

// Mark is a place in the journal; see Room.Mark.
type Mark struct{ n int }

// Decision is what a command comes to: its events, and the ids of elements that were gone.
// Events have Type, V, Actor, Cause, Step, Cont and Payload filled; ID, Client and Seq are left to commands.
type Decision struct {
	Events  []events.Event
	Dropped []string
}

func Decide(r *Room, a Actor, c Command, now int64) (Decision, error) { return Decision{}, nil }

func (r *Room) RoleOf(userID string) (Role, error)                 { return "", nil }
func (r *Room) Element(id string) *Element                         { return nil }
func (r *Room) Elements() []*Element                               { return nil }
func (r *Room) ElementCount() int                                  { return 0 }
func (r *Room) ElementBytes() int                                  { return 0 }
func (r *Room) Chat() []ChatMessage                                { return nil }
func (r *Room) Comments() []Comment                                { return nil }
func (r *Room) Participants() []Participant                        { return nil }
func (r *Room) Evolve(e *events.Event, rev uint64, at int64) error { return nil }
func (r *Room) Apply(c *events.Commit) error                       { return nil }
func (r *Room) Mark() Mark                                         { return Mark{} }
func (r *Room) Rollback(Mark)                                      {}
func (r *Room) Release()                                           {}
func (r *Room) Seal(c *events.Commit)                              {}
func (r *Room) Remembered(user, client string, seq uint64) (events.Done, bool, error) {
	return events.Done{}, false, nil
}
func (r *Room) RememberedKey(user, key, hash string, now int64) (events.Done, bool, error) {
	return events.Done{}, false, nil
}
func (r *Room) Remember(d events.Done, at int64)       {}
func (r *Room) EncodeSnapshot() []byte                 { return nil }
func DecodeSnapshot(b []byte) (*Room, error)           { return nil, nil }
func (r *Room) Clone() *Room                           { return nil }
func KeyBetween(a, b string) (string, error)           { return "", nil }
func KeysBetween(a, b string, n int) ([]string, error) { return nil, nil }

// Allowed reports whether a role may give a command.
func Allowed(role Role, commandName string) bool { return false }

// CommandNames lists every command, sorted.
func CommandNames() []string { return nil }

// Anonymous reports whether the actor is a guest for the length of a connection, without a user stream.
func (a Actor) Anonymous() bool { return false }

// RawCommand is a command as it comes over the wire.
type RawCommand struct {
	Command string          `json:"command"`
	Data    json.RawMessage `json:"data"`
}

// ParseCommands reads a list of commands, 1 to MaxCommandsPerList; an error names the first bad one.
func ParseCommands(raw []RawCommand) ([]Command, error) { return nil, nil }

func parseCommand(name string, data json.RawMessage) (Command, error) { return nil, nil }
