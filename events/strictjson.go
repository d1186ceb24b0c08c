package events

import (
	"math"
	"strconv"
)

// MaxNumberBytes is the longest number that CheckJSON accepts, in bytes.
const MaxNumberBytes = 64

// JSONError says why CheckJSON refused a text. Reason is one of the Reason constants and holds nothing of the text itself.
type JSONError struct {
	Offset int // in bytes, of where the reason was seen
	Reason string
}

func (e *JSONError) Error() string {
	return "json: " + e.Reason + " at byte " + strconv.Itoa(e.Offset)
}

// Reasons of a JSONError. The first two are texts that are no JSON; the others are JSON that we don't take.
const (
	ReasonSyntax    = "syntax error"
	ReasonTruncated = "unexpected end"
	ReasonUTF8      = "invalid UTF-8"
	ReasonSurrogate = "lone surrogate"
	ReasonNUL       = "NUL character"
	ReasonDuplicate = "duplicate member name"
	ReasonProto     = "member name __proto__"
	ReasonDepth     = "nested too deep"
	ReasonNumber    = "number out of range or too long"
	ReasonSize      = "text too long"
)

// CheckJSON reports whether b is one JSON value that every part of the system can keep and give back unchanged. Beyond the
// grammar it refuses invalid UTF-8, lone surrogate escapes, NUL characters, two members of one name in an object (however they
// are escaped), the member name __proto__, arrays and objects nested deeper than maxDepth (a scalar has depth 0), and numbers
// longer than MaxNumberBytes or beyond float64. It is one pass without allocations, but for objects of very many members.
// The error is a *JSONError. Safe to call concurrently; b is only read.
func CheckJSON(b []byte, maxDepth int) error {
	_, err := InspectJSON(b, maxDepth)
	return err
}

// Form is what InspectJSON saw of a text, so that its parts need no look of their own.
type Form struct {
	Depth int  // of the deepest value
	Space bool // there is white space outside of strings: the text is not compact
}

// InspectJSON is CheckJSON that also says what the text is like.
func InspectJSON(b []byte, maxDepth int) (Form, error) {
	c := checker{b: b, maxDepth: maxDepth, strict: true}
	if err := c.all(); err != nil {
		return Form{}, err
	}
	return Form{c.deepest, c.space}, nil
}

// checker walks one JSON text. Its methods take the offset where something starts and return the offset after it, or -1
// with reason and at set.
type checker struct {
	b        []byte
	maxDepth int
	deepest  int  // depth reached
	strict   bool // false: grammar and UTF-8 only, for what was strictly checked before it was written
	space    bool // saw white space outside of strings
	escaped  bool // the string that str saw last has escapes
	reason   string
	at       int
}

func (c *checker) fail(at int, reason string) int {
	c.at, c.reason = at, reason
	return -1
}

// syntax fails with ReasonTruncated where the text ends, with ReasonSyntax elsewhere.
func (c *checker) syntax(i int) int {
	if i >= len(c.b) {
		return c.fail(len(c.b), ReasonTruncated)
	}
	return c.fail(i, ReasonSyntax)
}

// all checks that b is one value and nothing else.
func (c *checker) all() error {
	if len(c.b) > math.MaxInt32 {
		return &JSONError{Reason: ReasonSize}
	}
	i := c.value(c.skip(0))
	if i >= 0 {
		if i = c.skip(i); i < len(c.b) {
			i = c.fail(i, ReasonSyntax)
		}
	}
	if i < 0 {
		return c.error()
	}
	return nil
}

func (c *checker) error() error { return &JSONError{Offset: c.at, Reason: c.reason} }

// value checks the value that starts at i. Room for names is made only where there may be any.
func (c *checker) value(i int) int {
	if c.strict && i < len(c.b) && (c.b[i] == '{' || c.b[i] == '[') {
		var names nameStack
		return c.nested(i, 0, &names)
	}
	return c.nested(i, 0, nil)
}

// nested checks a value inside of depth arrays and objects. names is nil unless strict. (It is no field of checker, as it
// would then be on the heap.)
func (c *checker) nested(i, depth int, names *nameStack) int {
	if i >= len(c.b) {
		return c.syntax(i)
	}
	switch ch := c.b[i]; {
	case ch == '"':
		return c.str(i)
	case ch == '-' || ch >= '0' && ch <= '9':
		return c.number(i)
	case ch == '{' || ch == '[':
		if depth >= c.maxDepth {
			return c.fail(i, ReasonDepth)
		}
		c.deepest = max(c.deepest, depth+1)
		if ch == '{' {
			return c.object(i+1, depth+1, names)
		}
		return c.array(i+1, depth+1, names)
	case ch == 't':
		return c.word(i, "true")
	case ch == 'f':
		return c.word(i, "false")
	case ch == 'n':
		return c.word(i, "null")
	}
	return c.syntax(i)
}

func (c *checker) word(i int, w string) int {
	for k := 0; k < len(w); k++ {
		if i+k >= len(c.b) || c.b[i+k] != w[k] {
			return c.syntax(i + k)
		}
	}
	return i + len(w)
}

func (c *checker) array(i, depth int, names *nameStack) int {
	i = c.skip(i)
	if i < len(c.b) && c.b[i] == ']' {
		return i + 1
	}
	for {
		if i = c.nested(i, depth, names); i < 0 {
			return i
		}
		if i = c.skip(i); i >= len(c.b) {
			return c.syntax(i)
		}
		switch c.b[i] {
		case ',':
			i = c.skip(i + 1)
		case ']':
			return i + 1
		default:
			return c.syntax(i)
		}
	}
}

func (c *checker) object(i, depth int, names *nameStack) int {
	i = c.skip(i)
	if i < len(c.b) && c.b[i] == '}' {
		return i + 1
	}
	outer := 0
	if c.strict {
		outer = names.len()
	}
	for {
		start := i
		if i = c.name(i); i < 0 {
			return i
		}
		if c.strict {
			n := refer(c.b, start+1, i-1, c.escaped)
			if n.is(c.b, "__proto__") {
				return c.fail(start, ReasonProto)
			}
			names.push(n)
		}
		if i = c.skip(i); i >= len(c.b) || c.b[i] != ':' {
			return c.syntax(i)
		}
		if i = c.nested(c.skip(i+1), depth, names); i < 0 {
			return i
		}
		if i = c.skip(i); i >= len(c.b) {
			return c.syntax(i)
		}
		switch c.b[i] {
		case ',':
			i = c.skip(i + 1)
		case '}':
			if c.strict {
				if at := duplicate(c.b, names.from(outer)); at >= 0 {
					return c.fail(at, ReasonDuplicate)
				}
				names.cut(outer)
			}
			return i + 1
		default:
			return c.syntax(i)
		}
	}
}

func (c *checker) name(i int) int {
	if i >= len(c.b) || c.b[i] != '"' {
		return c.syntax(i)
	}
	return c.str(i)
}

// skip returns the offset of the first byte from i on that is no white space.
func (c *checker) skip(i int) int {
	for i < len(c.b) && isSpace(c.b[i]) {
		c.space = true
		i++
	}
	return i
}

func isSpace(ch byte) bool { return ch <= ' ' && (ch == ' ' || ch == '\n' || ch == '\r' || ch == '\t') }
