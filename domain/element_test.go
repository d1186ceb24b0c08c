package domain

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

func TestElementsAreCanonical(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{` { "type" : "text", "b":1.50, "id":"e", "a":{"z":1, "a" : [1 , "x y"]}, "z":"a1" } `, `{"id":"e","type":"text","z":"a1","a":{"z":1,"a":[1,"x y"]},"b":1.50}`},
		{`{"id":"e","type":"shape"}`, `{"id":"e","type":"shape"}`},
		{`{"type":"shape","id":"\u0065"}`, `{"id":"\u0065","type":"shape"}`},
		{`{"id":"e","type":"shape","k\u0065y":"\u00e4","\u002f":1}`, `{"id":"e","type":"shape","/":1,"key":"\u00e4"}`},
		{`{"id":"e","type":"shape","\u001F":1,"ä":"<&>","\u2028":"` + "\u2028" + `"}`, `{"id":"e","type":"shape","\u001f":1,"ä":"<&>","\u2028":"` + "\u2028" + `"}`},
		{`{"id":"e","type":"shape","":null,"n":-0.0E+1,"deep":[[[]]],"q":"\"\\\""}`, `{"id":"e","type":"shape","":null,"deep":[[[]]],"n":-0.0E+1,"q":"\"\\\""}`},
	} {
		e, err := ParseElement(json.RawMessage(c.in))
		if err != nil || string(e.JSON()) != c.out {
			t.Fatalf("%s: %s, %v; want %s", c.in, e.JSON(), err, c.out)
		}
		again, err := ParseElement(e.JSON())
		if err != nil || string(again.JSON()) != c.out || e.ID() != "e" {
			t.Errorf("again: %s, %v", again.JSON(), err)
		}
	}
}

func TestElementsAreRefused(t *testing.T) {
	long := strings.Repeat("i", MaxElementID+1)
	for _, in := range []string{``, `null`, `[]`, `"e"`, `{}`, `{"id":"e"}`, `{"type":"shape"}`, `{"id":1,"type":"shape"}`, `{"id":"e","type":"cube"}`,
		`{"id":"e","type":7}`, `{"id":"","type":"shape"}`, `{"id":"a/b","type":"shape"}`, `{"id":"..","type":"shape"}`, `{"id":"__proto__","type":"shape"}`,
		`{"id":"ä","type":"shape"}`, `{"id":"` + long + `","type":"shape"}`, `{"id":"e","type":"shape","z":1}`, `{"id":"e","type":"shape","z":"a0"}`,
		`{"id":"e","type":"shape","z":"` + strings.Repeat("z", MaxZ+1) + `"}`, `{"id":"e","type":"shape","x":"1"}`, `{"id":"e","type":"shape","y":null}`,
		`{"id":"e","type":"shape","width":1e999}`, `{"id":"e","type":"image","src":7}`, `{"id":"e","type":"text","text":{}}`, `{"id":"e","type":"shape","__proto__":1}`,
		`{"id":"e","type":"shape","a":{"__proto__":1}}`, `{"id":"e","type":"shape","a":1,"a":2}`, `{"id":"e","type":"shape","a":"\ud800"}`,
		`{"id":"e","type":"shape","a":` + strings.Repeat("[", MaxJSONDepth) + strings.Repeat("]", MaxJSONDepth) + `}`, `{"id":"e","type":"shape"} x`} {
		if e, err := ParseElement(json.RawMessage(in)); codeOf(err) != CodeInvalidCommand {
			t.Errorf("%.80s: %v, %v", in, e, err)
		}
	}
	if _, err := ParseElement(make([]byte, maxRawElement+1)); codeOf(err) != CodeTooLarge {
		t.Errorf("16 MiB: %v", err)
	}
}

