package domain

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

func TestParseCommand(t *testing.T) {
	one := 1.5
	for _, c := range []struct {
		name, data string
		want       Command
	}{
		{"element.patch", `{"id":"e","set":{"y": 1 ,"k":{"a":[ ]}},"unset":["b","a","b"],"more":1}`,
			PatchElement{ID: "e", Set: events.Members{{Key: "k", Value: []byte(`{"a":[]}`)}, {Key: "y", Value: []byte("1")}}, Unset: []string{"a", "b"}, sound: true}},
		{"element.patch", `{"id":"e"}`, PatchElement{ID: "e", sound: true}},
		{"element.remove", `{"id":"e"}`, RemoveElements{IDs: []string{"e"}}},
		{"element.remove", `{"ids":["e","f"]}`, RemoveElements{IDs: []string{"e", "f"}}},
		{"element.reorder", `{"ids":["e"],"before":"f"}`, ReorderElements{IDs: []string{"e"}, Before: "f"}},
		{"element.reorder", `{"ids":["e"],"to":"front"}`, ReorderElements{IDs: []string{"e"}, To: "front"}},
		{"chat.post", `{"text":" hi\n"}`, PostChat{Text: " hi\n"}},
		{"room.update", `{"name":"A","description":"b\nc","visibility":"private","default_role":"viewer"}`,
			UpdateRoom{ptr("A"), ptr("b\nc"), ptr(Private), ptr(RoleViewer)}},
		{"room.update", `{}`, UpdateRoom{}},
		{"participant.set_role", `{"user_id":"ann","role":"editor"}`, SetRole{"ann", RoleEditor}},
		{"participant.remove", `{"user_id":"ann"}`, RemoveParticipant{"ann"}},
		{"comment.add", `{"id":"c","element_id":"e","x":1.5,"text":"t"}`, AddComment{ID: "c", ElementID: "e", X: &one, Text: "t"}},
		{"comment.resolve", `{"id":"c"}`, ResolveComment{"c"}},
		{"undo", `{}`, Undo{}}, {"redo", ``, Redo{}},
		{"canvas.restore", `{"revision":7}`, Restore{Revision: 7}},
	} {
		got, err := ParseCommand(c.name, json.RawMessage(c.data))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %s: %+v, %v; want %+v", c.name, c.data, got, err, c.want)
		}
	}
	got, err := ParseCommand("element.add", json.RawMessage(`{"element":{"type":"text","id":"e","k":"<"},"before":"f"}`))
	if add, ok := got.(AddElement); err != nil || !ok || add.Before != "f" || string(add.Element.JSON()) != `{"id":"e","type":"text","k":"<"}` {
		t.Errorf("element.add: %+v, %v", got, err)
	}
	url := `{"element":{"type":"image","id":"e","src":"data:image/png;base64,` + strings.Repeat("A", 5<<20) + `"}}`
	if _, err := ParseCommand("element.add", json.RawMessage(url)); err != nil {
		t.Errorf("5 MiB of picture: %v", err)
	}
}

