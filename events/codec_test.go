package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// oracle is a commit as encoding/json sees it.
type oracle struct {
	V      int     `json:"v"`
	First  uint64  `json:"first"`
	At     string  `json:"at"`
	Prev   string  `json:"prev"`
	Events []Event `json:"events"`
	Done   []Done  `json:"done"`
	Op     *Part   `json:"op"`
	Sum    string  `json:"sum"`
}

// checkAgainstOracle compares c, decoded from b, with what encoding/json reads, and with the other ways to read b.
func checkAgainstOracle(tb testing.TB, b []byte, c *Commit) {
	tb.Helper()
	var o oracle
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		tb.Fatalf("encoding/json: %v in %s", err, b)
	}
	for i := range c.Events {
		o.Events[i].Payload = c.Events[i].Payload
	}
	want := Commit{First: o.First, At: c.At, Prev: o.Prev, Events: o.Events, Done: o.Done, Part: o.Op, Sum: o.Sum}
	if !reflect.DeepEqual(*c, want) {
		tb.Errorf("decoded %+v, encoding/json %+v", *c, want)
	}
	if at := time.UnixMilli(c.At).UTC().Format(timeLayout); at != o.At || o.V != 1 {
		tb.Errorf("at %s, not %s; version %d", o.At, at, o.V)
	}
	first, last, at, prev, sum, n, err := DecodeHeader(b)
	if err != nil || first != c.First || last != c.Last() || at != c.At || prev != c.Prev || sum != c.Sum || n != len(c.Events) {
		tb.Errorf("header %d %d %d %s %s %d %v", first, last, at, prev, sum, n, err)
	}
	first, last, done, err := DecodeDone(b)
	if err != nil || first != c.First || last != c.Last() || !reflect.DeepEqual(done, c.Done) {
		tb.Errorf("done %d %d %+v %v", first, last, done, err)
	}
	raw, err := DecodeRaw(b)
	if err != nil {
		tb.Fatalf("raw: %v", err)
	}
	for i := range raw.Events {
		if raw.Events[i].Payload != nil {
			tb.Errorf("event %d has a payload", i)
		}
		raw.Events[i].Payload = c.Events[i].Payload
	}
	if !reflect.DeepEqual(raw, c) {
		tb.Errorf("raw %+v, decoded %+v", raw, c)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, v := range allVersions() {
		sample := sampleCommit(t, v)
		b := mustEncode(t, sample)
		if err := CheckJSON(b, 64); err != nil {
			t.Errorf("%s: %v", b, err)
		}
		c := mustDecode(t, b)
		checkAgainstOracle(t, b, c)
		for i := range sample.Events {
			if old, ok := sampleOld[v]; ok {
				sample.Events[i].Payload = old[i].now
			}
		}
		if !reflect.DeepEqual(sample, c) {
			t.Errorf("decoded %+v, encoded was %+v", c, sample)
		}
	}
}

func TestRoundTripOfOddText(t *testing.T) {
	odd := "a\"\\\x00\b\f\n\r\t\x1f\x7f<>&\u2028\u2029é😀"
	c := &Commit{First: 2, Prev: sampleSum, At: 0, Part: &Part{Op: odd, Part: 2, Of: 2}, Done: []Done{{User: odd, Client: odd, Key: odd, Hash: odd, Dropped: []string{odd, ""}}},
		Events: []Event{
			{ID: odd, Type: ElementPatched, Actor: odd, Client: odd, Cause: Cause(odd), Payload: &ElementPatchedData{ID: odd, Set: Members{{odd, json.RawMessage(`1`)}}, Unset: []string{odd}}},
			{ID: odd, Type: ElementRemoved, Actor: odd, Payload: &ElementRemovedData{IDs: []string{odd}}},
			{ID: odd, Type: RoomCreated, Actor: odd, Payload: &RoomCreatedData{Name: odd}},
		}}
	again := func() {
		t.Helper()
		b := mustEncode(t, c)
		got := mustDecode(t, b)
		checkAgainstOracle(t, b, got)
		if !reflect.DeepEqual(c, got) {
			t.Errorf("decoded %+v, encoded was %+v", got, c)
		}
	}
	again()
	c.Part = &Part{Op: odd, Part: 1, Of: 2, Rest: &Rest{Cause: CauseRestore, Revision: 7, Done: Done{User: odd, Client: odd, Seq: 3, First: 2}}}
	again()
	c.Part.Rest = &Rest{Cause: CauseUndo, Done: Done{User: odd, Key: odd, Hash: odd, First: 2}}
	again()
}

