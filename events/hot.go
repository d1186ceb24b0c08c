package events

import "fmt"

// The three types that nearly all events of a busy room have are encoded and decoded here by hand. What they write is what
// encoding/json would write for the structs (but a nil list of ids is [], not null); what the scanners don't understand is left to encoding/json.

func appendAdded(dst []byte, payload any) ([]byte, error) {
	p := payload.(*ElementAddedData)
	dst, err := appendRaw(append(dst, `{"element":`...), p.Element)
	if err != nil {
		return nil, fmt.Errorf("element: %w", err)
	}
	return append(dst, '}'), nil
}

func scanAdded(s *scanner) (any, bool) {
	if !s.has(`{"element":`) {
		return nil, false
	}
	element, ok := s.value()
	if !ok || !s.has("}") {
		return nil, false
	}
	return &ElementAddedData{Element: element}, true
}

func appendPatched(dst []byte, payload any) ([]byte, error) {
	p := payload.(*ElementPatchedData)
	dst = AppendString(append(dst, `{"id":`...), p.ID)
	if len(p.Set) > 0 {
		var err error
		if dst, err = p.Set.AppendJSON(append(dst, `,"set":`...)); err != nil {
			return nil, err
		}
	}
	if len(p.Unset) > 0 {
		dst = appendStrings(append(dst, `,"unset":`...), p.Unset)
	}
	return append(dst, '}'), nil
}

func scanPatched(s *scanner) (any, bool) {
	if !s.has(`{"id":`) {
		return nil, false
	}
	var p ElementPatchedData
	var ok bool
	if p.ID, ok = s.string(); !ok {
		return nil, false
	}
	if s.has(`,"set":`) {
		if p.Set, ok = s.members(true); !ok {
			return nil, false
		}
	}
	if s.has(`,"unset":`) {
		if p.Unset, ok = s.strings(); !ok {
			return nil, false
		}
	}
	return &p, s.has("}")
}

func appendRemoved(dst []byte, payload any) ([]byte, error) {
	p := payload.(*ElementRemovedData)
	return append(appendStrings(append(dst, `{"ids":`...), p.IDs), '}'), nil
}

func scanRemoved(s *scanner) (any, bool) {
	if !s.has(`{"ids":`) {
		return nil, false
	}
	ids, ok := s.strings()
	if !ok || !s.has("}") {
		return nil, false
	}
	return &ElementRemovedData{IDs: ids}, true
}

// sizeHint guesses the encoded size of a payload, in bytes. Too small costs a copy, no more.
func sizeHint(payload any) int {
	switch p := payload.(type) {
	case *ElementAddedData:
		return len(p.Element) + 16
	case *ElementPatchedData:
		n := len(p.ID) + 32
		for i := range p.Set {
			n += len(p.Set[i].Key) + len(p.Set[i].Value) + 4
		}
		for _, k := range p.Unset {
			n += len(k) + 3
		}
		return n
	case *ElementRemovedData:
		n := 16
		for _, id := range p.IDs {
			n += len(id) + 3
		}
		return n
	case *ChatPostedData:
		return len(p.Text) + len(p.Name) + 96
	}
	return 256
}