func TestParseCommandRefuses(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	ids := func(n int) string { return `["e"` + strings.Repeat(`,"e"`, n-1) + `]` }
	for _, c := range []struct {
		code       Code
		name, data string
	}{
		{CodeInvalidCommand, "element.polish", `{}`}, {CodeInvalidCommand, "", `{}`}, {CodeInvalidCommand, "room.create", `{}`}, {CodeInvalidCommand, "room.checkpoint", `{}`},
		{CodeInvalidCommand, "participant.join", `{}`}, {CodeInvalidCommand, "room.delete", `{}`},
		{CodeInvalidCommand, "chat.post", `[]`}, {CodeInvalidCommand, "chat.post", `null`}, {CodeInvalidCommand, "chat.post", `{`}, {CodeInvalidCommand, "chat.post", `{} {}`},
		{CodeInvalidCommand, "element.add", `{}`}, {CodeInvalidCommand, "element.add", `{"element":null}`}, {CodeInvalidCommand, "element.add", `{"element":{"id":"e"}}`},
		{CodeInvalidCommand, "element.add", `{"element":{"id":"e","type":"shape"},"before":"a/b"}`},
		{CodeInvalidCommand, "element.patch", `{"set":{"x":1}}`}, {CodeInvalidCommand, "element.patch", `{"id":"e","set":[]}`}, {CodeInvalidCommand, "element.patch", `{"id":"e","set":{"z":"b"}}`},
		{CodeInvalidCommand, "element.patch", `{"id":"e","unset":"x"}`}, {CodeInvalidCommand, "element.patch", `{"id":"e","unset":["x",1]}`}, {CodeInvalidCommand, "element.patch", `{"id":"e","unset":null}`},
		{CodeInvalidCommand, "element.patch", `{"id":"e","set":{"x":1},"unset":["x"]}`}, {CodeInvalidCommand, "element.patch", `{"id":"e","set":{"x":1e999}}`},
		{CodeInvalidCommand, "element.patch", `{"id":"e","set":{"x":1,"x":2}}`}, {CodeInvalidCommand, "element.patch", `{"id":"e","set":{"__proto__":1}}`},
		{CodeInvalidCommand, "element.remove", `{}`}, {CodeInvalidCommand, "element.remove", `{"ids":[]}`}, {CodeInvalidCommand, "element.remove", `{"id":"a b"}`},
		{CodeTooLarge, "element.remove", `{"ids":` + ids(MaxIDsPerCommand+1) + `}`},
		{CodeInvalidCommand, "element.reorder", `{"ids":["e"]}`}, {CodeInvalidCommand, "element.reorder", `{"ids":["e"],"to":"top"}`}, {CodeInvalidCommand, "element.reorder", `{"ids":["e"],"before":"#"}`},
		{CodeInvalidCommand, "chat.post", `{}`}, {CodeInvalidCommand, "chat.post", `{"text":" \n"}`}, {CodeInvalidCommand, "chat.post", `{"text":7}`}, {CodeInvalidCommand, "chat.post", `{"TEXT":"a"}`},
		{CodeTooLarge, "chat.post", `{"text":"` + long(MaxChatText+1) + `"}`},
		{CodeTooLarge, "room.update", `{"name":"` + long(MaxRoomName+1) + `"}`}, {CodeTooLarge, "room.update", `{"description":"` + long(MaxDescription+1) + `"}`},
		{CodeInvalidCommand, "room.update", `{"name":"a\nb"}`}, {CodeInvalidCommand, "room.update", `{"name":null}`}, {CodeInvalidCommand, "room.update", `{"description":"\u0007"}`},
		{CodeInvalidCommand, "room.update", `{"visibility":"secret"}`}, {CodeInvalidCommand, "room.update", `{"default_role":"owner"}`},
		{CodeInvalidCommand, "participant.set_role", `{"user_id":"anon:1","role":"editor"}`}, {CodeInvalidCommand, "participant.set_role", `{"user_id":"a","role":"god"}`},
		{CodeInvalidCommand, "participant.set_role", `{"role":"editor"}`}, {CodeInvalidCommand, "participant.remove", `{}`}, {CodeInvalidCommand, "participant.remove", `{"user_id":"system"}`},
		{CodeInvalidCommand, "comment.add", `{"text":"t"}`}, {CodeInvalidCommand, "comment.add", `{"id":"c","text":""}`}, {CodeInvalidCommand, "comment.add", `{"id":"c","text":"t","x":"1"}`},
		{CodeInvalidCommand, "comment.add", `{"id":"c","text":"t","element_id":"%"}`}, {CodeTooLarge, "comment.add", `{"id":"c","text":"` + long(MaxCommentText+1) + `"}`},
		{CodeInvalidCommand, "comment.resolve", `{}`}, {CodeInvalidCommand, "canvas.restore", `{}`}, {CodeInvalidCommand, "canvas.restore", `{"revision":-1}`}, {CodeInvalidCommand, "canvas.restore", `{"revision":1.5}`},
	} {
		got, err := ParseCommand(c.name, json.RawMessage(c.data))
		if codeOf(err) != c.code || got != nil {
			t.Errorf("%s %.80s: %v, %v; want %s", c.name, c.data, got, err, c.code)
		}
	}
	for _, c := range []struct{ name, data string }{
		{"chat.post", `{"text":"` + long(MaxChatText) + `"}`}, {"comment.add", `{"id":"c","text":"` + long(MaxCommentText) + `"}`}, {"room.update", `{"name":"` + long(MaxRoomName) + `"}`},
		{"room.update", `{"description":"` + long(MaxDescription) + `"}`}, {"element.remove", `{"ids":` + ids(MaxIDsPerCommand) + `}`},
	} {
		if _, err := ParseCommand(c.name, json.RawMessage(c.data)); err != nil {
			t.Errorf("%s at its limit: %v", c.name, err)
		}
	}
}