// TestHotTypesLikeEncodingJSON: what is written by hand is what encoding/json writes.
func TestHotTypesLikeEncodingJSON(t *testing.T) {
	for _, typ := range []Type{ElementAdded, ElementPatched, ElementRemoved} {
		for _, p := range samplePayloads[typ] {
			got, err := registry[typ].append([]byte("x"), p)
			if err != nil {
				t.Fatal(err)
			}
			want, err := appendJSON([]byte("x"), p)
			if err != nil || string(got) != string(want) {
				t.Errorf("%s, encoding/json: %s %v", got, want, err)
			}
			s := scanner{b: got[1:]}
			scanned, ok := registry[typ].scan(&s)
			if !ok || s.i != len(s.b) || !reflect.DeepEqual(scanned, p) {
				t.Errorf("%s: scanned %+v %v", got, scanned, ok)
			}
			parsed, err := registry[typ].decode(got[1:])
			if err != nil || !reflect.DeepEqual(parsed, p) {
				t.Errorf("%s: encoding/json %+v %v", got, parsed, err)
			}
		}
	}
}

// TestEncodeRefuses: what breaks an invariant isn't written, and the commit stays as it was.
func TestEncodeRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(c *Commit)
		want   error
	}{
		"no events":            {func(c *Commit) { c.Events = nil }, ErrFormat},
		"revision 0":           {func(c *Commit) { c.First = 0 }, ErrFormat},
		"revision too high":    {func(c *Commit) { c.First = maxRevision }, ErrFormat},
		"time before 1970":     {func(c *Commit) { c.At = -1 }, ErrFormat},
		"time after 9999":      {func(c *Commit) { c.At = maxAt + 1 }, ErrFormat},
		"prev of the first":    {func(c *Commit) { c.First = 1 }, ErrFormat},
		"no prev":              {func(c *Commit) { c.Prev = "" }, ErrFormat},
		"prev is no sum":       {func(c *Commit) { c.Prev = strings.ToUpper(sampleSum) }, ErrFormat},
		"part 4 of 3":          {func(c *Commit) { c.Part.Part = 4 }, ErrFormat},
		"part 0":               {func(c *Commit) { c.Part.Part = 0 }, ErrFormat},
		"no op":                {func(c *Commit) { c.Part.Op = "" }, ErrFormat},
		"done past the end":    {func(c *Commit) { c.Done[0].Last = maxRevision + 1 }, ErrFormat},
		"no event id":          {func(c *Commit) { c.Events[0].ID = "" }, ErrFormat},
		"unknown type":         {func(c *Commit) { c.Events[2].Type = "element.polished" }, ErrUnknownType},
		"payload of another":   {func(c *Commit) { c.Events[1].Payload = &RoomDeletedData{} }, ErrFormat},
		"payload not pointer":  {func(c *Commit) { c.Events[1].Payload = ElementPatchedData{ID: "x"} }, ErrFormat},
		"nil payload":          {func(c *Commit) { c.Events[1].Payload = (*ElementPatchedData)(nil) }, ErrFormat},
		"no payload, no data":  {func(c *Commit) { c.Events[1].Payload = nil }, ErrFormat},
		"data of a newer":      {func(c *Commit) { rawEvent(c, 2, `{"id":"a"}`) }, ErrVersion},
		"data of version 0":    {func(c *Commit) { rawEvent(c, 0, `{"id":"a"}`) }, ErrVersion},
		"data of another form": {func(c *Commit) { rawEvent(c, 1, `{"id":1}`) }, ErrFormat},
		"data no object":       {func(c *Commit) { rawEvent(c, 1, `null`) }, ErrFormat},
		"data twice":           {func(c *Commit) { rawEvent(c, 1, `{"id":"a"},"cont":true,"data":{"id":"b"}`) }, ErrFormat},
		"value no JSON":        {func(c *Commit) { setValue(c, `1}`) }, ErrFormat},
		"value missing":        {func(c *Commit) { setValue(c, ``) }, ErrFormat},
		"value overflows":      {func(c *Commit) { setValue(c, `1e999`) }, ErrFormat},
		"member twice": {func(c *Commit) {
			c.Events[1].Payload = &ElementPatchedData{Set: Members{{"a", json.RawMessage(`1`)}, {"a", json.RawMessage(`2`)}}}
		}, ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			c := sampleCommit(t, versioned{ElementPatched, 1})
			tc.change(c)
			before := *c
			before.Events = append([]Event(nil), c.Events...)
			b, err := Encode(c)
			if b != nil || !errors.Is(err, tc.want) {
				t.Errorf("%s, error %v", b, err)
			}
			if !reflect.DeepEqual(*c, before) {
				t.Errorf("commit was changed: %+v", *c)
			}
		})
	}
}

