package api

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/domain"
)

func TestCommandsAreAllOrNothing(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	a := w.call("POST", room+"/commands", ada.token, commandsBody(addText("a", "one"), addText("b", "two"),
		cmd{"command": "element.patch", "data": cmd{"id": "a", "set": cmd{"x": 1.5}}})).ok(200)
	list := a.list("events")
	if len(list) != 3 || a.num("revision") != uint64(list[2].(cmd)["revision"].(float64)) || a.header.Get("Kanvas-Revision") != fmt.Sprint(a.num("revision")) {
		t.Fatalf("%s", a.body)
	}
	first := list[0].(cmd)
	if actor := first["actor"].(cmd); first["type"] != "element.added" || actor["id"] != ada.id || actor["name"] != "Ada" {
		t.Errorf("%v", first)
	}
	before := w.call("GET", room+"/canvas", ada.token, nil).ok(200)
	w.call("POST", room+"/commands", ada.token, commandsBody(addText("c", "three"), addText("a", "another a"))).refused(409, "conflict")
	if after := w.call("GET", room+"/canvas", ada.token, nil).ok(200); string(after.body) != string(before.body) {
		t.Errorf("half of a refused list was stored: %s", after.body)
	}
	gone := w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "element.remove", "data": cmd{"ids": []string{"b", "never"}}})).ok(200)
	if d := gone.list("dropped"); len(d) != 1 || d[0] != "never" {
		t.Errorf("%s", gone.body)
	}
	if nothing := w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "element.remove", "data": cmd{"id": "b"}})).ok(200); nothing.num("revision") != gone.num("revision") || len(nothing.list("events")) != 0 {
		t.Errorf("%s", nothing.body)
	}
	w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "undo"})).ok(200)
}

func TestFirstEntryJoinsAndTheAnswerHoldsJustTheCommands(t *testing.T) {
	w := newWorld(t)
	ada, bob, eve := w.guest("Ada"), w.guest("Bob"), w.guest("Eve")
	room := w.room(ada, "r1", "public")
	a := w.call("POST", room+"/commands", bob.token, commandsBody(addText("a", "x"))).ok(200)
	if l := a.list("events"); len(l) != 1 || l[0].(cmd)["type"] != "element.added" {
		t.Errorf("%s", a.body)
	}
	// Under If-Match the entry doesn't count as a move of the room.
	head := a.num("revision")
	b := w.call("POST", room+"/commands", eve.token, commandsBody(addText("b", "x")), "If-Match", fmt.Sprintf(`"%d"`, head)).ok(200)
	w.call("POST", room+"/commands", eve.token, commandsBody(addText("c", "x")), "If-Match", fmt.Sprintf(`"%d"`, b.num("revision"))).ok(200)
	var joined []any
	for _, e := range w.call("GET", room+"/events", ada.token, nil).ok(200).list("events") {
		if e.(cmd)["type"] == "participant.joined" {
			joined = append(joined, e.(cmd)["data"].(cmd)["user_id"])
		}
	}
	if fmt.Sprint(joined) != fmt.Sprint([]any{bob.id, eve.id}) && fmt.Sprint(joined) != fmt.Sprint([]any{ada.id, bob.id, eve.id}) {
		t.Errorf("joined: %v", joined)
	}
}

