package realtime

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// partiesMsg is one frame of an old client. Nothing in it is part of the frame: it may be kept.
type partiesMsg struct {
	kind     string // one of the message types of the reference; "" unknown
	id       string // of the element
	members  events.Members
	cursor   []byte // {"x","y"}
	viewport []byte // {"x","y","scale"}
	text     string
}

// partiesKinds are the messages that clients send, as constants.
var partiesKinds = func() map[string]string {
	m := map[string]string{}
	for k := range partiesRights {
		m[k] = k
	}
	return m
}()

// elementKeys are the member names of the reference: shared, not copied for each frame.
var elementKeys = func() map[string]string {
	m := map[string]string{}
	for _, k := range []string{"id", "type", "z", "src", "x", "y", "width", "height", "rotation", "isGenerated", "parentGroupId", "cropX",
		"cropY", "cropWidth", "cropHeight", "scaleX", "scaleY", "isVideo", "duration", "currentTime", "isPlaying", "volume", "muted",
		"isLooping", "isGenerating", "isLoaded"} {
		m[k] = k
	}
	return m
}()

// optionalKeys are the members whose absence in an image:update unsets them. Sorted.
var optionalKeys = []string{"cropHeight", "cropWidth", "cropX", "cropY", "isGenerated", "isGenerating", "isLoaded", "isLooping",
	"parentGroupId", "scaleX", "scaleY"}

// Errors of a frame. Nothing of the frame is in them.
var (
	errNoObject    = errors.New("a frame is an object with type and data")
	errPosition    = errors.New("a position is made of numbers")
	errChatText    = errors.New("chat:send has a text")
	errElementID   = errors.New("the element's id is out of form")
	errElementType = errors.New("a member of the element has the wrong type")
)

// parseParties reads a frame strictly. An error is for the sender alone; msg.kind and msg.id are filled as far as they could be read.
func parseParties(b []byte) (m partiesMsg, err error) {
	if _, err := checkFrame(b); err != nil {
		return m, err
	}
	b = bytes.TrimLeft(b, " \t\r\n")
	if b[0] != '{' {
		return m, errNoObject
	}
	var typ, data []byte
	s := walker{b: b, i: 1}
	for s.next('}') {
		key := s.value()
		s.colon()
		v := s.value()
		switch string(key) {
		case `"type"`:
			typ = v
		case `"data"`:
			data = v
		}
	}
	if len(typ) < 2 || typ[0] != '"' {
		return m, errNoObject
	}
	m.kind = partiesKinds[string(typ[1:len(typ)-1])]
	if m.kind == "" {
		return m, nil
	}
	if len(data) == 0 || data[0] != '{' {
		return m, errNoObject
	}
	return m, m.parseData(data)
}

func (m *partiesMsg) parseData(data []byte) error {
	switch m.kind {
	case "image:add", "image:update":
		return m.parseElement(data)
	case "cursor:move":
		return m.parseCursor(data)
	case "viewport:change":
		return m.parseViewport(data)
	case "chat:send":
		return m.parseChat(data)
	default:
		return m.parseID(data)
	}
}

// parseElement reads a whole element: its members sorted by name, id apart.
func (m *partiesMsg) parseElement(data []byte) error {
	buf := events.Compact(make([]byte, 0, len(data)), data)
	m.members = make(events.Members, 0, 16)
	s := walker{b: buf, i: 1}
	for s.next('}') {
		key := s.value()
		s.colon()
		v := s.value()
		name, ok := elementKeys[string(key[1:len(key)-1])]
		if !ok {
			var err error
			if name, err = str(key); err != nil {
				return errElementType
			}
		}
		if name == "id" {
			id, err := str(v)
			if err != nil || !domain.ValidElementID(id) {
				return errElementID
			}
			m.id = id
			continue
		}
		m.members = append(m.members, events.Member{Key: name, Value: json.RawMessage(v)})
	}
	if m.id == "" {
		return errElementID
	}
	slices.SortFunc(m.members, func(a, b events.Member) int { return cmp.Compare(a.Key, b.Key) })
	return m.checkMembers()
}

// checkMembers looks at what every receiver relies on: previews go out before anybody decides.
func (m *partiesMsg) checkMembers() error {
	for i := range m.members {
		v := m.members[i].Value
		switch m.members[i].Key {
		case "x", "y", "width", "height", "rotation":
			if number(v) == nil {
				return errElementType
			}
		case "src", "text":
			if v[0] != '"' {
				return errElementType
			}
		}
	}
	return nil
}

func (m *partiesMsg) parseCursor(data []byte) error {
	at := memberOf(data, `"cursor"`)
	if len(at) == 0 || at[0] != '{' {
		return errPosition
	}
	x, y := number0(memberOf(at, `"x"`)), number0(memberOf(at, `"y"`))
	if x == nil || y == nil {
		return errPosition
	}
	m.cursor = appendXY(make([]byte, 0, 16+len(x)+len(y)), &message{x: x, y: y}, false)
	return nil
}

func (m *partiesMsg) parseViewport(data []byte) error {
	x, y, scale := number0(memberOf(data, `"x"`)), number0(memberOf(data, `"y"`)), number0(memberOf(data, `"scale"`))
	if x == nil || y == nil || scale == nil {
		return errPosition
	}
	m.viewport = appendXY(make([]byte, 0, 32+len(x)+len(y)+len(scale)), &message{x: x, y: y, scale: scale}, true)
	return nil
}

func (m *partiesMsg) parseChat(data []byte) error {
	v := memberOf(data, `"text"`)
	if len(v) == 0 || v[0] != '"' {
		return errChatText
	}
	var err error
	m.text, err = str(v)
	return err
}

func (m *partiesMsg) parseID(data []byte) error {
	v := memberOf(data, `"imageId"`)
	if len(v) == 0 || v[0] != '"' {
		return errElementID
	}
	id, err := str(v)
	if err != nil || !domain.ValidElementID(id) {
		return errElementID
	}
	m.id = id
	return nil
}

// memberOf returns the value of one member of a checked object; nil where there is none. quoted is the name with its quotes.
func memberOf(object []byte, quoted string) []byte {
	s := walker{b: object, i: 1}
	for s.next('}') {
		key := s.value()
		s.colon()
		v := s.value()
		if string(key) == quoted {
			return v
		}
	}
	return nil
}

func number0(v []byte) []byte {
	if len(v) == 0 {
		return nil
	}
	return number(v)
}

// elementOf makes a whole element of an image:add: without a type it is a video where it says so, else an image. z is the server's.
func (m *partiesMsg) elementOf() (*domain.Element, error) {
	typ := `"image"`
	if v, ok := m.members.Get("isVideo"); ok && string(v) == "true" {
		typ = `"video"`
	}
	all := make(events.Members, 0, len(m.members)+2)
	all = append(all, events.Member{Key: "id", Value: events.AppendString(nil, m.id)})
	for _, v := range m.members {
		switch v.Key {
		case "z":
		case "type":
			typ = string(v.Value)
		default:
			all = append(all, v)
		}
	}
	all = append(all, events.Member{Key: "type", Value: json.RawMessage(typ)})
	raw, err := all.AppendJSON(nil)
	if err != nil {
		return nil, domain.Errorf(domain.CodeInvalidCommand, "not an element that can be kept")
	}
	return domain.ParseElement(raw)
}
