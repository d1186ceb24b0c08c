package events

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string, with the escapes of encoding/json without HTML escaping. Invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	inside := len(dst) + 1
	dst = append(append(dst, '"'), s...)
	if plainRun(dst, inside) == len(dst) { // as most are
		return append(dst, '"')
	}
	dst = dst[:inside]
	start := 0
	for i := 0; i < len(s); {
		ch := s[i]
		if ch >= ' ' && ch != '"' && ch != '\\' && ch < utf8.RuneSelf {
			i++
			continue
		}
		if ch < utf8.RuneSelf {
			dst = appendEscape(append(dst, s[start:i]...), ch)
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(append(dst, s[start:i]...), `\ufffd`...)
			start = i + n
		case r == '\u2028' || r == '\u2029': // line ends in JavaScript, as encoding/json does
			dst = append(append(dst, s[start:i]...), `\u202`...)
			dst = append(dst, hexDigits[r&0xf])
			start = i + n
		}
		i += n
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscape(dst []byte, ch byte) []byte {
	switch ch {
	case '"', '\\':
		return append(dst, '\\', ch)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[ch>>4], hexDigits[ch&0xf])
}

// appendStrings appends an array of strings.
func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, s)
	}
	return append(dst, ']')
}

// appendMember appends a member with a string value, after the comma; name is the member's name with quotes and colon.
func appendMember(dst []byte, name, value string) []byte {
	return AppendString(append(append(dst, ','), name...), value)
}

func appendNumber(dst []byte, name string, n uint64) []byte {
	return strconv.AppendUint(append(append(dst, ','), name...), n, 10)
}

// appendRaw appends a JSON value that somebody else made: checked, as what is written once must be readable forever,
// and compact. The error is a *JSONError.
func appendRaw(dst []byte, raw json.RawMessage) ([]byte, error) {
	c := checker{b: raw, maxDepth: maxDataDepth, strict: true}
	if err := c.all(); err != nil {
		return nil, err
	}
	if c.space {
		return Compact(dst, raw), nil
	}
	return append(dst, raw...), nil
}

// appendJSON appends v as encoding/json has it, without HTML escaping.
func appendJSON(dst []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	b := buf.Bytes()
	return b[:len(b)-1], nil // Encode ends with a newline
}

const (
	timeLayout = "2006-01-02T15:04:05.000Z"
	maxAt      = 253402300799999 // 9999-12-31T23:59:59.999Z
)

// AppendTime appends ms, Unix milliseconds from 1970 to 9999, in the form of a commit's "at", without quotes.
func AppendTime(dst []byte, ms int64) []byte {
	t := time.UnixMilli(ms).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(dst, byte('0'+year/1000), byte('0'+year/100%10), byte('0'+year/10%10), byte('0'+year%10), '-')
	dst = append(append2(dst, int(month)), '-')
	dst = append(append2(dst, day), 'T')
	dst = append(append2(dst, hour), ':')
	dst = append(append2(dst, minute), ':')
	dst = append(append2(dst, second), '.')
	milli := t.Nanosecond() / 1e6
	return append(dst, byte('0'+milli/100), byte('0'+milli/10%10), byte('0'+milli%10), 'Z')
}

func append2(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// parseTime reads what AppendTime wrote, and nothing else.
func parseTime(b []byte) (ms int64, ok bool) {
	if len(b) != len(timeLayout) {
		return 0, false
	}
	part := func(from, to int) int {
		n := 0
		for _, ch := range b[from:to] {
			n = n*10 + int(ch) - '0' // what is no digit fails the comparison below
		}
		return n
	}
	t := time.Date(part(0, 4), time.Month(part(5, 7)), part(8, 10), part(11, 13), part(14, 16), part(17, 19), part(20, 23)*1e6, time.UTC)
	if ms = t.UnixMilli(); ms < 0 || ms > maxAt {
		return 0, false
	}
	var again [len(timeLayout)]byte
	return ms, string(AppendTime(again[:0], ms)) == string(b)
}
