package events

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// keysOnStack is how many member names (of all objects open at one time) are remembered without an allocation.
const keysOnStack = 32

// nameStack holds the names of all objects that are open, those of the innermost on top. There is one for a whole text: a stack for
// each object would be copied once for every object inside of it wherever it is just full.
type nameStack struct {
	n    int
	few  [keysOnStack]nameRef
	many []nameRef // all of them, once they were more than few holds
}

func (s *nameStack) len() int {
	if s.many != nil {
		return len(s.many)
	}
	return s.n
}

func (s *nameStack) push(n nameRef) {
	if s.many == nil {
		if s.n < keysOnStack {
			s.few[s.n] = n
			s.n++
			return
		}
		s.many = append(make([]nameRef, 0, 4*keysOnStack), s.few[:]...)
	}
	s.many = append(s.many, n)
}

// from returns the names above the lowest k.
func (s *nameStack) from(k int) []nameRef {
	if s.many != nil {
		return s.many[k:]
	}
	return s.few[k:s.n]
}

// cut drops the names above the lowest k.
func (s *nameStack) cut(k int) {
	if s.many != nil {
		s.many = s.many[:k]
	} else {
		s.n = k
	}
}

// nameRef is a member name in a text: where it is (without quotes) and a hash of its characters.
type nameRef struct {
	start, end int32
	hash       uint32
	escaped    bool
}

// refer makes the nameRef of b[start:end].
func refer(b []byte, start, end int, escaped bool) nameRef {
	n := nameRef{start: int32(start), end: int32(end), escaped: escaped}
	h := uint32(2166136261) // FNV-1a
	if !escaped {
		for _, ch := range b[start:end] {
			h = (h ^ uint32(ch)) * 16777619
		}
	} else {
		for r := (runes{b[start:end]}); len(r.b) > 0; {
			var buf [utf8.UTFMax]byte
			for _, ch := range buf[:utf8.EncodeRune(buf[:], r.next())] {
				h = (h ^ uint32(ch)) * 16777619
			}
		}
	}
	n.hash = h
	return n
}

// is reports whether the name's characters are those of s, which is ASCII.
func (n nameRef) is(b []byte, s string) bool {
	if !n.escaped {
		return string(b[n.start:n.end]) == s
	}
	r := runes{b[n.start:n.end]}
	for i := 0; i < len(s); i++ {
		if len(r.b) == 0 || r.next() != rune(s[i]) {
			return false
		}
	}
	return len(r.b) == 0
}

// compareNames orders names by hash, then by their characters.
func compareNames(b []byte, x, y nameRef) int {
	if d := cmp.Compare(x.hash, y.hash); d != 0 {
		return d
	}
	r, s := runes{b[x.start:x.end]}, runes{b[y.start:y.end]}
	for len(r.b) > 0 && len(s.b) > 0 {
		if d := cmp.Compare(r.next(), s.next()); d != 0 {
			return d
		}
	}
	return cmp.Compare(min(len(r.b), 1), min(len(s.b), 1))
}

// fewNames is up to how many names each is compared with each; more are sorted (in place).
const fewNames = 16

// duplicate returns the offset of a name that is there twice, or -1.
func duplicate(b []byte, names []nameRef) int {
	if len(names) <= fewNames {
		for i := range names {
			for k := range names[:i] {
				if names[i].hash == names[k].hash && compareNames(b, names[i], names[k]) == 0 {
					return int(names[i].start) - 1
				}
			}
		}
		return -1
	}
	slices.SortFunc(names, func(x, y nameRef) int { return compareNames(b, x, y) })
	for i := 1; i < len(names); i++ {
		if names[i].hash == names[i-1].hash && compareNames(b, names[i], names[i-1]) == 0 {
			return int(max(names[i].start, names[i-1].start)) - 1
		}
	}
	return -1
}
