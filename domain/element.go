package domain

import (
	"encoding/json"
	"errors"

	"github.com/infinite-kanvas/kanvas/events"
)

type Element struct {
	id, typ, z string
	json       []byte
}

func ParseElement(raw json.RawMessage) (*Element, error)  { return nil, errors.New("thin") }
func (e *Element) ID() string                             { return e.id }
func (e *Element) Type() string                           { return e.typ }
func (e *Element) Z() string                              { return e.z }
func (e *Element) JSON() []byte                           { return e.json }
func (e *Element) Get(key string) (json.RawMessage, bool) { return nil, false }
func (e *Element) Members(yield func(key string, value json.RawMessage) bool) {
}
func (e *Element) With(set events.Members, unset []string, rev uint64) *Element { return e }
func SameContent(a, b *Element) bool                                            { return false }
func ValidElementID(id string) bool                                             { return false }
func ValidRoomID(id string) bool                                                { return false }