func rawEvent(c *Commit, v int, data string) {
	c.Events[1].Payload, c.Events[1].V, c.Events[1].Data = nil, v, json.RawMessage(data)
}

func setValue(c *Commit, value string) {
	c.Events[1].Payload = &ElementPatchedData{ID: "a", Set: Members{{"k", json.RawMessage(value)}}}
}

// reseal gives a text (a commit without sum and closing brace) a true sum.
func reseal(body []byte) []byte {
	var prev []byte
	if _, after, ok := bytes.Cut(body, []byte(`"prev":"`)); ok {
		prev, _, _ = bytes.Cut(after, []byte(`"`))
	}
	return appendSum(bytes.Clone(body), string(prev[:min(len(prev), sumHexLen)]))
}

// TestDecodeRefuses: a true sum alone makes no commit.
func TestDecodeRefuses(t *testing.T) {
	const event = `{"id":"e1","type":"element.removed","v":2,"actor":"u","data":{"ids":["a"]}}`
	commit := func(head, events, rest string) string {
		return head + `"at":"2026-01-01T00:00:00.000Z","prev":"","events":` + events + rest
	}
	const head = `{"v":1,"first":1,`
	if _, err := Decode(reseal([]byte(commit(head, "["+event+"]", "")))); err != nil {
		t.Fatalf("the sound one: %v", err)
	}
	edit := func(old, new string) string { return commit(head, "["+strings.Replace(event, old, new, 1)+"]", "") }
	for name, tc := range map[string]struct {
		body string
		want error
	}{
		"empty":               {``, ErrFormat},
		"commit of a newer":   {commit(`{"v":2,"first":1,`, "["+event+"]", ""), ErrVersion},
		"no version":          {commit(`{"first":1,`, "["+event+"]", ""), ErrFormat},
		"first 0":             {commit(`{"v":1,"first":0,`, "["+event+"]", ""), ErrFormat},
		"first 01":            {commit(`{"v":1,"first":01,`, "["+event+"]", ""), ErrFormat},
		"first too long":      {commit(`{"v":1,"first":99999999999999999999999,`, "["+event+"]", ""), ErrFormat},
		"no prev":             {commit(`{"v":1,"first":2,`, "["+event+"]", ""), ErrFormat},
		"no such day":         {strings.Replace(commit(head, "["+event+"]", ""), "01-01", "02-30", 1), ErrFormat},
		"day of letters":      {strings.Replace(commit(head, "["+event+"]", ""), "01-01", "0a-01", 1), ErrFormat},
		"no events":           {commit(head, "[]", ""), ErrFormat},
		"events open":         {commit(head, "["+event, ""), ErrFormat},
		"events with comma":   {commit(head, "["+event+",]", ""), ErrFormat},
		"more after":          {commit(head, "["+event+"]", `,"x":1`), ErrFormat},
		"done empty":          {commit(head, "["+event+"]", `,"done":[]`), ErrFormat},
		"done odd":            {commit(head, "["+event+"]", `,"done":[{"user":1}]`), ErrFormat},
		"op before done":      {commit(head, "["+event+"]", `,"op":{"op":"x","part":1,"of":1},"done":[{"user":"u","first":1,"last":1}]`), ErrFormat},
		"rest on the last":    {commit(head, "["+event+"]", `,"op":{"op":"x","part":1,"of":1,"rest":{"cause":"undo","done":{"user":"u","first":1,"last":0}}}`), ErrFormat},
		"rest without done":   {commit(head, "["+event+"]", `,"op":{"op":"x","part":1,"of":2,"rest":{"cause":"undo"}}`), ErrFormat},
		"rest odd":            {commit(head, "["+event+"]", `,"op":{"op":"x","part":1,"of":2,"rest":{"cause":"undo","revision":-1,"done":{"user":"u","first":1,"last":0}}}`), ErrFormat},
		"op odd":              {commit(head, "["+event+"]", `,"op":{"op":"x","part":2,"of":1}`), ErrFormat},
		"white space":         {edit(`"v":2`, `"v": 2`), ErrFormat},
		"white space in data": {edit(`["a"]`, `[ "a"]`), ErrFormat},
		"unknown member":      {edit(`"actor"`, `"new":1,"actor"`), ErrFormat},
		"no id":               {edit(`"e1"`, `""`), ErrFormat},
		"data missing":        {edit(`,"data":{"ids":["a"]}`, ``), ErrFormat},
		"data no object":      {edit(`{"ids":["a"]}`, `["ids"]`), ErrFormat},
		"data of odd type":    {edit(`{"ids":["a"]}`, `{"ids":7}`), ErrFormat},
		"data no JSON":        {edit(`["a"]`, `[a]`), ErrFormat},
		"data in bad UTF-8":   {edit(`["a"]`, "[\"\xff\"]"), ErrFormat},
		"data too deep":       {edit(`["a"]`, strings.Repeat("[", 1000)+strings.Repeat("]", 1000)), ErrFormat},
		"type of a newer":     {edit(`"v":2`, `"v":3`), ErrVersion},
		"type version 0":      {edit(`"v":2`, `"v":0`), ErrVersion},
		"version 1 without":   {edit(`"v":2`, `"v":1`), ErrFormat},
		"unknown type":        {edit(`element.removed`, `element.polished`), ErrUnknownType},
		"cont false":          {edit(`"actor":"u"`, `"actor":"u","cont":false`), ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := Decode(reseal([]byte(tc.body))); c != nil || !errors.Is(err, tc.want) {
				t.Errorf("%+v, error %v", c, err)
			}
		})
	}
	raw, err := DecodeRaw(reseal([]byte(edit(`element.removed`, `element.polished`))))
	if err != nil || raw.Events[0].Type != "element.polished" || string(raw.Events[0].Data) != `{"ids":["a"]}` {
		t.Errorf("unknown type, raw: %+v %v", raw, err)
	}
}