func TestIfMatch(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	a := w.call("POST", room+"/commands", ada.token, commandsBody(addText("a", "x"))).ok(200)
	head := fmt.Sprintf(`"%d"`, a.num("revision"))
	w.call("POST", room+"/commands", ada.token, commandsBody(addText("b", "x")), "If-Match", head).ok(200)
	w.call("POST", room+"/commands", ada.token, commandsBody(addText("c", "x")), "If-Match", head).refused(409, "revision_conflict")
	w.call("POST", room+"/commands", ada.token, commandsBody(addText("c", "x")), "If-Match", "*").ok(200)
	for _, bad := range []string{"1", `"x"`, `"-1"`, `"1`, `""`, `W/"1"`, `"1","2"`, `"99999999999999999999"`} {
		w.call("POST", room+"/commands", ada.token, commandsBody(addText("d", "x")), "If-Match", bad).refused(400, "bad_request")
	}
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	room := w.room(ada, "r1", "public")
	body := commandsBody(addText("a", "x"), cmd{"command": "element.remove", "data": cmd{"ids": []string{"never"}}})
	first := w.call("POST", room+"/commands", ada.token, body, "Idempotency-Key", "k1").ok(200)
	w.call("POST", room+"/commands", ada.token, commandsBody(addText("b", "x"))).ok(200)
	again := w.call("POST", room+"/commands", ada.token, body, "Idempotency-Key", "k1").ok(200)
	if string(first.body) != string(again.body) {
		t.Errorf("another answer:\n%s\n%s", first.body, again.body)
	}
	w.call("POST", room+"/commands", ada.token, commandsBody(addText("c", "x")), "Idempotency-Key", "k1").refused(422, "idempotency_mismatch")
	w.call("POST", room+"/commands", bob.token, commandsBody(addText("c", "x")), "Idempotency-Key", "k1").ok(200) // a key is of one person
	// The same bytes are the same element, so a plain repetition shows nothing; a chat message would double.
	chat := commandsBody(cmd{"command": "chat.post", "data": cmd{"text": "once"}})
	for range 3 {
		w.call("POST", room+"/commands", ada.token, chat, "Idempotency-Key", "k2").ok(200)
	}
	n := 0
	for _, e := range w.call("GET", room+"/events", ada.token, nil).ok(200).list("events") {
		if e.(cmd)["type"] == "chat.posted" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d messages", n)
	}
	// Only successes are remembered.
	w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "redo"}), "Idempotency-Key", "k3").refused(409, "nothing_to_undo")
	w.call("POST", room+"/commands", ada.token, chat, "Idempotency-Key", "k3").ok(200)
	w.call("POST", room+"/commands", ada.token, chat, "Idempotency-Key", strings.Repeat("k", domain.MaxIdempotencyKey)).ok(200)
	for _, bad := range []string{strings.Repeat("k", domain.MaxIdempotencyKey+1), "a b", "ü"} {
		w.call("POST", room+"/commands", ada.token, chat, "Idempotency-Key", bad).refused(400, "bad_request")
	}
}

