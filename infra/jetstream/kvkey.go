package jetstream

import (
	"errors"
	"strings"
)

// maxKey is the longest key of the cache in bytes, as in Cloudflare KV.
const maxKey = 512

var errBadKey = errors.New("jetstream: a key is 1 to 512 bytes")

const hexDigits = "0123456789ABCDEF"

// escapeKey writes a key with the bytes that JetStream KV takes: ":" becomes "/", other bytes than A–Z a–z 0–9 _ - become
// "=XX". A dot would part subject tokens, so it is escaped too.
func escapeKey(key string) (string, error) {
	if key == "" || len(key) > maxKey {
		return "", errBadKey
	}
	var b strings.Builder
	b.Grow(len(key))
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case c == ':':
			b.WriteByte('/')
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
			b.WriteByte(c)
		default:
			b.WriteByte('=')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String(), nil
}

// unescapeKey is the inverse of escapeKey; ok is false for what escapeKey never makes.
func unescapeKey(s string) (key string, ok bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '/':
			b = append(b, ':')
		case '=':
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			b = append(b, byte(hi<<4|lo))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}
