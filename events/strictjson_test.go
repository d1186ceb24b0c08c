package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func object(n int, key func(i int) string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s:%d", key(i), i)
	}
	return b.String() + "}"
}

func lastName(s string) int { return strings.LastIndex(s, `"k`) }

func TestCheckJSONAccepts(t *testing.T) {
	many := func(n int) string { return object(n, func(i int) string { return fmt.Sprintf(`"k%d"`, i) }) }
	for _, s := range []string{
		`0`, `-0`, `-0.0`, `10`, `1.5e308`, `1E+5`, `1e-999`, `0e999`, `0.000000000000000001e320`, strings.Repeat("9", MaxNumberBytes), `1.7976931348623157e308`,
		`""`, `"a"`, `"é😀"`, `"\ud83d\ude00"`, `"\"\\\/\b\f\n\r\t\u00e9"`, `"12345678\"12345678"`, "\"\x7f\u2028\"", `"\ufffd�"`, `"\uD83D\uDE00"`,
		`true`, `false`, `null`, `[]`, `{}`, ` [ 1 , {"a" : [ ] } ] ` + "\r\n\t",
		`{"a":{"a":{"a":1}},"b":{"a":1}}`, `{"":1,"a":2,"A":3}`, `{"proto":1,"__proto":2,"__proto__x":3}`, `{"a":"__proto__"}`,
		many(15), many(16), many(17), many(33), many(2000), `[` + many(20) + `,` + many(20) + `]`,
		`{"o":` + many(40) + `,"k1":` + many(3) + `}`,
		strings.Repeat("[", 32) + strings.Repeat("]", 32), strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32),
	} {
		if err := CheckJSON([]byte(s), 32); err != nil {
			t.Errorf("%.80s: %v", s, err)
		}
		if !json.Valid([]byte(s)) {
			t.Errorf("%.80s: encoding/json disagrees", s)
		}
	}
}

