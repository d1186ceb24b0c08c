package events

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

func TestMembers(t *testing.T) {
	var m Members
	if err := json.Unmarshal([]byte(` { "y" : [ 1 , " a b " ] , "\u0062" : null , "" : {} } `), &m); err != nil {
		t.Fatal(err)
	}
	want := Members{{"", json.RawMessage(`{}`)}, {"b", json.RawMessage(`null`)}, {"y", json.RawMessage(`[1," a b "]`)}}
	if !reflect.DeepEqual(m, want) {
		t.Fatalf("%+v", m)
	}
	b, err := json.Marshal(m)
	if err != nil || string(b) != `{"":{},"b":null,"y":[1," a b "]}` {
		t.Errorf("%s %v", b, err)
	}
	if v, ok := m.Get("y"); !ok || string(v) != `[1," a b "]` {
		t.Errorf("y: %s %v", v, ok)
	}
	if v, ok := m.Get("c"); ok || v != nil {
		t.Errorf("c: %s %v", v, ok)
	}
	if err := json.Unmarshal([]byte(`null`), &m); err != nil || m != nil {
		t.Errorf("null: %+v %v", m, err)
	}
}

func TestMembersOutOfOrder(t *testing.T) {
	m := Members{{"b", json.RawMessage(`2`)}, {"a", json.RawMessage(`1`)}}
	b, err := m.AppendJSON([]byte("x"))
	if err != nil || string(b) != `x{"a":1,"b":2}` || m[0].Key != "b" {
		t.Errorf("%s %v %v", b, err, m)
	}
	m.Sort()
	if m[0].Key != "a" {
		t.Errorf("%v", m)
	}
}

func TestMembersRefuse(t *testing.T) {
	for _, s := range []string{``, `[]`, `1`, `{`, `{"a":1}x`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a" 1}`} {
		m := Members{{"kept", json.RawMessage(`1`)}}
		if err := m.UnmarshalJSON([]byte(s)); err == nil || len(m) != 1 {
			t.Errorf("%s: %+v %v", s, m, err)
		}
	}
	var je *JSONError
	if _, err := (Members{{"a", json.RawMessage(`1 2`)}}).MarshalJSON(); !errors.As(err, &je) {
		t.Errorf("value of two: %v", err)
	}
	if _, err := (Members{{"a", json.RawMessage(`1`)}, {"a", json.RawMessage(`1`)}}).MarshalJSON(); !errors.Is(err, ErrFormat) {
		t.Errorf("key twice: %v", err)
	}
}

// TestMembersCopy: what UnmarshalJSON gives doesn't change with its input.
func TestMembersCopy(t *testing.T) {
	b := []byte(`{"a":"one"}`)
	var m Members
	if err := m.UnmarshalJSON(b); err != nil {
		t.Fatal(err)
	}
	copy(b, `{"a":"two"}`)
	if v, _ := m.Get("a"); string(v) != `"one"` {
		t.Errorf("%s", v)
	}
}
