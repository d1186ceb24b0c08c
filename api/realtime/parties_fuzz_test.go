package realtime

import (
	"encoding/json"
	"testing"

	"github.com/infinite-kanvas/kanvas/domain"
)

// FuzzPartiesFrame: whatever a client sends, parsing doesn't panic, and what it lets through can be kept and shown to others as it is.
func FuzzPartiesFrame(f *testing.F) {
	for _, s := range []string{
		`{"type":"image:add","data":` + picture("e", 1, 2, `,"isVideo":true,"a":{"b":[1,null]}`) + `}`,
		`{"type":"image:update","data":` + picture("e", 1, 2, "") + `}`, `{"type":"image:remove","data":{"imageId":"e"}}`,
		`{"type":"cursor:move","data":{"userId":"x","cursor":{"x":1,"y":-2e3}}}`, `{"type":"viewport:change","data":{"x":1,"y":2,"scale":0.5}}`,
		`{"type":"chat:send","data":{"text":"h\u00e9\n"}}`, `{"type":"generation:start","data":{"imageId":"e"}}`,
		` { "data" : {"\u0069d":"e","x":1,"y":1} , "type" : "image:update" } `, `[]`, `{`, ``, `{"type":"image:add","data":null}`,
		`{"type":"image:add","data":{"id":"e","z":"a","type":"video","src":"data:,"}}`,
	} {
		f.Add([]byte(s))
	}
	stored, err := domain.ParseElement([]byte(`{"id":"e","type":"image","x":1,"cropX":0.5,"src":"https://example.com/p.png"}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseParties(b)
		if err != nil {
			return
		}
		for _, v := range [][]byte{m.cursor, m.viewport} {
			if v != nil && !json.Valid(v) {
				t.Fatalf("position %q of %q", v, b)
			}
		}
		if m.kind != "image:add" && m.kind != "image:update" {
			return
		}
		if !domain.ValidElementID(m.id) {
			t.Fatalf("id %q", m.id)
		}
		if el, err := m.elementOf(); err == nil && (el.ID() != m.id || !json.Valid(el.JSON())) {
			t.Fatalf("%s of %q", el.JSON(), b)
		}
		// As an update: taken in, it is what the element shows, and sent again it changes nothing.
		it, x := &item{id: m.id, el: stored}, &partiesPeer{author: 1}
		changes, _ := x.diff(nil, it, m.members)
		for _, c := range changes {
			it.set(c.key, c.value, "a")
		}
		shown := []byte{'{'}
		it.each(func(key string, value []byte) {
			name, err := json.Marshal(key)
			if err != nil {
				t.Fatal(err)
			}
			shown = append(append(append(append(shown, name...), ':'), value...), ',')
		})
		shown[len(shown)-1] = '}'
		if !json.Valid(shown) {
			t.Fatalf("%s shown of %q", shown, b)
		}
		if again, _ := x.diff(nil, it, m.members); len(again) != 0 {
			t.Fatalf("%q changes %d members twice", b, len(again))
		}
	})
}
