package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// book knows people by id; sealed text opens to itself, but that of "forgotten".
type book struct {
	commands.Users
	epoch uint64
}

func (b book) Epoch() uint64 { return b.epoch }

func (book) Profile(_ context.Context, id string) commands.Profile {
	return commands.Profile{ID: id, Name: "N " + id, Color: "#123456"}
}
func (book) Open(_ context.Context, person string, s events.Sealed) (string, bool) {
	return strings.TrimPrefix(string(s), "k1."), person != "forgotten"
}

var enc = Encoder{Users: book{}}

func parse(t testing.TB, b []byte) map[string]any {
	t.Helper()
	if err := events.CheckJSON(b, 64); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func elem(t testing.TB, raw string) *domain.Element {
	t.Helper()
	e, err := domain.ParseElement([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOnlyTheElementsOwnSrcIsReplaced(t *testing.T) {
	for in, want := range map[string]string{
		`{"id":"a","type":"image","src":"asset:77"}`:                                    `"src":"/v1/assets/77"`,
		`{"id":"a","type":"image","src":"https://x/asset:1"}`:                           `"src":"https://x/asset:1"`,
		`{"id":"a","type":"image","meta":{"src":"asset:1"},"src":"asset:2"}`:            `"meta":{"src":"asset:1"},"src":"/v1/assets/2"`,
		`{"id":"a","type":"text","text":"\"src\":\"asset:1"}`:                           `"text":"\"src\":\"asset:1"`,
		`{"id":"a","type":"image","a":[{"src":"asset:1"}],"b":"}]","src":"asset:2"}`:    `"a":[{"src":"asset:1"}],"b":"}]","src":"/v1/assets/2"`,
		`{"id":"a","type":"image","meta":{"src":"asset:1"},"text":"say \\\"{\\\" src"}`: `"meta":{"src":"asset:1"}`,
	} {
		got := string(AppendElement(nil, elem(t, in)))
		if !strings.Contains(got, want) {
			t.Errorf("%s became %s", in, got)
		}
		parse(t, []byte(got))
	}
}

func TestEventsAreTheContracts(t *testing.T) {
	x := 1.5
	c := &events.Commit{First: 7, At: 1_700_000_000_123, Events: []events.Event{
		{ID: "i1", Type: events.ElementAdded, V: 1, Actor: "al", Client: "c", Seq: 9, Payload: &events.ElementAddedData{Element: []byte(`{"id":"e","type":"image","z":"V","src":"asset:1"}`)}},
		{ID: "i2", Type: events.ElementPatched, V: 1, Actor: "al", Payload: &events.ElementPatchedData{ID: "e", Set: events.Members{{Key: "src", Value: []byte(`"asset:2"`)}, {Key: "x", Value: []byte(`1`)}}, Unset: []string{"y"}}},
		{ID: "i3", Type: events.ElementRemoved, V: 2, Actor: "al", Cause: events.CauseUndo, Payload: &events.ElementRemovedData{IDs: []string{"e"}}},
		{ID: "i4", Type: events.ChatPosted, V: 1, Actor: "al", Payload: &events.ChatPostedData{Text: "k1.hi"}},
		{ID: "i5", Type: events.ChatPosted, V: 1, Actor: "forgotten", Payload: &events.ChatPostedData{Text: "k1.hi"}},
		{ID: "i6", Type: events.ChatPosted, V: 1, Actor: "anon:1", Payload: &events.ChatPostedData{Text: "k1.hi", Name: "k1.Guest", Color: "#fff", UserID: "pk"}},
		{ID: "i7", Type: events.CommentAdded, V: 1, Actor: "al", Payload: &events.CommentAddedData{ID: "c", X: &x, Text: "k1.note"}},
		{ID: "i8", Type: events.ParticipantJoined, V: 1, Actor: "al", Payload: &events.ParticipantJoinedData{User: "al", Role: "editor"}},
	}}
	m := parse(t, enc.AppendCommit(t.Context(), nil, c, 0))
	if m["type"] != "commit" || m["first"] != 7.0 || m["last"] != 14.0 {
		t.Fatalf("%v", m)
	}
	list := m["events"].([]any)
	want := []string{
		`{"element":{"id":"e","type":"image","z":"V","src":"/v1/assets/1"}}`,
		`{"id":"e","set":{"src":"/v1/assets/2","x":1},"unset":["y"]}`,
		`{"ids":["e"]}`,
		`{"text":"hi","user_id":"al","name":"N al","color":"#123456"}`,
		`{"text":"","forgotten":true,"user_id":"forgotten","name":"N forgotten","color":"#123456"}`,
		`{"text":"hi","user_id":"pk","name":"Guest","color":"#fff"}`,
		`{"id":"c","x":1.5,"text":"note"}`,
		`{"user_id":"al","role":"editor"}`,
	}
	for i, w := range want {
		ev := list[i].(map[string]any)
		var data any
		if err := json.Unmarshal([]byte(w), &data); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(ev["data"], data) {
			t.Errorf("event %d: %v, want %s", i, ev["data"], w)
		}
		if ev["revision"] != float64(7+i) || ev["id"] != fmt.Sprint("i", i+1) || ev["at"] != "2023-11-14T22:13:20.123Z" {
			t.Errorf("event %d: %v", i, ev)
		}
	}
	first := list[0].(map[string]any)
	if first["client"] != "c" || first["seq"] != 9.0 || fmt.Sprint(first["actor"]) != "map[id:al name:N al]" {
		t.Errorf("%v", first)
	}
	if _, ok := list[1].(map[string]any)["client"]; ok {
		t.Error("a client where there was none")
	}
	tail := parse(t, enc.AppendCommit(t.Context(), nil, c, 10))
	if tail["first"] != 11.0 || tail["last"] != 14.0 || len(tail["events"].([]any)) != 4 {
		t.Errorf("%v", tail)
	}
}

// Every payload that has sealed text has an encoder of its own: nothing of the registry leaks it, now or when types are added.
func TestNothingSealedLeaves(t *testing.T) {
	for _, typ := range events.Types() {
		payload, err := events.DecodePayload(typ, events.CurrentVersion(typ), []byte(sealedSample(t, typ)))
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		switch typ {
		case events.UserCreated, events.UserUpdated:
			continue // of user streams, which are never shown
		}
		out := enc.AppendEvent(t.Context(), nil, &events.Event{ID: "x", Type: typ, V: 1, Actor: "al", Payload: payload}, 1, 0)
		if strings.Contains(string(out), "k1.") {
			t.Errorf("%s shows sealed text: %s", typ, out)
		}
		parse(t, out)
	}
	out := enc.AppendEvent(t.Context(), nil, &events.Event{ID: "x", Type: "generation.exploded", V: 1, Actor: "al", Data: []byte(`{"prompt":"k1.secret"}`)}, 1, 0)
	if strings.Contains(string(out), "secret") {
		t.Errorf("an unknown event shows its data: %s", out)
	}
}

// sealedSample is a payload whose sealed members hold something.
func sealedSample(t *testing.T, typ events.Type) string {
	t.Helper()
	payload, err := events.DecodePayload(typ, events.CurrentVersion(typ), minimal(typ))
	if err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	fillSealed(reflect.ValueOf(payload).Elem())
	b, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func minimal(typ events.Type) json.RawMessage {
	switch typ {
	case events.ElementAdded:
		return json.RawMessage(`{"element":{"id":"e","type":"note","z":"V"}}`)
	case events.ElementPatched:
		return json.RawMessage(`{"id":"e","set":{"x":1}}`)
	case events.ElementRemoved:
		return json.RawMessage(`{"ids":["e"]}`)
	}
	return json.RawMessage(`{}`)
}

func fillSealed(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Interface().(type) {
		case events.Sealed:
			f.SetString("k1.sealed")
		case *events.Sealed:
			s := events.Sealed("k1.sealed")
			f.Set(reflect.ValueOf(&s))
		}
	}
}

func TestSnapshotsComeInPartsAndAreMadeOnce(t *testing.T) {
	v := &commands.View{Revision: 40, Room: commands.RoomInfo{ID: "r", Name: "R", CreatedAt: 1, UpdatedAt: 2}}
	pad := strings.Repeat("p", 60<<10)
	for i := range 50 {
		v.Elements = append(v.Elements, elem(t, fmt.Sprintf(`{"id":"e%d","type":"text","z":"V","text":%q}`, i, pad)))
	}
	v.Chat = []domain.ChatMessage{{ID: "m", User: "al", At: 5, Text: "k1.hi"}}
	v.Comments = []domain.Comment{{ID: "c", User: "forgotten", Text: "k1.gone", Resolved: true, ResolvedBy: "al", ResolvedAt: 9}}
	v.Participants = []domain.Participant{{User: "al", Role: domain.RoleOwner, JoinedAt: 3}, {User: "bo", Role: domain.RoleViewer}}
	s := enc.SnapshotOf(t.Context(), v)
	if s != enc.SnapshotOf(t.Context(), v) {
		t.Fatal("made twice")
	}
	if (Encoder{Users: book{epoch: 1}}).SnapshotOf(t.Context(), v) == s {
		t.Fatal("somebody was forgotten, and it is shown as it was")
	}
	if len(s.Parts) != 3 {
		t.Fatalf("%d parts", len(s.Parts))
	}
	n := 0
	for i, part := range s.Parts {
		if len(part) > PartBytes+64<<10 {
			t.Errorf("part %d has %d bytes", i, len(part))
		}
		m := parse(t, append(s.AppendHead(nil, i, domain.RoleEditor, 3, i == 0), part...))
		if m["type"] != "snapshot" || m["revision"] != 40.0 || (m["more"] == true) != (i < 2) || (m["reset"] == true) != (i == 0) {
			t.Errorf("part %d: more %v reset %v", i, m["more"], m["reset"])
		}
		if room := m["room"].(map[string]any); room["role"] != "editor" || room["online"] != 3.0 || room["created_at"] != "1970-01-01T00:00:00.001Z" {
			t.Errorf("%v", room)
		}
		for _, e := range m["elements"].([]any) {
			if e.(map[string]any)["id"] != fmt.Sprint("e", n) {
				t.Fatalf("element %d out of order", n)
			}
			n++
		}
		if i == 2 {
			if fmt.Sprint(m["chat"]) != "[map[at:1970-01-01T00:00:00.005Z color:#123456 id:m name:N al revision:0 text:hi user_id:al]]" {
				t.Errorf("%v", m["chat"])
			}
			c := m["comments"].([]any)[0].(map[string]any)
			if c["text"] != "" || c["forgotten"] != true || c["resolved_by"] != "al" {
				t.Errorf("%v", c)
			}
			if fmt.Sprint(m["participants"]) != "[map[color:#123456 joined_at:1970-01-01T00:00:00.003Z name:N al role:owner user_id:al] map[color:#123456 name:N bo role:viewer user_id:bo]]" {
				t.Errorf("%v", m["participants"])
			}
		}
	}
	if n != 50 {
		t.Fatalf("%d elements", n)
	}
}

func TestAnEmptyRoomsSnapshotIsOnePart(t *testing.T) {
	s := enc.SnapshotOf(t.Context(), &commands.View{Revision: 1})
	if len(s.Parts) != 1 {
		t.Fatal(len(s.Parts))
	}
	m := parse(t, append(s.AppendHead(nil, 0, "", 0, false), s.Parts[0]...))
	if m["elements"] == nil || m["chat"] == nil || m["more"] != nil {
		t.Fatalf("%v", m)
	}
}

func TestEveryCodeHasAStatus(t *testing.T) {
	for code, s := range statuses {
		if s.title == "" || s.status < 400 {
			t.Errorf("%s: %+v", code, s)
		}
		m := parse(t, AppendProblem(nil, code, `de"tail`, "/x"))
		if m["code"] != string(code) || m["status"] != float64(s.status) || m["detail"] != `de"tail` || m["instance"] != "/x" || m["type"] == "" || m["title"] == "" {
			t.Errorf("%v", m)
		}
	}
	if Status("nonsense") != 500 {
		t.Error("an unknown code is not a 500")
	}
}
