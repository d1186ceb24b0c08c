package domain

import (
	"encoding/json"
	"fmt"
	"math/rand"
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
			PatchElement{ID: "e", Set: events.Members{{Key: "k", Value: []byte(`{"a":[]}`)}, {Key: "y", Value: []byte("1")}}, Unset: []string{"a", "b"}}},
		{"element.patch", `{"id":"e"}`, PatchElement{ID: "e"}},
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

func TestChat(t *testing.T) {
	w := studio(t)
	w.refused(CodeInvalidCommand, "ann", PostChat{Text: "not sealed"})
	w.refused(CodeTooLarge, "ann", PostChat{Sealed: events.Sealed(strings.Repeat("s", maxSealed(MaxChatText)+1))})
	w.must("ann", PostChat{Sealed: "first", SealedName: "n", Color: "#fff", UserID: "u"})
	w.must("anon:1", PostChat{Sealed: "second", SealedName: "n", Color: "#fff", UserID: "u"})
	chat := w.room.Chat()
	if m := chat[0]; m.User != "ann" || m.Name != "" || m.UserID != "" || m.Text != "first" || m.ID == "" || m.At != w.now-10 || m.Revision != w.room.Revision()-1 {
		t.Errorf("message %+v", m)
	}
	if m := chat[1]; m.User != "anon:1" || m.Name != "n" || m.UserID != "u" || m.Color != "#fff" {
		t.Errorf("message %+v", m)
	}
	for i := range ChatKept {
		w.must("ann", PostChat{Sealed: events.Sealed(fmt.Sprint("m", i))})
	}
	if chat = w.room.Chat(); len(chat) != ChatKept || chat[0].Text != "m0" {
		t.Errorf("%d messages from %s", len(chat), chat[0].Text)
	}
	w.check()
}

func TestComments(t *testing.T) {
	w := studio(t)
	nan := 0.0
	nan /= nan
	x := 3.5
	c := AddComment{ID: "c", ElementID: "gone", X: &x, Sealed: "text"}
	w.must("carl", c)
	c.Sealed = "nonc" // the same text sealed again
	if len(w.must("carl", c).events) != 0 {
		t.Error("the same comment again")
	}
	w.refused(CodeConflict, "ann", c)
	for _, other := range []AddComment{{ID: "c", ElementID: "e", X: &x, Sealed: "text"}, {ID: "c", ElementID: "gone", Sealed: "text"}, {ID: "c", ElementID: "gone", X: &x, Sealed: "longer"}} {
		w.refused(CodeConflict, "carl", other)
	}
	for _, bad := range []AddComment{{ID: "", Sealed: "t"}, {ID: "a/b", Sealed: "t"}, {ID: "d", ElementID: "#", Sealed: "t"}, {ID: "d", Text: "t"}, {ID: "d", Sealed: "t", Y: &nan}} {
		w.refused(CodeInvalidCommand, "carl", bad)
	}
	w.refused(CodeNotFound, "carl", ResolveComment{"none"})
	w.must("ann", ResolveComment{"c"})
	if len(w.must("carl", ResolveComment{"c"}).events) != 0 {
		t.Error("resolved twice")
	}
	if got := w.room.Comments()[0]; !got.Resolved || got.ResolvedBy != "ann" || got.User != "carl" || *got.X != x || got.Text != "text" {
		t.Errorf("comment %+v", got)
	}
	w.check()
	for i := range MaxComments - 1 {
		fillRoom(w, "carl", []Command{AddComment{ID: fmt.Sprint(i), Sealed: "t"}})
	}
	if _, err := Decide(w.room, Actor{"carl"}, AddComment{ID: "more", Sealed: "t"}, 0); codeOf(err) != CodeRoomFull {
		t.Errorf("one comment more: %v", err)
	}
}

func TestParticipantsAreLimited(t *testing.T) {
	w := studio(t)
	for i := len(w.room.people); i < MaxParticipants; i++ {
		fillRoom(w, fmt.Sprint("user", i), []Command{Join{}})
	}
	if _, err := Decide(w.room, Actor{"more"}, Join{}, 0); codeOf(err) != CodeRoomFull {
		t.Errorf("one more: %v", err)
	}
	if _, err := Decide(w.room, Actor{"user100"}, Join{}, 0); err != nil {
		t.Errorf("somebody known: %v", err)
	}
}

// drawing is a room with n elements of about 300 bytes.
func drawing(t testing.TB, n int) *world {
	w := studio(t)
	rng := rand.New(rand.NewSource(1))
	for i := range n {
		fillRoom(w, "ann", []Command{AddElement{Element: element(t, `{"id":"element-%05d","type":"image","src":"asset:0190f5d4-7c1e-7000-8000-00000000%04d","x":%f,"y":%f,"width":640,"height":480,`+
			`"rotation":0,"cropX":0,"cropY":0,"cropWidth":1,"cropHeight":1,"isGenerated":true,"parentGroupId":"group-%04d"}`,
			i, i%9999, rng.Float64()*1e4, rng.Float64()*1e4, i%77)}})
	}
	return w
}

func BenchmarkPatch(b *testing.B) {
	w := drawing(b, 2_000)
	b.Logf("elements of %d bytes", w.room.ElementBytes()/w.room.ElementCount())
	for _, journal := range []bool{false, true} {
		b.Run(fmt.Sprint("journal=", journal), func(b *testing.B) {
			b.ReportAllocs()
			cs := make([]Command, 256)
			for i := range cs {
				cs[i] = PatchElement{ID: fmt.Sprintf("element-%05d", i*7), Set: events.Members{{Key: "x", Value: fmt.Appendf(nil, "%d.5", i)}, {Key: "y", Value: fmt.Appendf(nil, "%d.25", i)}}}
			}
			for i := 0; b.Loop(); i++ {
				c := cs[i%256].(PatchElement)
				c.Set = slices.Clone(c.Set)
				c.Set[0].Value = fmt.Appendf(nil, "%d.5", i)
				if journal && i%64 == 0 {
					w.room.Release()
					w.room.Mark()
				}
				d, err := Decide(w.room, Actor{"ann"}, c, 1)
				if err != nil || len(d.Events) != 1 {
					b.Fatal(err, d)
				}
				if err := w.room.Evolve(&d.Events[0], w.room.Revision()+1, 1); err != nil {
					b.Fatal(err)
				}
			}
			w.room.Release()
		})
	}
}

func BenchmarkAddTo20000(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		drawing(b, MaxElements)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*MaxElements), "ns/element")
}

func BenchmarkSnapshot(b *testing.B) {
	w := drawing(b, 2_000)
	snapshot := w.room.EncodeSnapshot()
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(snapshot)))
		for b.Loop() {
			w.room.EncodeSnapshot()
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(snapshot)))
		for b.Loop() {
			if _, err := DecodeSnapshot(snapshot); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("clone", func(b *testing.B) {
		for b.Loop() {
			w.room.Clone()
		}
	})
}

func BenchmarkParseOfPatch(b *testing.B) {
	data := json.RawMessage(`{"id":"element-00007","set":{"x":123.5,"y":77.25}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseCommand("element.patch", data); err != nil {
			b.Fatal(err)
		}
	}
}
