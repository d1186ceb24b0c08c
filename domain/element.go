package domain

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Element is one thing on the canvas: a JSON object. It is immutable and safe to share.
//
// Its JSON is canonical: compact, the members id, type and z first, the others sorted bytewise by name. Members that we don't
// know and nested values stay as they came, byte for byte. z is missing only until Decide gave one.
type Element struct {
	id, typ, z string
	json       []byte
	members    []member // in canonical order
	// gone says who unset members that are absent now, sorted by key: the newest maxGone.
	gone []tombstone
}

// member is one property: its name, the span of its value in the element's JSON, and who set it last.
type member struct {
	key        string
	start, end uint32
	by         provenance
}

// provenance is the revision that set a member last, and by whom (see actorTable). The zero provenance is unknown.
type provenance struct {
	rev   uint64
	actor uint32
}

type tombstone struct {
	key string
	by  provenance
}

// maxGone bounds what an element keeps of unset members. What is forgotten can't be undone any more.
const maxGone = 32

// maxRawElement bounds what ParseElement takes: a frame of an editor is 12 MiB, a commit 16 MiB.
const maxRawElement = 16 << 20

// ParseElement reads an element. raw is not kept. A z is taken if it is there. It may be larger than MaxElementBytes, as commands
// take data URLs out before Decide. Errors are *Error with CodeInvalidCommand or CodeTooLarge.
func ParseElement(raw json.RawMessage) (*Element, error) {
	if len(raw) > maxRawElement {
		return nil, Errorf(CodeTooLarge, "an element has more than %d bytes", maxRawElement)
	}
	b, err := compactJSON(raw)
	if err != nil {
		return nil, err
	}
	return elementOf(b)
}

// elementOf is ParseElement for compact JSON that was checked; b is kept.
func elementOf(b []byte) (*Element, error) {
	if b[0] != '{' {
		return nil, Errorf(CodeInvalidCommand, "an element is a JSON object")
	}
	e := &Element{json: b, members: scanMembers(b)}
	if !e.canonical() {
		e.build(sortedParts(e))
	}
	return e, e.check()
}

// scanMembers finds the members of a compact object.
func scanMembers(b []byte) []member {
	if len(b) == 2 {
		return nil
	}
	ms := make([]member, 0, 12)
	for i := 1; ; i++ {
		end := skipString(b, i)
		m := member{key: unquote(b[i:end]), start: uint32(end + 1)}
		i = skipValue(b, end+1)
		m.end = uint32(i)
		if ms = append(ms, m); b[i] == '}' {
			return ms
		}
	}
}

// keyRank orders the members that come first.
func keyRank(key string) int {
	switch key {
	case "id":
		return 0
	case "type":
		return 1
	case "z":
		return 2
	}
	return 3
}

func compareKeys(a, b string) int {
	if len(a) <= len("type") || len(b) <= len("type") {
		if c := keyRank(a) - keyRank(b); c != 0 {
			return c
		}
	}
	return strings.Compare(a, b)
}

// canonical reports whether members are in order and their names are plain ASCII without escapes. It may say false of
// elements with other names: building those again changes nothing.
func (e *Element) canonical() bool {
	n := 2 + max(0, len(e.members)-1)
	for i, m := range e.members {
		if i > 0 && compareKeys(e.members[i-1].key, m.key) >= 0 || !plainKey(m.key) {
			return false
		}
		n += len(m.key) + 3 + int(m.end-m.start)
	}
	return len(e.json) == n
}