// badBodies are what "What bad input gets" lists, as bodies of commands.
var badBodies = map[string]string{
	"empty":                 "",
	"white space":           "  \n",
	"not JSON":              "commands",
	"cut":                   `{"commands":[{"command":"undo","da`,
	"two values":            `{"commands":[]}{"commands":[]}`,
	"an array":              `[]`,
	"null":                  `null`,
	"a number":              `1`,
	"no member":             `{}`,
	"unknown member":        `{"commands":[{"command":"undo","data":{}}],"more":1}`,
	"other case":            `{"Commands":[{"command":"undo","data":{}}]}`,
	"null list":             `{"commands":null}`,
	"list of another type":  `{"commands":{"command":"undo"}}`,
	"empty list":            `{"commands":[]}`,
	"number in list":        `{"commands":[1]}`,
	"unknown command":       `{"commands":[{"command":"room.create","data":{}}]}`,
	"internal command":      `{"commands":[{"command":"room.checkpoint","data":{}}]}`,
	"no command":            `{"commands":[{"data":{}}]}`,
	"data of another type":  `{"commands":[{"command":"element.add","data":[]}]}`,
	"NaN":                   `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"text","x":NaN}}}]}`,
	"1e999":                 `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"text","x":1e999}}}]}`,
	"-Infinity":             `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"text","x":-Infinity}}}]}`,
	"long number":           `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"text","x":1` + strings.Repeat("0", 100) + `}}}]}`,
	"lone surrogate":        `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"text","text":"\ud800"}}}]}`,
	"NUL":                   `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"text","text":"\u0000"}}}]}`,
	"bad UTF-8":             "{\"commands\":[{\"command\":\"element.add\",\"data\":{\"element\":{\"id\":\"x\",\"type\":\"text\",\"text\":\"\xff\"}}}]}",
	"__proto__":             `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"text","__proto__":{}}}}]}`,
	"escaped __proto__":     `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"text","\u005f_proto__":{}}}}]}`,
	"id __proto__":          `{"commands":[{"command":"element.add","data":{"element":{"id":"__proto__","type":"text"}}}]}`,
	"id ..":                 `{"commands":[{"command":"element.add","data":{"element":{"id":"..","type":"text"}}}]}`,
	"id with /":             `{"commands":[{"command":"element.add","data":{"element":{"id":"a/b","type":"text"}}}]}`,
	"empty id":              `{"commands":[{"command":"element.add","data":{"element":{"id":"","type":"text"}}}]}`,
	"long id":               `{"commands":[{"command":"element.add","data":{"element":{"id":"` + strings.Repeat("x", 129) + `","type":"text"}}}]}`,
	"unknown type":          `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"script"}}}]}`,
	"duplicate member":      `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"text","id":"y"}}}]}`,
	"duplicate ids":         `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"text","text":"1"}}},{"command":"element.add","data":{"element":{"id":"x","type":"text","text":"2"}}}]}`,
	"deep":                  `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"text","d":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}}]}`,
	"very deep":             strings.Repeat("[", 1_000_000),
	"huge element":          `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"text","text":"` + strings.Repeat("x", domain.MaxElementBytes) + `"}}}]}`,
	"huge chat":             `{"commands":[{"command":"chat.post","data":{"text":"` + strings.Repeat("x", domain.MaxChatText+1) + `"}}]}`,
	"svg":                   `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"image","src":"data:image/svg+xml;base64,PHN2Zy8+"}}}]}`,
	"html as png":           `{"commands":[{"command":"element.add","data":{"element":{"id":"x","type":"image","src":"data:image/png;base64,PGh0bWw+"}}}]}`,
	"too many commands":     `{"commands":[` + strings.Repeat(`{"command":"undo","data":{}},`, domain.MaxCommandsPerList) + `{"command":"undo","data":{}}]}`,
	"set of z":              `{"commands":[{"command":"element.patch","data":{"id":"there","set":{"z":"a"}}}]}`,
	"set of id":             `{"commands":[{"command":"element.patch","data":{"id":"there","set":{"id":"other"}}}]}`,
	"huge role":             `{"commands":[{"command":"participant.set_role","data":{"user_id":"u","role":"root"}}]}`,
	"restore of the future": `{"commands":[{"command":"canvas.restore","data":{"revision":99999}}]}`,
}

func TestBadBodiesAreRefusedWholeAndStoreNothing(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	w.call("POST", room+"/commands", ada.token, commandsBody(addText("there", "x"))).ok(200)
	before := w.call("GET", room+"/events?limit=1000", ada.token, nil).ok(200)
	for name, body := range badBodies {
		a := w.call("POST", room+"/commands", ada.token, body)
		if a.status < 400 || a.status >= 500 || a.json()["code"] == "internal" || a.json()["detail"] == "" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", name, a.header.Get("Content-Type"))
		}
	}
	if after := w.call("GET", room+"/events?limit=1000", ada.token, nil).ok(200); string(after.body) != string(before.body) {
		t.Errorf("something was stored: %s", after.body)
	}
	if strings.Contains(w.logs.String(), "http_error") {
		t.Error("a bad body was logged as an error of ours")
	}
}

