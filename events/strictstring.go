package events

import (
	"encoding/binary"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plainWord reports whether the eight bytes of w are all ASCII that stands for itself in a JSON string:
// no quote, no backslash, no control character. It may say false for plain ones next to such bytes, never true for others.
func plainWord(w uint64) bool {
	quote := w ^ ones*'"'
	slash := w ^ ones*'\\'
	return (w|(w-ones*' ')|(quote-ones)|(slash-ones))&highs == 0
}

// plainRun returns the offset of the first byte from i on that does not stand for itself in a JSON string, or len(b).
func plainRun(b []byte, i int) int {
	for len(b)-i >= 8 && plainWord(binary.LittleEndian.Uint64(b[i:])) {
		i += 8
	}
	for i < len(b) {
		if ch := b[i]; ch < ' ' || ch == '"' || ch == '\\' || ch >= utf8.RuneSelf {
			break
		}
		i++
	}
	return i
}

// str checks the string whose opening quote is at i and sets escaped.
func (c *checker) str(i int) int {
	c.escaped = false
	i++
	for {
		if i = plainRun(c.b, i); i >= len(c.b) {
			return c.syntax(i)
		}
		switch ch := c.b[i]; {
		case ch == '"':
			return i + 1
		case ch == '\\':
			c.escaped = true
			if i = c.escape(i); i < 0 {
				return i
			}
		case ch < ' ':
			return c.syntax(i)
		default:
			r, n := utf8.DecodeRune(c.b[i:])
			if r == utf8.RuneError && n <= 1 {
				return c.fail(i, ReasonUTF8)
			}
			i += n
		}
	}
}

// escape checks the escape (for surrogates: the pair) whose backslash is at i.
func (c *checker) escape(i int) int {
	if i+1 >= len(c.b) {
		return c.syntax(len(c.b))
	}
	switch c.b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
	default:
		return c.syntax(i + 1)
	}
	for k := i + 2; k < i+6; k++ {
		if k >= len(c.b) || unhex(c.b[k]) < 0 {
			return c.syntax(k)
		}
	}
	if !c.strict {
		return i + 6
	}
	r, n := decodeEscape(c.b[i:])
	switch {
	case r == 0:
		return c.fail(i, ReasonNUL)
	case r < 0:
		return c.fail(i, ReasonSurrogate)
	}
	return i + n
}

// unhex gives the value of one hex digit, or -1.
func unhex(ch byte) rune {
	switch {
	case ch >= '0' && ch <= '9':
		return rune(ch - '0')
	case ch >= 'a' && ch <= 'f':
		return rune(ch-'a') + 10
	case ch >= 'A' && ch <= 'F':
		return rune(ch-'A') + 10
	}
	return -1
}

// hex4 gives the value of the \uXXXX at the start of b, or -1.
func hex4(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, ch := range b[2:6] {
		d := unhex(ch)
		if d < 0 {
			return -1
		}
		r = r<<4 | d
	}
	return r
}

// decodeEscape gives the character of the well-formed escape at the start of b and the escape's length in bytes.
// The character of a lone surrogate is -1.
func decodeEscape(b []byte) (rune, int) {
	switch b[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default:
		return rune(b[1]), 2
	}
	r := hex4(b)
	if r < 0xd800 || r > 0xdfff {
		return r, 6
	}
	if low := hex4(b[6:]); r < 0xdc00 && low >= 0xdc00 && low <= 0xdfff {
		return 0x10000 + (r-0xd800)<<10 + (low - 0xdc00), 12
	}
	return -1, 6
}

// runes reads the characters of the inside of a checked string, escapes resolved.
type runes struct{ b []byte }

func (r *runes) next() rune {
	ch, n := rune(r.b[0]), 1
	switch {
	case ch == '\\':
		ch, n = decodeEscape(r.b)
	case ch >= utf8.RuneSelf:
		ch, n = utf8.DecodeRune(r.b)
	}
	r.b = r.b[n:]
	return ch
}