func plainKey(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// part is a member on its way into an element.
type part struct {
	key   string
	value []byte
	by    provenance
}

func sortedParts(e *Element) []part {
	ps := make([]part, len(e.members))
	for i, m := range e.members {
		ps[i] = part{m.key, e.json[m.start:m.end], m.by}
	}
	sortParts(ps)
	return ps
}

// build makes e's JSON of sorted parts.
func (e *Element) build(ps []part) {
	c := Element{json: append(make([]byte, 0, len(e.json)), '{'), members: make([]member, 0, len(ps))}
	for i := range ps {
		c.appendPart(&ps[i])
	}
	e.json, e.members = append(c.json, '}'), c.members
}

// check reads id, type and z, and looks at the members that everybody must be able to rely on.
func (e *Element) check() error {
	var ok bool
	if e.id, ok = e.text("id"); !ok || !ValidElementID(e.id) {
		return Errorf(CodeInvalidCommand, "element.id: 1 to %d characters of printable ASCII, without / \\ ? # %% \"", MaxElementID)
	}
	if e.typ, ok = e.text("type"); !ok || !validType(e.typ) {
		return Errorf(CodeInvalidCommand, "element.type: image, video, text, shape, path or note")
	}
	if _, has := e.Get("z"); has {
		if e.z, ok = e.text("z"); !ok || !ValidZ(e.z) || len(e.z) > MaxZ {
			return Errorf(CodeInvalidCommand, "element.z: not a paint-order key")
		}
	}
	for _, m := range e.members {
		if err := checkMember(m.key, e.json[m.start:m.end]); err != nil {
			return err
		}
	}
	return nil
}

// elementTypes are constants, so that elements share them.
var elementTypes = map[string]string{"image": "image", "video": "video", "text": "text", "shape": "shape", "path": "path", "note": "note"}

func validType(s string) bool { return elementTypes[s] != "" }

// checkMember looks at the values of known members, lightly. value is compact JSON, so its first byte says its type.
func checkMember(key string, value []byte) error {
	switch key {
	case "x", "y", "width", "height", "rotation":
		if c := value[0]; c != '-' && (c < '0' || c > '9') {
			return Errorf(CodeInvalidCommand, "%s: must be a finite number", key)
		}
	case "src", "text":
		if value[0] != '"' {
			return Errorf(CodeInvalidCommand, "%s: must be a string", key)
		}
	}
	return nil
}

// text returns the value of a member that is a string.
func (e *Element) text(key string) (string, bool) {
	v, ok := e.Get(key)
	if !ok || v[0] != '"' {
		return "", false
	}
	if key == "type" {
		return elementTypes[string(v[1:len(v)-1])], true
	}
	return unquote(v), true
}

// ID, Type and Z are the members every element has (z from Decide on).
func (e *Element) ID() string   { return e.id }
func (e *Element) Type() string { return e.typ }
func (e *Element) Z() string    { return e.z }

// JSON is the element, canonical. It must not be modified.
func (e *Element) JSON() []byte { return e.json }

// Get returns a member's value. It must not be modified.
func (e *Element) Get(key string) (json.RawMessage, bool) {
	i, ok := e.find(key)
	if !ok {
		return nil, false
	}
	m := &e.members[i]
	return e.json[m.start:m.end:m.end], true
}

func (e *Element) find(key string) (int, bool) {
	low, high := 0, len(e.members) // by hand: every patch does this for each of its members
	for low < high {
		if middle := (low + high) / 2; compareKeys(e.members[middle].key, key) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < len(e.members) && e.members[low].key == key
}

// SetAt is the revision that set a member last, or unset it; 0 where that is not known.
func (e *Element) SetAt(key string) uint64 { return e.provenanceOf(key).rev }

// Members yields all members in canonical order. Values must not be modified.
func (e *Element) Members(yield func(key string, value json.RawMessage) bool) {
	for i := range e.members {
		m := &e.members[i]
		if !yield(m.key, e.json[m.start:m.end:m.end]) {
			return
		}
	}
}

// provenanceOf says who set a member last, or unset it where it is absent.
func (e *Element) provenanceOf(key string) provenance {
	if i, ok := e.find(key); ok {
		return e.members[i].by
	}
	for _, t := range e.gone {
		if t.key == key {
			return t.by
		}
	}
	return provenance{}
}

// stamped returns e with all members set by one change.
func (e *Element) stamped(by provenance) *Element {
	c := *e
	c.gone = nil
	c.members = slices.Clone(e.members)
	for i := range c.members {
		c.members[i].by = by
	}
	return &c
}

// SameContent reports whether two elements have the same members, z left aside. Numbers are compared by value and objects
// whatever their order.
func SameContent(a, b *Element) bool {
	i, j := 0, 0
	for {
		if i < len(a.members) && a.members[i].key == "z" {
			i++
		}
		if j < len(b.members) && b.members[j].key == "z" {
			j++
		}
		if i == len(a.members) || j == len(b.members) {
			return i == len(a.members) && j == len(b.members)
		}
		p, q := &a.members[i], &b.members[j]
		if p.key != q.key || !sameValue(a.json[p.start:p.end], b.json[q.start:q.end]) {
			return false
		}
		i, j = i+1, j+1
	}
}

// sameValue compares two values of valid JSON by what they mean.
func sameValue(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if len(a) == 0 || len(b) == 0 || kindOf(a[0]) != kindOf(b[0]) || kindOf(a[0]) == 'w' {
		return false
	}
	switch kindOf(a[0]) {
	case '0':
		x, _ := strconv.ParseFloat(string(a), 64)
		y, _ := strconv.ParseFloat(string(b), 64)
		return x == y
	case '"':
		if bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0 {
			return false
		}
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return sameDecoded(x, y)
}

// kindOf tells strings, numbers, objects, arrays and words apart by their first byte.
func kindOf(c byte) byte {
	switch {
	case c == '-' || c >= '0' && c <= '9':
		return '0'
	case c == 't', c == 'f', c == 'n':
		return 'w'
	}
	return c
}

func sameDecoded(x, y any) bool {
	switch x := x.(type) {
	case map[string]any:
		y, ok := y.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			w, ok := y[k]
			if !ok || !sameDecoded(v, w) {
				return false
			}
		}
		return true
	case []any:
		y, ok := y.([]any)
		return ok && slices.EqualFunc(x, y, sameDecoded)
	case float64:
		y, ok := y.(float64)
		return ok && x == y
	}
	return x == y
}