func TestEncodeSetsVersionOfPayload(t *testing.T) {
	old := sampleCommit(t, versioned{ElementRemoved, 1})
	c := mustDecode(t, mustEncode(t, old)) // version 1 with a version 2 payload
	b := mustEncode(t, c)
	if e := c.Events[0]; e.V != 2 || string(e.Data) != `{"ids":["el-1"]}` || !bytes.Contains(b, []byte(`"v":2,"actor"`)) {
		t.Errorf("event %+v in %s", e, b)
	}
}

// TestEncodeCompactsRaw: raw JSON with white space is stored without, and Members in order.
func TestEncodeCompactsRaw(t *testing.T) {
	c := &Commit{First: 1, Events: []Event{
		{ID: "1", Type: ElementAdded, Payload: &ElementAddedData{Element: json.RawMessage(" {\"a\" : [ 1 , \" x \" ] }\n")}},
		{ID: "2", Type: ElementPatched, Payload: &ElementPatchedData{ID: "e", Set: Members{{"b", json.RawMessage(` [ ]`)}, {"a", json.RawMessage(`1`)}}}},
		{ID: "3", Type: RoomDeleted, V: 1, Data: json.RawMessage(" {\t} ")},
	}}
	got := mustDecode(t, mustEncode(t, c))
	for i, want := range []string{`{"element":{"a":[1," x "]}}`, `{"id":"e","set":{"a":1,"b":[]}}`, `{}`} {
		if data := string(got.Events[i].Data); data != want {
			t.Errorf("event %d: %s", i, data)
		}
	}
}

func TestDataCannotBeAppendedTo(t *testing.T) {
	b := mustEncode(t, sampleCommit(t, versioned{ElementPatched, 1}))
	before := string(b)
	c := mustDecode(t, b)
	p := c.Events[0].Payload.(*ElementPatchedData)
	_ = append(c.Events[0].Data, "xxxx"...)
	_ = append(p.Set[0].Value, "xxxx"...)
	if string(b) != before {
		t.Error("appending to parts of a commit overwrote its bytes")
	}
}

func TestVerifyLink(t *testing.T) {
	a := &Commit{First: 1, At: 100, Events: []Event{{ID: "1", Type: RoomDeleted, Payload: &RoomDeletedData{}}, {ID: "2", Type: RoomDeleted, Payload: &RoomDeletedData{}}}}
	mustEncode(t, a)
	next := func(change func(*Commit)) *Commit {
		c := &Commit{First: 3, At: 100, Prev: a.Sum, Events: []Event{{ID: "3", Type: RoomDeleted, Payload: &RoomDeletedData{}}}}
		change(c)
		mustEncode(t, c)
		return c
	}
	if err := VerifyLink(nil, a); err != nil {
		t.Error(err)
	}
	if err := VerifyLink(a, next(func(*Commit) {})); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]*Commit{
		"gap":       next(func(c *Commit) { c.First = 4 }),
		"overlap":   next(func(c *Commit) { c.First = 2 }),
		"other sum": next(func(c *Commit) { c.Prev = sampleSum }),
		"backwards": next(func(c *Commit) { c.At = 99 }),
	} {
		if err := VerifyLink(a, c); !errors.Is(err, ErrLink) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := VerifyLink(nil, next(func(*Commit) {})); !errors.Is(err, ErrLink) {
		t.Errorf("no commit before: %v", err)
	}
}

