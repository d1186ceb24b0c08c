package realtime

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestArraysOfMessages(t *testing.T) {
	for frame, want := range map[string]int{
		`{"type":"ping"}`: 1, ` [ ] `: 0, `[{"type":"ping"} , {"type":"cursor","x":1,"y":[2,"]"]}]`: 2, ` {"a":"}"}`: 1,
	} {
		n := 0
		if err := eachMessage([]byte(frame), func(b []byte) bool { n++; return json.Valid(b) }); err != nil || n != want {
			t.Errorf("%s: %d messages, %v", frame, n, err)
		}
	}
}

// FuzzV1Frame: what passes the check is taken apart as encoding/json would, and nothing panics.
func FuzzV1Frame(f *testing.F) {
	for _, s := range []string{
		`{"type":"command","seq":7,"command":"element.patch","data":{"id":"e","set":{"x":1.5e3}}}`,
		`[{"type":"cursor","x":-1,"y":0.5},{"type":"viewport","x":1,"y":2,"scale":3}]`,
		`{"type":"commands","seq":1,"commands":[{"command":"undo","data":{}}]}`,
		`{"type":"command","seq":7,"command":"element.add","data":{"element":{"type":"text","id":"e","k":"<"},"before":"f"}}`,
		`{"type":"command","command":"element.patch","data":{"i\\u0064":"e","set":{"y":[{}],"x":"\\u0041"},"unset":["b","a","b"]}}`,
		`{"type":"command","command":"element.patch","data":` + strings.Repeat(`{"set":`, 34) + `{}` + strings.Repeat("}", 35),
		`{"type":"hello","token":"t","client":"c","resume":12}`,
		`{"type":"preview","id":"e\u0041","set":{"a":"\\\""}}`, `[[]]`, `{}`, `[{}]`, "", " ", `"`, `{"`, `{"type":"ping","t":` + strings.Repeat("[", 50),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = parseHello(b)
		form, err := checkFrame(b)
		if err != nil {
			return
		}
		_ = eachMessage(b, func(one []byte) bool {
			var want map[string]json.RawMessage
			if err := json.Unmarshal(one, &want); err != nil {
				t.Fatalf("%q of %q: %v", one, b, err)
			}
			m, err := parseMessage(one)
			if err != nil {
				return true
			}
			for name, got := range map[string][]byte{"data": m.data, "set": m.set, "commands": m.commands} {
				if plain(want, name) && string(got) != string(want[name]) {
					t.Fatalf("%s of %q is %q, want %q", name, one, got, want[name])
				}
			}
			if typ := string(m.typ); typ == "command" || typ == "commands" {
				slow, slowErr := m.parseCommands()
				m.ready = ready(form)
				fast, fastErr := m.parseCommands()
				if fmt.Sprint(slowErr) != fmt.Sprint(fastErr) || !reflect.DeepEqual(slow, fast) {
					t.Fatalf("%q: %#v, %v\nwith its data taken for ready: %#v, %v", one, slow, slowErr, fast, fastErr)
				}
			}
			return true
		})
	})
}

// plain reports whether the member's name was not written with escapes, which a message's own members never are.
func plain(m map[string]json.RawMessage, name string) bool {
	_, ok := m[name]
	return ok && len(m) == 1
}