func TestWith(t *testing.T) {
	e := element(t, `{"id":"e","type":"shape","z":"a1","b":1,"d":2}`)
	was := string(e.JSON())
	is := e.With(events.Members{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte(`{"n":1}`)}, {Key: "e", Value: []byte("3")}, {Key: "z", Value: []byte(`"b"`)}}, []string{"d", "none"}, 5)
	if got := string(is.JSON()); got != `{"id":"e","type":"shape","z":"b","a":1,"b":{"n":1},"e":3}` || is.Z() != "b" || is.ID() != "e" || is.Type() != "shape" {
		t.Errorf("with: %s, z %s", got, is.Z())
	}
	if string(e.JSON()) != was {
		t.Error("the element was changed")
	}
	for key, rev := range map[string]uint64{"a": 5, "b": 5, "d": 5, "id": 0, "nothing": 0} {
		if got := is.provenanceOf(key).rev; got != rev {
			t.Errorf("%s is of revision %d, want %d", key, got, rev)
		}
	}
	var keys []string
	for k, v := range is.Members {
		if got, ok := is.Get(k); !ok || string(got) != string(v) {
			t.Errorf("%s: %s and %s", k, got, v)
		}
		keys = append(keys, k)
	}
	if !slices.Equal(keys, []string{"id", "type", "z", "a", "b", "e"}) {
		t.Errorf("members %q", keys)
	}
}

func TestUnsetMembersAreRememberedUpToABound(t *testing.T) {
	e := element(t, `{"id":"e","type":"shape"}`)
	for i := range 3 * maxGone {
		e = e.With(nil, []string{fmt.Sprintf("k%03d", (i*7)%(3*maxGone))}, uint64(i+1))
	}
	if len(e.gone) != maxGone || !slices.IsSortedFunc(e.gone, func(a, b tombstone) int { return strings.Compare(a.key, b.key) }) {
		t.Fatalf("%d remembered", len(e.gone))
	}
	for _, g := range e.gone {
		if g.by.rev <= 2*maxGone {
			t.Errorf("%s of revision %d outlived newer ones", g.key, g.by.rev)
		}
	}
}

func TestSameContent(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{`{"id":"e","type":"shape","z":"a1"}`, `{"id":"e","type":"shape"}`, true},
		{`{"id":"e","type":"shape","x":1.0}`, `{"id":"e","type":"shape","x":1}`, true},
		{`{"id":"e","type":"shape","x":1e2}`, `{"type":"shape","x":100,"id":"e","z":"b1"}`, true},
		{`{"id":"e","type":"shape","a":{"p":[1,null,true],"q":"\u0061"}}`, `{"id":"e","type":"shape","a":{"q":"a","p":[1.0,null,true]}}`, true},
		{`{"id":"e","type":"shape","x":1}`, `{"id":"e","type":"shape","x":2}`, false},
		{`{"id":"e","type":"shape","x":1}`, `{"id":"e","type":"shape"}`, false},
		{`{"id":"e","type":"shape"}`, `{"id":"e","type":"shape","x":1}`, false},
		{`{"id":"e","type":"shape","a":[1,2]}`, `{"id":"e","type":"shape","a":[2,1]}`, false},
		{`{"id":"e","type":"shape","a":{"b":null}}`, `{"id":"e","type":"shape","a":{"c":null}}`, false},
		{`{"id":"e","type":"shape","a":null}`, `{"id":"e","type":"shape","a":false}`, false},
		{`{"id":"e","type":"shape"}`, `{"id":"e","type":"path"}`, false},
	} {
		a, b := element(t, "%s", c.a), element(t, "%s", c.b)
		if SameContent(a, b) != c.same || SameContent(b, a) != c.same {
			t.Errorf("%s and %s: want %t", c.a, c.b, c.same)
		}
	}
}

func TestIDs(t *testing.T) {
	for id, ok := range map[string]bool{"a": true, "!~:*": true, "...": true, "": false, ".": false, "..": false, "a b": false, "a\\b": false, "a?": false, "a#": false,
		"a%": false, `a"`: false, "\x7f": false, "é": false, strings.Repeat("x", MaxElementID): true, strings.Repeat("x", MaxElementID+1): false} {
		if ValidElementID(id) != ok {
			t.Errorf("element id %.20q: want %t", id, ok)
		}
	}
	for id, ok := range map[string]bool{"a": true, "A-z_9": true, "": false, "a:b": false, "a.b": false, "a/b": false,
		strings.Repeat("x", MaxRoomID): true, strings.Repeat("x", MaxRoomID+1): false} {
		if ValidRoomID(id) != ok {
			t.Errorf("room id %.20q: want %t", id, ok)
		}
	}
}