func TestTime(t *testing.T) {
	for _, ms := range []int64{0, 1, 999, 1000, sampleAt, 951782400000 /* 2000-02-29 */, 4107542400000, maxAt} {
		b := AppendTime(nil, ms)
		if want := time.UnixMilli(ms).UTC().Format(timeLayout); string(b) != want {
			t.Errorf("%d: %s, not %s", ms, b, want)
		}
		if got, ok := parseTime(b); !ok || got != ms {
			t.Errorf("%s: %d %v", b, got, ok)
		}
	}
	for _, s := range []string{"", "2026-01-01T00:00:00.000+", "2026-02-29T00:00:00.000Z", "2026-01-01T24:00:00.000Z", "2026-01-01T00:60:00.000Z", "1969-12-31T23:59:59.999Z", "2026-1-001T00:00:00.000Z", "2026-01-01 00:00:00.000Z"} {
		if ms, ok := parseTime([]byte(s)); ok {
			t.Errorf("%s: %d", s, ms)
		}
	}
}

func TestRegistry(t *testing.T) {
	if !Known(ElementPatched) || Known("element.polished") || CurrentVersion("element.polished") != 0 || CurrentVersion(ElementRemoved) != 2 || CurrentVersion(ElementAdded) != 1 {
		t.Error("versions")
	}
	if _, err := DecodePayload("element.polished", 1, json.RawMessage(`{}`)); !errors.Is(err, ErrUnknownType) {
		t.Error(err)
	}
	for _, v := range []int{-1, 0, 3} {
		if _, err := DecodePayload(ElementRemoved, v, json.RawMessage(`{"ids":["a"]}`)); !errors.Is(err, ErrVersion) {
			t.Errorf("version %d: %v", v, err)
		}
	}
	p, err := DecodePayload(ElementRemoved, 1, json.RawMessage(`{"id":"\u0061\"b"}`))
	if err != nil || !reflect.DeepEqual(p, &ElementRemovedData{IDs: []string{`a"b`}}) {
		t.Errorf("%+v %v", p, err)
	}
	// Not canonical: read by encoding/json.
	p, err = DecodePayload(ElementPatched, 1, json.RawMessage(`{"set":{"b":[1, 2],"a":1},"new":1,"id":"e"}`))
	if err != nil || fmt.Sprint(p) != fmt.Sprint(&ElementPatchedData{ID: "e", Set: Members{{"a", json.RawMessage(`1`)}, {"b", json.RawMessage(`[1,2]`)}}}) {
		t.Errorf("%+v %v", p, err)
	}
}

// TestDecodePatchedOutOfOrder: Members of a payload are sorted and unique, whoever wrote them.
func TestDecodePatchedOutOfOrder(t *testing.T) {
	p, err := DecodePayload(ElementPatched, 1, json.RawMessage(`{"id":"e","set":{"b":2,"a":1}}`))
	if err != nil || !reflect.DeepEqual(p, &ElementPatchedData{ID: "e", Set: Members{{"a", json.RawMessage(`1`)}, {"b", json.RawMessage(`2`)}}}) {
		t.Errorf("%+v %v", p, err)
	}
	for _, set := range []string{`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"b":1,"a":1,"b":2}`} {
		if p, err := DecodePayload(ElementPatched, 1, json.RawMessage(`{"id":"e","set":`+set+`}`)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %+v %v", set, p, err)
		}
	}
}

// TestDecodeHeaderRefuses: the header isn't verified, but what it gives is in form.
func TestDecodeHeaderRefuses(t *testing.T) {
	b := string(mustEncode(t, sampleCommit(t, versioned{ElementPatched, 1})))
	for _, bad := range []string{
		strings.Replace(b, `"prev":"0123`, `"prev":"012X`, 1),
		strings.Replace(b, `"prev":"0123`, `"prev":"012`, 1),
		strings.Replace(b, `"first":42`, `"first":1`, 1),
		strings.Replace(b, `"first":42`, `"first":9007199254740991`, 1),
		b[:len(b)-3] + `X"}`,
		b[:len(b)-1] + ` `,
		b[:strings.Index(b, `[`)+1] + `]` + b[len(b)-tailLen:],
		b[:strings.Index(b, `[`)+1] + b[len(b)-tailLen:],
	} {
		if first, _, _, _, _, n, err := DecodeHeader([]byte(bad)); !errors.Is(err, ErrFormat) || first != 0 || n != 0 {
			t.Errorf("%s: %d %d %v", bad, first, n, err)
		}
	}
}