func TestParseCommands(t *testing.T) {
	raw := slices.Repeat([]RawCommand{{"undo", nil}}, MaxCommandsPerList+1)
	if list, err := ParseCommands(raw[1:]); err != nil || len(list) != MaxCommandsPerList {
		t.Errorf("%d commands, %v", len(list), err)
	}
	if _, err := ParseCommands(raw); codeOf(err) != CodeTooLarge {
		t.Errorf("one more: %v", err)
	}
	if _, err := ParseCommands(nil); codeOf(err) != CodeInvalidCommand {
		t.Errorf("none: %v", err)
	}
	_, err := ParseCommands([]RawCommand{{"undo", nil}, {"chat.post", json.RawMessage(`{}`)}})
	if codeOf(err) != CodeInvalidCommand || !strings.Contains(err.Error(), "commands[1]") {
		t.Errorf("the second is bad: %v", err)
	}
}

func TestRawCommandNames(t *testing.T) {
	var raw []RawCommand
	if err := json.Unmarshal([]byte(`[{"command":"chat.post","data":{"text":"a"},"COMMAND":"undo","Data":{"text":"b"},"x":1},{"Command":"undo"}]`), &raw); err != nil {
		t.Fatal(err)
	}
	if want := []RawCommand{{"chat.post", json.RawMessage(`{"text":"a"}`)}, {}}; !reflect.DeepEqual(raw, want) {
		t.Errorf("%q", raw)
	}
	for _, bad := range []string{`[{"command":5}]`, `["undo"]`, `[[]]`} {
		if json.Unmarshal([]byte(bad), &raw) == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	for name := range parsers {
		f.Add(name, `{"id":"e","ids":["a"],"set":{"x":1},"unset":["y"],"text":"t","element":{"id":"e","type":"text"},"revision":1,"user_id":"u","role":"viewer","to":"back"}`)
	}
	f.Fuzz(func(t *testing.T, name, data string) {
		c, err := ParseCommand(name, json.RawMessage(data))
		if err != nil {
			if code := codeOf(err); code != CodeInvalidCommand && code != CodeTooLarge {
				t.Fatalf("%v", err)
			}
			return
		}
		if c.CommandName() != name {
			t.Fatalf("%s parsed as %s", name, c.CommandName())
		}
		w := studio(t)
		w.must("olga", shape(t, "e"), shape(t, "a"))
		if _, err := w.do("olga", sealed(c)); err != nil && codeOf(err) == CodeInternal {
			t.Fatalf("%v", err)
		}
		w.check()
	})
}

// sealed stands for what commands does to texts.
func sealed(c Command) Command {
	switch c := c.(type) {
	case PostChat:
		c.Sealed = "s"
		return c
	case AddComment:
		c.Sealed = "s"
		return c
	}
	return c
}
