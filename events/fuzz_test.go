package events

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// FuzzDecode: whatever the bytes, with a true sum or not, Decode doesn't panic; what it takes, encoding/json reads the same,
// and it survives being written again.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/golden/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files: %v", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-tailLen])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, payload := range [][]byte{b, reseal(b)} {
			_, _, _, _, _, _, _ = DecodeHeader(payload)
			_, _, _, _ = DecodeDone(payload)
			_, rawErr := DecodeRaw(payload)
			c, err := Decode(payload)
			if err != nil {
				continue
			}
			if rawErr != nil {
				t.Fatalf("DecodeRaw: %v", rawErr)
			}
			checkAgainstOracle(t, payload, c)
			again(t, c)
		}
	})
}

// again encodes a decoded commit once more. Data that is no longer strictly right (twice the same name) can't be written, only read.
func again(t *testing.T, c *Commit) {
	b, err := Encode(c)
	if err != nil {
		return
	}
	d := mustDecode(t, b)
	if second := mustEncode(t, d); !bytes.Equal(b, second) {
		t.Fatalf("not stable:\n%s\n%s", b, second)
	}
}

func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e10,"x\u00e9\ud83d\ude00"],"b":null}`, `{"a":1,"\u0061":2}`, `[[[]]]`, `1e999`, "\"\xff\"", `{"__proto__":1}`, ` [ true , false ] `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		agree(t, b, 20)
		sameString(t, string(b))
		if CheckJSON(b, 20) != nil {
			return
		}
		var want bytes.Buffer
		if err := json.Compact(&want, b); err != nil || !bytes.Equal(Compact(nil, b), want.Bytes()) {
			t.Fatalf("%q: compact %q, encoding/json %q %v", b, Compact(nil, b), &want, err)
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("%q: accepted, but %v", b, err)
		}
	})
}

func FuzzMembers(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":[{}]}`, `{"b":1,"a":2}`, `{"a":1,"\u0061":2}`, `null`, `{}`, `{"":{"x":"\ud800"}}`, ` { "k" : 1 } `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Members
		if err := m.UnmarshalJSON(b); err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(b, &want); err != nil || len(want) != len(m) {
			t.Fatalf("%q: %d members, encoding/json %d: %v", b, len(m), len(want), err)
		}
		for k, raw := range want {
			v, ok := m.Get(k)
			if !ok || string(v) != string(Compact(nil, raw)) {
				t.Fatalf("%q: member %q is %s, encoding/json %s", b, k, v, raw)
			}
		}
		out, err := m.MarshalJSON()
		if err != nil {
			return // a value that CheckJSON refuses
		}
		var n Members
		if err := n.UnmarshalJSON(out); err != nil || len(m) > 0 && !reflect.DeepEqual(m, n) {
			t.Fatalf("%q: again %+v, was %+v: %v", out, n, m, err)
		}
	})
}
