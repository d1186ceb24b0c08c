package realtime

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// frameDepth is how deep a frame may be nested: an array of messages with lists of commands around the deepest element.
const frameDepth = domain.MaxJSONDepth + 6

// hello is a client's first message.
type hello struct {
	Token  string
	Client string
	Resume *uint64 // last revision seen; nil: none
	Assets bool    // wants to be told of the blurs of pictures
}

var (
	errNoHello   = domain.Errorf(domain.CodeBadRequest, "the first message is a hello")
	errNoMessage = errors.New("a frame is a message or an array of messages")
)

// parseHello reads the first frame. Errors are *domain.Error.
func parseHello(b []byte) (hello, error) {
	if _, err := checkFrame(b); err != nil {
		return hello{}, domain.Errorf(domain.CodeBadRequest, "%s", err)
	}
	var h struct {
		Type, Token, Client string
		Resume              *uint64
		Assets              bool
	}
	if err := json.Unmarshal(b, &h); err != nil || h.Type != "hello" {
		return hello{}, errNoHello
	}
	if len(h.Client) > domain.MaxClientID || !validClient(h.Client) {
		return hello{}, domain.Errorf(domain.CodeBadRequest, "client is at most %d of letters, digits, '_', '-', '.' and ':'", domain.MaxClientID)
	}
	return hello{h.Token, h.Client, h.Resume, h.Assets}, nil
}

func validClient(id string) bool {
	for i := 0; i < len(id); i++ {
		if c := id[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// checkFrame says what is wrong with a frame as JSON; the error holds nothing of the frame.
func checkFrame(b []byte) (events.Form, error) { return events.InspectJSON(b, frameDepth) }

// ready reports whether data in a frame of that form is as domain.ParseCompact wants it.
func ready(f events.Form) bool { return !f.Space && f.Depth <= domain.MaxDataDepth }

// message is one message of a client; raw values are parts of the frame.
type message struct {
	typ         []byte // text
	seq         uint64
	command     []byte // text
	data        []byte
	commands    []byte
	id          string
	set         []byte
	x, y, scale []byte // numbers
	t           []byte // number
	ready       bool   // data is compact and no deeper than data may be: it needs no look of its own
}

// eachMessage calls f for the messages of a checked frame until it returns false.
func eachMessage(b []byte, f func([]byte) bool) error {
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) > 0 && b[0] == '{' {
		f(b)
		return nil
	}
	if len(b) == 0 || b[0] != '[' {
		return errNoMessage
	}
	s := walker{b: b, i: 1}
	for s.next(']') {
		v := s.value()
		if v[0] != '{' {
			return errNoMessage
		}
		if !f(v) {
			return nil
		}
	}
	return nil
}

// parseMessage reads the members it knows of a checked object; others are ignored, as members may be added.
func parseMessage(b []byte) (m message, err error) {
	s := walker{b: b, i: 1}
	for err == nil && s.next('}') {
		key := s.value()
		s.colon()
		v := s.value()
		switch string(key) {
		case `"type"`:
			m.typ, err = textOf(v)
		case `"seq"`:
			if m.seq, err = strconv.ParseUint(string(v), 10, 53); err != nil {
				err = errors.New("seq is a whole number below 2^53")
			}
		case `"command"`:
			m.command, err = textOf(v)
		case `"data"`:
			m.data = v
		case `"commands"`:
			m.commands = v
		case `"id"`:
			m.id, err = str(v)
		case `"set"`:
			m.set = v
		case `"x"`:
			m.x = number(v)
		case `"y"`:
			m.y = number(v)
		case `"scale"`:
			m.scale = number(v)
		case `"t"`:
			m.t = number(v)
		}
	}
	return m, err
}

// number returns v where it is a number, else nil.
func number(v []byte) []byte {
	if c := v[0]; c == '-' || c >= '0' && c <= '9' {
		return v
	}
	return nil
}

func str(v []byte) (string, error) {
	b, err := textOf(v)
	return string(b), err
}

// textOf returns what a string says; without escapes it is a part of v.
func textOf(v []byte) ([]byte, error) {
	if v[0] != '"' {
		return nil, errors.New("type, command and id are strings")
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1], nil
	}
	var s string
	err := json.Unmarshal(v, &s)
	return []byte(s), err
}

// parseCommands reads the command or the list of them. What is kept of the frame is copied. Errors are *domain.Error.
func (m *message) parseCommands() ([]domain.Command, error) {
	if string(m.typ) == "command" {
		c, err := m.parseCommand()
		if err != nil {
			return nil, err
		}
		return []domain.Command{c}, nil
	}
	var raw []domain.RawCommand
	if err := json.Unmarshal(m.commands, &raw); err != nil {
		return nil, domain.Errorf(domain.CodeInvalidCommand, "commands is a list of {command, data}")
	}
	return domain.ParseCommands(raw)
}

func (m *message) parseCommand() (domain.Command, error) {
	if m.ready {
		return domain.ParseCompact(string(m.command), bytes.Clone(m.data))
	}
	return domain.ParseCommand(string(m.command), m.data)
}

// members reads set. Nothing of the frame is kept.
func (m *message) members() (set events.Members, ok bool) {
	if m.ready {
		return events.CompactMembers(bytes.Clone(m.set))
	}
	return set, json.Unmarshal(m.set, &set) == nil
}

// appendXY appends the position in m as a JSON object.
func appendXY(dst []byte, m *message, scale bool) []byte {
	dst = append(append(dst, `{"x":`...), m.x...)
	dst = append(append(dst, `,"y":`...), m.y...)
	if scale {
		dst = append(append(dst, `,"scale":`...), m.scale...)
	}
	return append(dst, '}')
}

// walker goes through the members of one checked JSON object or array without looking into them.
type walker struct {
	b []byte
	i int
}

func (s *walker) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

// next moves to the next member; false at the end of the object or array.
func (s *walker) next(end byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == ',' {
		s.i++
		s.space()
	}
	return s.i < len(s.b) && s.b[s.i] != end
}

func (s *walker) colon() {
	s.space()
	s.i++
	s.space()
}

// value returns the value that starts here and moves behind it.
func (s *walker) value() []byte {
	start, depth := s.i, 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			s.str()
		case '{', '[':
			depth++
			s.i++
		case '}', ']':
			if depth == 0 {
				return s.b[start:s.i]
			}
			depth--
			s.i++
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return s.b[start:s.i]
			}
			s.i++
			continue
		default:
			s.i++
			continue
		}
		if depth == 0 {
			return s.b[start:s.i]
		}
	}
	return s.b[start:s.i]
}

func (s *walker) str() {
	for s.i++; s.b[s.i] != '"'; s.i++ {
		if s.b[s.i] == '\\' {
			s.i++
		}
	}
	s.i++
}