func TestCheckJSONRefuses(t *testing.T) {
	twice := func(n, at int) string {
		return object(n, func(i int) string {
			if i == n-1 {
				i = at
			}
			return fmt.Sprintf(`"k%d"`, i)
		})
	}
	for _, tc := range []struct {
		text   string
		offset int
		reason string
	}{
		{``, 0, ReasonTruncated}, {` `, 1, ReasonTruncated}, {`[1`, 2, ReasonTruncated}, {`{"a"`, 4, ReasonTruncated}, {`{"a":`, 5, ReasonTruncated}, {`"a`, 2, ReasonTruncated},
		{`"\`, 2, ReasonTruncated}, {`"\u00`, 5, ReasonTruncated}, {`tru`, 3, ReasonTruncated}, {`-`, 1, ReasonTruncated}, {`1.`, 2, ReasonTruncated}, {`1e`, 2, ReasonTruncated}, {`1e+`, 3, ReasonTruncated},
		{`1 2`, 2, ReasonSyntax}, {`{}}`, 2, ReasonSyntax}, {`[1,]`, 3, ReasonSyntax}, {`{"a":1,}`, 7, ReasonSyntax}, {`[1 2]`, 3, ReasonSyntax}, {`{"a" 1}`, 5, ReasonSyntax}, {`{1:2}`, 1, ReasonSyntax}, {`{"a":1 "b":2}`, 7, ReasonSyntax},
		{`NaN`, 0, ReasonSyntax}, {`Infinity`, 0, ReasonSyntax}, {`-Infinity`, 1, ReasonSyntax}, {`nul1`, 3, ReasonSyntax}, {`'a'`, 0, ReasonSyntax}, {`+1`, 0, ReasonSyntax}, {`.5`, 0, ReasonSyntax},
		{`01`, 1, ReasonSyntax}, {`-01`, 2, ReasonSyntax}, {`1.e5`, 2, ReasonSyntax}, {`0x10`, 1, ReasonSyntax}, {"\"\n\"", 1, ReasonSyntax}, {"\"12345678\x1f\"", 9, ReasonSyntax}, {`"\x"`, 2, ReasonSyntax}, {`"\u00g0"`, 5, ReasonSyntax}, {`// c`, 0, ReasonSyntax}, {"\ufeff1", 0, ReasonSyntax}, {"\v1", 0, ReasonSyntax},
		{"\"\xff\"", 1, ReasonUTF8}, {"\"12345678\xc3\"", 9, ReasonUTF8}, {"\"\xed\xa0\x80\"", 1, ReasonUTF8}, {"\"\xc0\x80\"", 1, ReasonUTF8}, {"\"\xf4\x90\x80\x80\"", 1, ReasonUTF8}, {"{\"\xff\":1}", 2, ReasonUTF8},
		{`"\ud800"`, 1, ReasonSurrogate}, {`"\udc00"`, 1, ReasonSurrogate}, {`"\ud800x"`, 1, ReasonSurrogate}, {`"\ud800\ud800"`, 1, ReasonSurrogate}, {`"\ud800\n"`, 1, ReasonSurrogate}, {`"\ude00\ud83d"`, 1, ReasonSurrogate}, {`{"\udfff":1}`, 2, ReasonSurrogate},
		{`"\u0000"`, 1, ReasonNUL}, {`{"a\u0000":1}`, 3, ReasonNUL},
		{`{"a":1,"a":2}`, 7, ReasonDuplicate}, {`{"a":1,"b":1,"\u0061":2}`, 13, ReasonDuplicate}, {`{"\/":1,"/":2}`, 8, ReasonDuplicate}, {`{"\ud83d\ude00":1,"😀":2}`, 18, ReasonDuplicate}, {`{"":1,"":2}`, 6, ReasonDuplicate}, {`[{"x":{"a":1,"a":2}}]`, 13, ReasonDuplicate}, {`{"a":{"b":1},"a":2}`, 13, ReasonDuplicate},
		{twice(16, 0), lastName(twice(16, 0)), ReasonDuplicate}, {twice(17, 5), lastName(twice(17, 5)), ReasonDuplicate}, {twice(40, 20), lastName(twice(40, 20)), ReasonDuplicate},
		{`{"__proto__":1}`, 1, ReasonProto}, {`{"\u005f_proto__":1}`, 1, ReasonProto}, {`[{"a":{"__proto__":null}}]`, 7, ReasonProto},
		{strings.Repeat("[", 33), 32, ReasonDepth}, {strings.Repeat(`{"a":`, 33), 160, ReasonDepth}, {strings.Repeat("[", 1_000_000), 32, ReasonDepth},
		{`1e999`, 0, ReasonNumber}, {`-1e999`, 0, ReasonNumber}, {`[1.8e308]`, 1, ReasonNumber}, {`1E+00000309`, 0, ReasonNumber}, {`1e99999999999999999999`, 0, ReasonNumber}, {strings.Repeat("9", MaxNumberBytes+1), 0, ReasonNumber}, {`0.` + strings.Repeat("0", MaxNumberBytes), 0, ReasonNumber},
	} {
		err := CheckJSON([]byte(tc.text), 32)
		var je *JSONError
		if !errors.As(err, &je) {
			t.Errorf("%.80q: error %v", tc.text, err)
			continue
		}
		if je.Reason != tc.reason || je.Offset != tc.offset {
			t.Errorf("%.80q: %s at %d, not %s at %d", tc.text, je.Reason, je.Offset, tc.reason, tc.offset)
		}
		agree(t, []byte(tc.text), 32)
	}
}

// agree checks CheckJSON against encoding/json: they may differ only for reasons that are no grammar, and by invalid UTF-8.
func agree(tb testing.TB, b []byte, depth int) {
	tb.Helper()
	err := CheckJSON(b, depth)
	valid := json.Valid(b)
	if err == nil {
		if !valid {
			tb.Fatalf("%q: encoding/json refuses it", b)
		}
		return
	}
	je := err.(*JSONError)
	if je.Offset < 0 || je.Offset > len(b) {
		tb.Fatalf("%q: %v", b, err)
	}
	if grammar := je.Reason == ReasonSyntax || je.Reason == ReasonTruncated; grammar && valid {
		tb.Fatalf("%q: %v, encoding/json accepts it", b, err)
	}
	lax := checker{b: b, maxDepth: depth}
	if laxErr := lax.all(); (laxErr == nil) != valid && lax.reason != ReasonUTF8 && lax.reason != ReasonDepth {
		tb.Fatalf("%q: without the stricter rules %v, encoding/json %v", b, laxErr, valid)
	}
}

func TestCheckJSONDoesNotAllocate(t *testing.T) {
	doc := mustEncode(t, sampleCommit(t, versioned{ElementAdded, 1}))
	wide := []byte(object(keysOnStack, func(i int) string { return fmt.Sprintf(`"\u006b%d"`, i) }))
	for _, b := range [][]byte{doc, wide, []byte(`[1.5e300,1.7e308,"\ud83d\ude00"]`)} {
		if n := testing.AllocsPerRun(100, func() {
			if err := CheckJSON(b, 32); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%.60s: %v allocations", b, n)
		}
	}
}

// TestCheckJSONManyNames: names that all hash alike, and a frame full of names, cost no more than sorting them.
func TestCheckJSONManyNames(t *testing.T) {
	big := []byte(object(300_000, func(i int) string { return fmt.Sprintf(`"%x"`, i) }))
	if err := CheckJSON(big, 4); err != nil {
		t.Error(err)
	}
	b := []byte(`{"a":1,"bb":2}`)
	x, y := refer(b, 2, 3, false), refer(b, 8, 10, false)
	y.hash = x.hash
	if compareNames(b, x, y) == 0 || compareNames(b, x, x) != 0 {
		t.Error("names of one hash are not told apart")
	}
}

// TestCheckJSONNamesStack: many small objects inside of one with many names don't cost a copy of those each, however many they are.
func TestCheckJSONNamesStack(t *testing.T) {
	small := `{"s":[` + strings.Repeat(`{"a":1},`, 200) + `{}],`
	for n := keysOnStack - 2; n < 8*keysOnStack; n++ {
		outer := object(n, func(i int) string { return fmt.Sprintf(`"k%d"`, i) })
		b := []byte(outer[:len(outer)-1] + `,"o":` + small + outer[1:] + `}`)
		if allocs := testing.AllocsPerRun(1, func() {
			if err := CheckJSON(b, 4); err != nil {
				t.Fatal(err)
			}
		}); allocs > 10 {
			t.Fatalf("%d names outside: %v allocations", n, allocs)
		}
	}
}

func TestCompact(t *testing.T) {
	for _, s := range []string{` { "a b" : [ 1 , 2 ] , "c\" d" : "\\" } `, "\n\t[ ]\r", `"  "`, ``, `1.50`, `"é \u00e9"`, `"unfinished \`} {
		got := Compact([]byte("x"), []byte(s))
		var want bytes.Buffer
		want.WriteByte('x')
		if json.Valid([]byte(s)) {
			if err := json.Compact(&want, []byte(s)); err != nil || string(got) != want.String() {
				t.Errorf("%s: %s, encoding/json %s %v", s, got, &want, err)
			}
		}
	}
}

func TestAppendString(t *testing.T) {
	for r := rune(0); r < 0x3000; r++ {
		sameString(t, "a"+string(r)+"b")
	}
	for _, s := range []string{"", "\xff", "a\xc3", "\xed\xa0\x80x", "😀\u2028", "\ufffd"} {
		sameString(t, s)
	}
}

func sameString(tb testing.TB, s string) {
	tb.Helper()
	want, err := appendJSON(nil, s)
	if err != nil {
		tb.Fatal(err)
	}
	if got := AppendString(nil, s); string(got) != string(want) {
		tb.Errorf("%q: %s, encoding/json %s", s, got, want)
	}
}
