package events

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Get returns the value of a member. m must be sorted, as all Members are that were decoded.
func (m Members) Get(key string) (value json.RawMessage, ok bool) {
	i, ok := slices.BinarySearchFunc(m, key, func(e Member, k string) int { return strings.Compare(e.Key, k) })
	if !ok {
		return nil, false
	}
	return m[i].Value, true
}

// Sort sorts m in place by key, bytewise. Equal keys keep their order.
func (m Members) Sort() {
	slices.SortStableFunc(m, func(a, b Member) int { return strings.Compare(a.Key, b.Key) })
}

// sorted reports whether keys rise strictly.
func (m Members) sorted() bool {
	for i := 1; i < len(m); i++ {
		if m[i-1].Key >= m[i].Key {
			return false
		}
	}
	return true
}

// canonical returns m, or a sorted copy; an error where a key is there twice.
func (m Members) canonical() (Members, error) {
	if m.sorted() {
		return m, nil
	}
	m = slices.Clone(m)
	m.Sort()
	if !m.sorted() {
		return nil, fmt.Errorf("%w: members: %s", ErrFormat, ReasonDuplicate)
	}
	return m, nil
}

// AppendJSON appends m as a JSON object: sorted by key, values checked and compact. Errors: a key that is there twice, a value that
// CheckJSON refuses (*JSONError). m is not changed.
func (m Members) AppendJSON(dst []byte) ([]byte, error) {
	m, err := m.canonical()
	if err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	for i := range m {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, m[i].Key), ':')
		if dst, err = appendRaw(dst, m[i].Value); err != nil {
			return nil, fmt.Errorf("members: value: %w", err)
		}
	}
	return append(dst, '}'), nil
}

// MarshalJSON is AppendJSON; nil is the empty object.
func (m Members) MarshalJSON() ([]byte, error) { return m.AppendJSON(nil) }

// UnmarshalJSON reads an object in any order; null is nil. Values become compact copies. Errors: no object, a key that is there
// twice. Run CheckJSON first on texts from outside.
func (m *Members) UnmarshalJSON(b []byte) error {
	c := checker{b: b, maxDepth: maxDataDepth}
	if err := c.all(); err != nil {
		return err
	}
	s := scanner{b: Compact(make([]byte, 0, len(b)), b)}
	if string(s.b) == "null" {
		*m = nil
		return nil
	}
	list, ok := s.members(false)
	if !ok {
		return fmt.Errorf("%w: members: not an object", ErrFormat)
	}
	list, err := list.canonical()
	if err != nil {
		return err
	}
	*m = list
	return nil
}

// CompactMembers reads an object that is compact and passed CheckJSON, in any order. Values are parts of b. False: no object.
func CompactMembers(b []byte) (Members, bool) {
	s := scanner{b: b}
	m, ok := s.members(false)
	if !ok {
		return nil, false
	}
	if !m.sorted() {
		m.Sort()
	}
	return m, true
}

// members reads an object. With inOrder it says false where keys don't rise strictly.
func (s *scanner) members(inOrder bool) (Members, bool) {
	if !s.has("{") {
		return nil, false
	}
	if s.has("}") {
		return Members{}, true
	}
	var few [16]Member
	m := few[:0]
	for {
		key, ok := s.key()
		if !ok || !s.has(":") || inOrder && len(m) > 0 && m[len(m)-1].Key >= key {
			return nil, false
		}
		value, ok := s.value()
		if !ok {
			return nil, false
		}
		m = append(m, Member{key, value})
		if s.has("}") {
			return slices.Clone(m), true
		}
		if !s.has(",") {
			return nil, false
		}
	}
}

// commonKeys are the property names that nearly all patches are made of: shared, not copied at every decode.
var commonKeys = func() map[string]string {
	m := map[string]string{}
	for _, k := range []string{
		"x", "y", "z", "width", "height", "rotation", "scaleX", "scaleY", "opacity", "fill", "stroke", "strokeWidth", "text",
		"fontSize", "fontFamily", "src", "points", "locked", "visible", "name", "url", "color", "type", "radius", "content",
	} {
		m[k] = k
	}
	return m
}()

// key reads a member name.
func (s *scanner) key() (string, bool) {
	b, escaped, ok := s.text()
	switch {
	case !ok:
		return "", false
	case escaped:
		return unescape(b), true
	}
	if k, ok := commonKeys[string(b)]; ok {
		return k, true
	}
	return string(b), true
}