func TestBadBodiesOfOtherRoutes(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	long := strings.Repeat("x", 300)
	for _, x := range []struct {
		method, path string
		body         any
		status       int
		code         string
	}{
		{"POST", "/v1/guests", "{", 400, "bad_request"},
		{"POST", "/v1/guests", cmd{}, 400, "bad_request"},
		{"POST", "/v1/guests", cmd{"name": ""}, 400, "bad_request"},
		{"POST", "/v1/guests", cmd{"name": " \t"}, 400, "bad_request"},
		{"POST", "/v1/guests", cmd{"name": "a\nb"}, 400, "bad_request"},
		{"POST", "/v1/guests", cmd{"name": 7}, 400, "bad_request"},
		{"POST", "/v1/guests", cmd{"name": nil}, 400, "bad_request"},
		{"POST", "/v1/guests", cmd{"name": "x", "id": "somebody"}, 400, "bad_request"},
		{"POST", "/v1/guests", cmd{"name": strings.Repeat("x", domain.MaxPersonName+1)}, 413, "too_large"},
		{"POST", "/v1/guests", cmd{"name": strings.Repeat("x", maxBody)}, 413, "too_large"},
		{"POST", "/v1/guests", `{"name":"\ud800"}`, 400, "bad_request"},
		{"POST", "/v1/rooms", cmd{"visibility": "public"}, 400, "bad_request"},
		{"POST", "/v1/rooms", cmd{"name": "x"}, 400, "bad_request"},
		{"POST", "/v1/rooms", cmd{"name": "x", "visibility": "public", "id": "../x"}, 400, "bad_request"},
		{"POST", "/v1/rooms", cmd{"name": "x", "visibility": "public", "id": ""}, 400, "bad_request"},
		{"POST", "/v1/rooms", cmd{"name": "x", "visibility": "public", "id": strings.Repeat("x", 65)}, 400, "bad_request"},
		{"POST", "/v1/rooms", cmd{"name": "x", "visibility": "public", "id": 5}, 400, "bad_request"},
		{"POST", "/v1/rooms", cmd{"name": "x", "visibility": "public", "from": cmd{"room_id": "r1"}}, 400, "bad_request"}, // a fork must not come out empty
		{"PATCH", room, cmd{"nmae": "x"}, 400, "bad_request"},
		{"PATCH", room, cmd{"name": nil}, 400, "bad_request"},
		{"PATCH", room, "[]", 400, "bad_request"},
	} {
		w.call(x.method, x.path, ada.token, x.body).refused(x.status, x.code)
	}
	for _, x := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/v1/rooms", cmd{"name": long, "visibility": "public"}},
		{"POST", "/v1/rooms", cmd{"name": "x", "visibility": "everybody"}},
		{"POST", "/v1/rooms", cmd{"name": "x", "visibility": "public", "default_role": "owner"}},
		{"POST", "/v1/rooms", cmd{"name": "x", "visibility": "public", "description": strings.Repeat("x", domain.MaxDescription+1)}},
		{"PATCH", room, cmd{"name": long}},
		{"PATCH", room, cmd{"visibility": ""}},
	} {
		if a := w.call(x.method, x.path, ada.token, x.body); a.status < 400 || a.status >= 500 {
			t.Errorf("%s %s %v: %d %s", x.method, x.path, x.body, a.status, a.body)
		}
	}
	if a := w.call("GET", room, ada.token, nil).ok(200); a.num("revision") > 2 {
		t.Errorf("something was stored: %s", a.body)
	}
}

func TestBodySizesFollowTheRole(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	room := w.room(ada, "r1", "public")
	w.call("PUT", room+"/participants/"+bob.id, ada.token, cmd{"role": "commenter"}).ok(200)
	pad := func(n int) string {
		head, tail := `{"commands":[{"command":"chat.post","data":{"text":"hi"}}]`, `}`
		return head + strings.Repeat(" ", n-len(head)-len(tail)) + tail
	}
	w.call("POST", room+"/commands", bob.token, pad(maxBody)).ok(200)
	w.call("POST", room+"/commands", bob.token, pad(maxBody+1)).refused(413, "too_large")
	w.call("POST", room+"/commands", ada.token, pad(maxEditorBody)).ok(200)
	w.call("POST", room+"/commands", ada.token, pad(maxEditorBody+1)).refused(413, "too_large")
}

