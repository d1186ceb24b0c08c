package events

import (
	"encoding/json"
	"math"
)

// maxDataDepth bounds how deep the JSON of an event's data may be nested: far above what the domain lets in.
const maxDataDepth = 512

// scanner reads the canonical JSON that Encode writes, and only that: no white space, members in one order. Each method
// reads one thing at i and moves on, or says false and leaves i undefined. Strings are copies; raw values are parts of b.
type scanner struct {
	b []byte
	i int
}

// has reads the text t.
func (s *scanner) has(t string) bool {
	if len(s.b)-s.i < len(t) || string(s.b[s.i:s.i+len(t)]) != t {
		return false
	}
	s.i += len(t)
	return true
}

// number reads an unsigned integer.
func (s *scanner) number() (uint64, bool) {
	start, n := s.i, uint64(0)
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		d := uint64(s.b[s.i] - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
		s.i++
	}
	return n, s.i > start && (s.b[start] != '0' || s.i == start+1)
}

// small reads an unsigned integer that fits 31 bits.
func (s *scanner) small() (int, bool) {
	n, ok := s.number()
	return int(n), ok && n <= math.MaxInt32
}

// text reads a string and returns its inside as it stands in b.
func (s *scanner) text() (inside []byte, escaped, ok bool) {
	if s.i >= len(s.b) || s.b[s.i] != '"' {
		return nil, false, false
	}
	start := s.i + 1
	// Most strings are short and plain: no checker for them.
	if end := plainRun(s.b, start); end < len(s.b) && s.b[end] == '"' {
		s.i = end + 1
		return s.b[start:end], false, true
	}
	c := checker{b: s.b}
	if s.i = c.str(s.i); s.i < 0 {
		return nil, false, false
	}
	return s.b[start : s.i-1], c.escaped, true
}

// string reads a string.
func (s *scanner) string() (string, bool) {
	b, escaped, ok := s.text()
	if !ok {
		return "", false
	}
	if escaped {
		return unescape(b), true
	}
	return string(b), true
}

// same reads a string and returns old, without a copy, where they are equal.
func (s *scanner) same(old string) (string, bool) {
	b, escaped, ok := s.text()
	switch {
	case !ok:
		return "", false
	case escaped:
		return unescape(b), true
	case string(b) == old:
		return old, true
	}
	return string(b), true
}

// unescape resolves the escapes of a checked string's inside; lone surrogates become U+FFFD.
func unescape(inside []byte) string {
	out := make([]rune, 0, len(inside))
	for r := (runes{inside}); len(r.b) > 0; {
		out = append(out, r.next()) // string below makes U+FFFD of -1
	}
	return string(out)
}

// strings reads an array of at least one string.
func (s *scanner) strings() ([]string, bool) {
	if !s.has("[") {
		return nil, false
	}
	var list []string
	for {
		v, ok := s.string()
		if !ok {
			return nil, false
		}
		list = append(list, v)
		if s.has("]") {
			return list, true
		}
		if !s.has(",") {
			return nil, false
		}
	}
}

// value reads any compact JSON value. The result is a part of b that can't be appended to.
func (s *scanner) value() (json.RawMessage, bool) {
	start := s.i
	c := checker{b: s.b, maxDepth: maxDataDepth}
	if s.i = c.value(s.i); s.i < 0 || c.space {
		return nil, false
	}
	return json.RawMessage(s.b[start:s.i:s.i]), true
}

// skipObjects passes an array of objects without looking into them and counts them. It checks nothing but brackets.
func (s *scanner) skipObjects() (n int, ok bool) {
	if !s.has("[") {
		return 0, false
	}
	for depth := 1; s.i < len(s.b); {
		switch s.b[s.i] {
		case '"':
			s.i = afterString(s.b, s.i)
			continue
		case '{':
			if depth == 1 {
				n++
			}
			depth++
		case '[':
			depth++
		case '}', ']':
			depth--
		}
		s.i++
		if depth == 0 {
			return n, true
		}
	}
	return 0, false
}
