package domain

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/infinite-kanvas/kanvas/events"
)

// compactJSON checks one JSON value strictly (see events.CheckJSON) and returns a compact copy.
func compactJSON(raw []byte) ([]byte, error) {
	if err := events.CheckJSON(raw, MaxJSONDepth); err != nil {
		return nil, jsonError(err)
	}
	return events.Compact(make([]byte, 0, len(raw)), raw), nil
}

// jsonError is the refusal of a text that events.CheckJSON refused.
func jsonError(err error) error {
	var bad *events.JSONError
	if errors.As(err, &bad) {
		return Errorf(CodeInvalidCommand, "%s", bad.Reason)
	}
	return Errorf(CodeInvalidCommand, "not JSON that can be kept")
}

// skipValue returns the index behind the value at b[i]. b must be valid, compact JSON.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' {
		i++
	}
	return i
}

func skipString(b []byte, i int) int {
	for i++; ; i++ {
		i += bytes.IndexByte(b[i:], '"')
		back := i
		for b[back-1] == '\\' {
			back--
		}
		if (i-back)%2 == 0 {
			return i + 1
		}
	}
}

func skipNested(b []byte, i int) int {
	for depth := 0; ; {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if i++; depth == 0 {
			return i
		}
	}
}

// unquote returns the text of a JSON string, given with its quotes.
func unquote(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		if k, ok := commonKeys[string(quoted[1:len(quoted)-1])]; ok {
			return k
		}
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return "" // not reached: what CheckJSON accepts, the decoder does
	}
	return s
}

// commonKeys are the member names that nearly all elements consist of: shared, not copied for each.
var commonKeys = func() map[string]string {
	m := map[string]string{}
	for _, k := range []string{"id", "type", "z", "src", "x", "y", "width", "height", "rotation", "text", "scaleX", "scaleY",
		"cropX", "cropY", "cropWidth", "cropHeight", "isGenerated", "isVideo", "parentGroupId", "duration", "currentTime",
		"isPlaying", "volume", "muted", "isLooping", "opacity", "fill", "stroke", "strokeWidth", "fontSize", "fontFamily",
		"points", "locked", "visible", "name", "color", "radius"} {
		m[k] = k
	}
	return m
}()