// What the bodies of everybody hold is bounded, and so is what one address holds of it.
func TestLargeBodiesHaveABudget(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Proxies = auth.Proxies{netip.MustParsePrefix("127.0.0.0/8")} })
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	from := func(address string, size int64) (body *io.PipeWriter, answered chan *http.Response) {
		reader, writer := io.Pipe()
		req, err := http.NewRequestWithContext(soon(t), "POST", w.server.URL+room+"/commands", reader)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = size
		for k, v := range map[string]string{"Authorization": "Bearer " + ada.token, "Content-Type": "application/json", "X-Forwarded-For": address} {
			req.Header.Set(k, v)
		}
		answered = make(chan *http.Response, 1)
		go func() {
			res, err := w.server.Client().Do(req)
			if err == nil {
				res.Body.Close()
			}
			answered <- res
		}()
		return writer, answered
	}
	held := func(n int64) {
		t.Helper()
		for ctx := soon(t); ; {
			w.api.bodies.mu.Lock()
			total := w.api.bodies.total
			w.api.bodies.mu.Unlock()
			if total == n*maxEditorBody {
				return
			}
			if ctx.Err() != nil {
				t.Fatalf("%d bytes are held, not %d bodies", total, n)
			}
			runtime.Gosched()
		}
	}
	refused := func(address string, status int) {
		t.Helper()
		writer, answered := from(address, maxEditorBody)
		defer writer.Close()
		if res := <-answered; res == nil || res.StatusCode != status || res.Header.Get("Retry-After") != "2" {
			t.Fatalf("%+v", res)
		}
	}
	const chunked = -1 // may become of any size
	var bodies []*io.PipeWriter
	var answers []chan *http.Response
	for n := int64(1); n*maxEditorBody <= bodyBytes; n++ {
		writer, answered := from(fmt.Sprintf("203.0.113.%d", n/4), chunked)
		bodies, answers = append(bodies, writer), append(answers, answered)
		held(n)
	}
	refused("198.51.100.1", 503)
	w.call("POST", room+"/commands", ada.token, commandsBody(addText("small", "is free"))).ok(200)
	for i, b := range bodies {
		fmt.Fprintf(b, `{"commands":[{"command":"chat.post","data":{"text":"%d"}}]}`, i)
		b.Close()
		if res := <-answers[i]; res == nil || res.StatusCode != 200 {
			t.Fatalf("%d: %+v", i, res)
		}
	}
	held(0)
	bodies = nil
	for n := int64(1); n*maxEditorBody <= bodyBytesPerAddress; n++ {
		writer, answered := from("203.0.113.1", chunked)
		bodies, answers = append(bodies, writer), append(answers, answered)
		held(n)
	}
	refused("203.0.113.1", 429)
	for _, b := range bodies {
		b.CloseWithError(io.ErrUnexpectedEOF) // the client breaks off
	}
	held(0)
}

func TestOnlyJSONIsTaken(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "application/json,text/plain"} {
		w.call("POST", "/v1/guests", "", `{"name":"x"}`, "Content-Type", kind).refused(415, "bad_request")
	}
	w.call("POST", "/v1/guests", "", `{"name":"x"}`, "Content-Type", "application/json; charset=utf-8").ok(201)
	w.call("POST", "/v1/guests", "", `{"name":"x"}`, "Content-Encoding", "gzip").refused(415, "bad_request")
}

