package domain

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/infinite-kanvas/kanvas/events"
)

// fields are the members of a command's data that are read, and where they go.
type fields []struct {
	name string
	to   any
}

// decode reads the members of data (compact JSON) that fs names and ignores the others. Names are matched exactly; null is refused,
// absence leaves things as they are.
func decode(data json.RawMessage, fs fields) error {
	return eachMember(data, func(name []byte, v json.RawMessage) error {
		for _, f := range fs {
			if f.name == string(name) && !decodeInto(f.to, v) {
				return Errorf(CodeInvalidCommand, "%s: %s", f.name, wants(f.to))
			}
		}
		return nil
	})
}

// eachMember calls f for the members of a compact object, until it returns an error. No data is no members.
func eachMember(data json.RawMessage, f func(name []byte, v json.RawMessage) error) error {
	if len(data) == 0 {
		return nil
	}
	if data[0] != '{' {
		return Errorf(CodeInvalidCommand, "data: must be an object")
	}
	for i := 1; i < len(data) && data[i] != '}'; {
		end := skipString(data, i)
		name := data[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = []byte(unquote(data[i:end]))
		}
		i = skipValue(data, end+1)
		if err := f(name, data[end+1:i:i]); err != nil {
			return err
		}
		if data[i] == ',' {
			i++
		}
	}
	return nil
}

// decodeInto reads one compact value.
func decodeInto(to any, v json.RawMessage) bool {
	isText := v[0] == '"'
	switch to := to.(type) {
	case *json.RawMessage:
		*to = v
		return true
	case *events.Members:
		m, ok := events.CompactMembers(v)
		*to = m
		return ok
	case *[]string:
		return decodeList(to, v)
	case **float64:
		f, err := strconv.ParseFloat(string(v), 64)
		*to = &f
		return kindOf(v[0]) == '0' && err == nil
	case **uint64:
		n, err := strconv.ParseUint(string(v), 10, 64)
		*to = &n
		return err == nil
	}
	if !isText {
		return false
	}
	s := unquote(v)
	switch to := to.(type) {
	case *string:
		*to = s
	case **string:
		*to = &s
	case *Role:
		*to = Role(s)
	case **Role:
		*to = (*Role)(&s)
	case **Visibility:
		*to = (*Visibility)(&s)
	}
	return true
}

func decodeList(to *[]string, v json.RawMessage) bool {
	if v[0] != '[' {
		return false
	}
	list := []string{}
	for i := 1; v[i] != ']'; {
		if v[i] != '"' {
			return false
		}
		end := skipString(v, i)
		list = append(list, unquote(v[i:end]))
		if i = end; v[i] == ',' {
			i++
		}
	}
	*to = list
	return true
}

func wants(to any) string {
	switch to.(type) {
	case *[]string:
		return "must be a list of strings"
	case *events.Members:
		return "must be an object"
	case **float64:
		return "must be a finite number"
	case **uint64:
		return "must be a whole number, 0 or more"
	}
	return "must be a string"
}
