package wire

import (
	"bytes"
	"encoding/json"

	"github.com/infinite-kanvas/kanvas/domain"
)

const (
	assetPrefix = `"asset:`       // how a src of ours begins in the log
	assetURL    = `"/v1/assets/`  // and for clients
	srcAsset    = `"src":"asset:` // the member, in canonical JSON
	srcURL      = `"src":"/v1/assets/`
)

// AppendElement appends the stored element, member for member, with a src of `asset:{id}` shown as `/v1/assets/{id}`.
func AppendElement(dst []byte, e *domain.Element) []byte { return appendElement(dst, e.JSON()) }

// AppendElements appends a JSON array of elements.
func AppendElements(dst []byte, list []*domain.Element) []byte {
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendElement(dst, e.JSON())
	}
	return append(dst, ']')
}

// appendElement copies canonical (compact) JSON of an element. Only the element's own src is changed, not a src inside of a value.
func appendElement(dst, canonical []byte) []byte {
	at := ownAsset(canonical)
	if at < 0 {
		return append(dst, canonical...)
	}
	dst = append(append(dst, canonical[:at]...), srcURL...)
	return append(dst, canonical[at+len(srcAsset):]...)
}

// ownAsset returns where `"src":"asset:` stands as a member of the object itself, or -1. Quotes inside of strings are escaped, so a
// match is always a member; it is the object's own where as many brackets were closed as opened before it, but the first.
func ownAsset(canonical []byte) int {
	from := 0
	for {
		at := bytes.Index(canonical[from:], []byte(srcAsset))
		if at < 0 {
			return -1
		}
		at += from
		if depthAt(canonical, at) == 1 {
			return at
		}
		from = at + len(srcAsset)
	}
}

// depthAt counts the objects and arrays that are open at byte end of compact, valid JSON.
func depthAt(b []byte, end int) int {
	depth := 0
	for i := 0; i < end; i++ {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			for i++; i < end && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		}
	}
	return depth
}

// appendValue appends the value of a patched property.
func appendValue(dst []byte, key string, value json.RawMessage) []byte {
	if key == "src" && bytes.HasPrefix(value, []byte(assetPrefix)) {
		return append(append(dst, assetURL...), value[len(assetPrefix):]...)
	}
	return append(dst, value...)
}