func TestCanvasNowAtARevisionAndAtATime(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "unlisted")
	one := w.call("POST", room+"/commands", ada.token, commandsBody(addText("a", "x"))).ok(200).num("revision")
	middle := w.call("GET", room+"/canvas", ada.token, nil).ok(200)
	at, err := time.Parse(time.RFC3339, middle.str("at"))
	if err != nil {
		t.Fatal(err)
	}
	waitPast(t, at) // so that the next commit has a later time
	w.call("POST", room+"/commands", ada.token, commandsBody(addText("b", "y"))).ok(200)
	now := w.call("GET", room+"/canvas", "", nil).ok(200) // unlisted: whoever knows the id may look
	if len(now.list("elements")) != 2 || now.header.Get("ETag") != fmt.Sprintf(`"%d"`, now.num("revision")) {
		t.Errorf("%v %s", now.header, now.body)
	}
	for _, q := range []string{fmt.Sprint(one), middle.str("at"), strings.ReplaceAll(at.In(time.FixedZone("", 3600)).Format(time.RFC3339Nano), "+", "%2B")} {
		then := w.call("GET", room+"/canvas?at="+q, ada.token, nil).ok(200)
		if string(then.body) != string(middle.body) {
			t.Errorf("at %s:\n%s\n%s", q, then.body, middle.body)
		}
	}
	if a := w.call("GET", room+"/canvas", ada.token, nil, "If-None-Match", now.header.Get("ETag")); a.status != 304 || len(a.body) != 0 {
		t.Errorf("%d %s", a.status, a.body)
	}
	w.call("GET", room+"/canvas", ada.token, nil, "If-None-Match", middle.header.Get("ETag")).ok(200)
	w.call("GET", room+"/canvas?at=999", ada.token, nil).refused(404, "not_found")
	w.call("GET", room+"/canvas?at=2001-01-01T00:00:00Z", ada.token, nil).refused(404, "not_found")
	for _, bad := range []string{"", "0", "-1", "x", "yesterday", "1e3", "99999999999999999999"} {
		w.call("GET", room+"/canvas?at="+bad, ada.token, nil).refused(400, "bad_request")
	}
}

// waitPast returns once the clock shows a later millisecond.
func waitPast(t *testing.T, at time.Time) {
	for deadline := time.Now().Add(patience); time.Now().UnixMilli() <= at.UnixMilli(); {
		if time.Now().After(deadline) {
			t.Fatal("the clock stands still")
		}
	}
}

func TestEventsByPage(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r1", "public")
	var list []cmd
	for i := range 250 {
		list = append(list, addText(fmt.Sprint("e", i), "x"))
	}
	last := w.call("POST", room+"/commands", ada.token, commandsBody(list...)).ok(200).num("revision")
	after, want := uint64(0), uint64(1)
	for pages := 0; ; pages++ {
		a := w.call("GET", fmt.Sprintf("%s/events?after=%d", room, after), ada.token, nil).ok(200)
		for _, e := range a.list("events") {
			if r := uint64(e.(cmd)["revision"].(float64)); r != want {
				t.Fatalf("revision %d, not %d", r, want)
			}
			want++
		}
		if len(a.list("events")) == 0 {
			if a.num("next_after") != last || after != last || pages != 3 {
				t.Errorf("ended after %d pages at %d: %s", pages, after, a.body)
			}
			break
		}
		after = a.num("next_after")
	}
	if a := w.call("GET", room+"/events?limit=99999", ada.token, nil).ok(200); uint64(len(a.list("events"))) != last {
		t.Errorf("%d events", len(a.list("events")))
	}
	if a := w.call("GET", room+"/events?limit=1&after=5", ada.token, nil).ok(200); len(a.list("events")) != 1 || a.num("next_after") != 6 {
		t.Errorf("%s", a.body)
	}
	if a := w.call("GET", room+"/events?after=5000", ada.token, nil).ok(200); len(a.list("events")) != 0 || a.num("next_after") != 5000 {
		t.Errorf("%s", a.body)
	}
	for _, bad := range []string{"after=-1", "after=x", "after=", "limit=0", "limit=-1", "limit=x", "after=1e3"} {
		w.call("GET", room+"/events?"+bad, ada.token, nil).refused(400, "bad_request")
	}
}
