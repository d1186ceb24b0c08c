package realtime

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/infinite-kanvas/kanvas/domain"
)

func TestHelloSnapshotCommitAck(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	if a.welcome.str("resume") != "snapshot" || a.welcome.str("role") != "editor" || a.welcome["user"].(map[string]any)["name"] != "Name of alice" {
		t.Fatalf("welcome: %v", a.welcome)
	}
	b := w.enter(room, "bob", "b")
	a.wait("bob", func(m msg) bool {
		return m.str("type") == "presence" && strings.Contains(fmt.Sprint(m["joined"]), "Name of bob")
	})
	seq := a.command("element.add", `{"element":{"id":"e1","type":"shape","x":3,"foo":{"bar":[1]}}}`)
	commit := a.wait("commit", func(m msg) bool {
		return m.str("type") == "commit" && strings.Contains(fmt.Sprint(m["events"]), "element.added")
	})
	ev := commit["events"].([]any)[0].(map[string]any)
	if ev["type"] != "element.added" || ev["client"] != "a" || ev["seq"] != float64(seq) || ev["actor"].(map[string]any)["name"] != "Name of alice" {
		t.Fatalf("event: %v", ev)
	}
	ack := a.waitType("ack")
	if ack.num("seq") != seq || ack.num("revision") != commit.num("last") {
		t.Fatalf("ack %v after commit %v", ack, commit)
	}
	other := b.wait("commit", func(m msg) bool { return m.str("type") == "commit" && m.num("last") == commit.num("last") })
	if fmt.Sprint(other) != fmt.Sprint(commit) {
		t.Fatalf("the others got %v, the sender %v", other, commit)
	}
}

func TestFirstEntryIsStoredOnce(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	joined := a.waitType("commit")
	if ev := joined["events"].([]any)[0].(map[string]any); ev["type"] != "participant.joined" || ev["data"].(map[string]any)["user_id"] != "alice" {
		t.Fatalf("%v", joined)
	}
	b := w.enter(room, "alice", "b")
	if b.revision != joined.num("last") {
		t.Fatalf("a second entry moved the room to %d", b.revision)
	}
	if b.add("x").num("revision") != joined.num("last")+1 {
		t.Fatal("a second entry was stored")
	}
}

func TestResumeFromMemory(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	a.add("e0")
	at := a.revision
	a.ws.Close(websocket.StatusNormalClosure, "")
	b := w.enter(room, "bob", "b")
	for i := range 20 {
		b.add(fmt.Sprint("f", i))
	}
	again := w.dial(room, nil)
	again.revision = at
	again.hello("alice", "a", at)
	go again.read()
	again.ready()
	if again.welcome.str("resume") != "replay" {
		t.Fatalf("%v", again.welcome)
	}
	again.until(b.revision)
	if n := testCounter(t, w.reg, "kanvas_realtime_log_replays_total"); n != 0 {
		t.Fatalf("%v replays from the log", n)
	}
}

func TestResumeFromTheLog(t *testing.T) {
	w := newWorld(t, limits(func(l *Limits) { l.RingBytes = 2_000 }))
	room := w.room(domain.Public)
	b := w.enter(room, "bob", "b")
	b.add("first")
	at := b.revision
	for i := range 60 {
		b.add(fmt.Sprint("f", i))
	}
	a := w.dial(room, nil)
	a.revision = at
	a.hello("bob", "a", at)
	go a.read()
	a.ready()
	if a.welcome.str("resume") != "replay" {
		t.Fatalf("%v", a.welcome)
	}
	a.until(b.revision)
	if n := testCounter(t, w.reg, "kanvas_realtime_log_replays_total"); n != 1 {
		t.Fatalf("%v replays from the log", n)
	}
	b.add("last") // live from here on
	a.until(b.revision)
}

// A client that saw a part of a commit, as HTTP readers may, gets the rest of it.
func TestResumeInTheMiddleOfACommit(t *testing.T) {
	for name, ring := range map[string]int{"memory": 1 << 20, "log": 1} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, limits(func(l *Limits) { l.RingBytes = ring }))
			room := w.room(domain.Public)
			b := w.enter(room, "bob", "b")
			b.add("first")
			res := w.do(room, "owner", domain.AddElement{Element: element(t, "x")}, domain.AddElement{Element: element(t, "y")}, domain.AddElement{Element: element(t, "z")})
			c := w.dial(room, nil)
			c.revision = res.First
			c.hello("bob", "c", res.First)
			go c.read()
			m := c.waitType("commit")
			if m.num("first") != res.First+1 || m.num("last") != res.Last {
				t.Fatalf("%v", m)
			}
		})
	}
}

func TestResumeAtTheHeadIsAnEmptyReplay(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	a.add("e")
	b := w.dial(room, nil)
	b.revision = a.revision
	b.hello("alice", "b", a.revision)
	go b.read()
	b.ready()
	if b.welcome.str("resume") != "replay" || b.revision != a.revision {
		t.Fatalf("%v, at %d", b.welcome, b.revision)
	}
}

func TestResumeBeyondTheHeadIsASnapshotWithReset(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	c := w.dial(room, nil)
	c.hello("alice", "a", 1<<40)
	go c.read()
	s := c.waitType("snapshot")
	if s["reset"] != true {
		t.Fatalf("%v", s)
	}
	if c2 := w.enter(room, "bob", "b"); c2.welcome["reset"] != nil {
		t.Fatal("reset without cause")
	}
}

func TestASnapshotIsTakenWhereTheReplayIsLonger(t *testing.T) {
	w := newWorld(t, limits(func(l *Limits) { l.RingBytes = 1 }))
	room := w.room(domain.Public)
	w.do(room, "owner", domain.AddElement{Element: element(t, "e")})
	for i := range 300 {
		w.do(room, "owner", patch("e", "x", fmt.Sprint(i)))
	}
	c := w.enter(room, "alice", "a", 2)
	if c.welcome.str("resume") != "snapshot" {
		t.Fatalf("%v", c.welcome)
	}
}

func TestASeqSentAgainGetsItsFirstAnswer(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	first := a.add("e1")
	a.add("e2")
	a.send(`{"type":"command","seq":%d,"command":"element.add","data":{"element":{"id":"e1","type":"shape","x":1}}}`, first.num("seq"))
	again := a.waitType("ack")
	if again.num("seq") != first.num("seq") || again.num("revision") != first.num("revision") {
		t.Fatalf("first %v, again %v", first, again)
	}
	// also over another socket, after a reconnect
	a.ws.CloseNow()
	b := w.enter(room, "alice", "a")
	b.send(`{"type":"command","seq":%d,"command":"element.add","data":{"element":{"id":"e1","type":"shape","x":1}}}`, first.num("seq"))
	if m := b.waitType("ack"); m.num("revision") != first.num("revision") {
		t.Fatalf("%v", m)
	}
}

func TestAListOfCommandsIsOneCommit(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	a.waitType("commit") // of the entry
	a.send(`{"type":"commands","seq":1,"commands":[{"command":"element.add","data":{"element":{"id":"p","type":"note"}}},{"command":"element.patch","data":{"id":"p","set":{"x":5}}},{"command":"chat.post","data":{"text":"hé \"there\""}}]}`)
	c := a.waitType("commit")
	if c.num("last")-c.num("first") != 2 {
		t.Fatalf("%v", c)
	}
	chat := c["events"].([]any)[2].(map[string]any)["data"].(map[string]any)
	if chat["text"] != `hé "there"` || chat["user_id"] != "alice" || strings.Contains(fmt.Sprint(c), "k1.") {
		t.Fatalf("%v", chat)
	}
	a.waitType("ack")
	a.send(`{"type":"commands","seq":2,"commands":[{"command":"element.add","data":{"element":{"id":"q","type":"note"}}},{"command":"element.add","data":{"element":{"id":"p","type":"shape"}}}]}`)
	if m := a.waitType("reject"); m.str("code") != "conflict" || m.num("seq") != 2 {
		t.Fatalf("%v", m)
	}
	b := w.enter(room, "bob", "b")
	if b.revision != c.num("last") && b.revision != c.num("last")+1 { // +1: bob's own entry
		t.Fatalf("a refused list was stored: %d after %d", b.revision, c.num("last"))
	}
}

func TestDroppedIdsAreInTheAck(t *testing.T) {
	w := newWorld(t)
	a := w.enter(w.room(domain.Public), "alice", "a")
	if m := a.acked("element.patch", `{"id":"never","set":{"x":1}}`); fmt.Sprint(m["dropped"]) != "[never]" {
		t.Fatalf("%v", m)
	}
}

func TestTwoSocketsOfOneClient(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	b := w.enter(room, "alice", "a")
	if code, last := a.closed(); code != 4409 || last.str("code") != "conflict" {
		t.Fatalf("%d %v", code, last)
	}
	b.add("e")
}

func TestPingTellsTheRevision(t *testing.T) {
	w := newWorld(t)
	a := w.enter(w.room(domain.Public), "alice", "a")
	rev := a.add("e").num("revision")
	a.send(`{"type":"ping","t":17.5}`)
	if m := a.waitType("pong"); m["t"] != 17.5 || m.num("revision") != rev {
		t.Fatalf("%v", m)
	}
}

// Bad input: what each gets, and that the socket still works after it.
func TestBadFramesGetAnErrorAndTheSocketStaysOpen(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	deep := strings.Repeat(`{"a":`, 60) + "1" + strings.Repeat("}", 60)
	for name, c := range map[string]struct{ frame, typ, code string }{
		"no json":            {`{"type":`, "error", "bad_request"},
		"empty":              {``, "error", "bad_request"},
		"a number":           {`17`, "error", "bad_request"},
		"a string":           {`"hello"`, "error", "bad_request"},
		"array of numbers":   {`[1,2]`, "error", "bad_request"},
		"two values":         {`{"type":"ping"}{"type":"ping"}`, "error", "bad_request"},
		"unknown type":       {`{"type":"nonsense"}`, "error", "bad_request"},
		"no type":            {`{}`, "error", "bad_request"},
		"type a number":      {`{"type":7}`, "error", "bad_request"},
		"NaN":                {`{"type":"cursor","x":NaN,"y":1}`, "error", "bad_request"},
		"1e999":              {`{"type":"cursor","x":1e999,"y":1}`, "error", "bad_request"},
		"lone surrogate":     {`{"type":"ping","t":"\ud800"}`, "error", "bad_request"},
		"duplicate member":   {`{"type":"ping","type":"cursor"}`, "error", "bad_request"},
		"__proto__":          {`{"type":"ping","__proto__":1}`, "error", "bad_request"},
		"deep":               {`{"type":"preview","id":"e","set":` + deep + `}`, "error", "bad_request"},
		"bad UTF-8":          {"{\"type\":\"ping\",\"t\":\"\xff\"}", "error", "bad_request"},
		"hello again":        {`{"type":"hello","token":"x","client":"y"}`, "error", "bad_request"},
		"cursor without y":   {`{"type":"cursor","x":1}`, "error", "bad_request"},
		"cursor of strings":  {`{"type":"cursor","x":"1","y":"2"}`, "error", "bad_request"},
		"viewport, no scale": {`{"type":"viewport","x":1,"y":2}`, "error", "bad_request"},
		"preview of a path":  {`{"type":"preview","id":"../x","set":{"x":1}}`, "error", "bad_request"},
		"preview without":    {`{"type":"preview","id":"e"}`, "error", "bad_request"},
		"preview of z":       {`{"type":"preview","id":"e","set":{"z":"a"}}`, "error", "bad_request"},
		"no seq":             {`{"type":"command","command":"undo","data":{}}`, "error", "bad_request"},
		"seq negative":       {`{"type":"command","seq":-1,"command":"undo","data":{}}`, "error", "bad_request"},
		"seq a fraction":     {`{"type":"command","seq":1.5,"command":"undo","data":{}}`, "error", "bad_request"},
		"unknown command":    {`{"type":"command","seq":900,"command":"element.explode","data":{}}`, "reject", "invalid_command"},
		"no command":         {`{"type":"command","seq":901}`, "reject", "invalid_command"},
		"system's command":   {`{"type":"command","seq":902,"command":"room.checkpoint","data":{}}`, "reject", "invalid_command"},
		"id with a slash":    {`{"type":"command","seq":903,"command":"element.add","data":{"element":{"id":"a/b","type":"note"}}}`, "reject", "invalid_command"},
		"commands no list":   {`{"type":"commands","seq":904,"commands":{}}`, "reject", "invalid_command"},
		"commands empty":     {`{"type":"commands","seq":905,"commands":[]}`, "reject", "invalid_command"},
		"patch of id":        {`{"type":"command","seq":906,"command":"element.patch","data":{"id":"e","set":{"id":"f"}}}`, "reject", "invalid_command"},
		"not the owner":      {`{"type":"command","seq":907,"command":"room.update","data":{"name":"mine"}}`, "reject", "forbidden"},
		"nothing to undo":    {`{"type":"command","seq":908,"command":"undo","data":{}}`, "reject", "nothing_to_undo"},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			a := w.enter(room, "mallory", "m")
			if err := a.ws.Write(soon(t), websocket.MessageText, []byte(c.frame)); err != nil {
				t.Fatal(err)
			}
			m := a.wait(c.typ, func(m msg) bool { return m.str("type") == "error" || m.str("type") == "reject" })
			if m.str("type") != c.typ || m.str("code") != c.code || m.str("detail") == "" {
				t.Fatalf("%v", m)
			}
			a.send(`{"type":"ping","t":1}`)
			a.waitType("pong")
			a.ws.CloseNow()
		})
	}
	w.t = t
	b := w.enter(room, "bob", "b")
	if b.revision > 3 { // created, mallory and bob came
		t.Fatalf("something was stored: revision %d", b.revision)
	}
}

func TestGarbageWithoutEndClosesTheSocket(t *testing.T) {
	w := newWorld(t, limits(func(l *Limits) { l.BadFrames = 10 }))
	a := w.enter(w.room(domain.Public), "alice", "a")
	for range 11 {
		a.send(`{{{`)
	}
	if code, _ := a.closed(); code != 4400 {
		t.Fatal(code)
	}
}

func TestHandshakeRefusals(t *testing.T) {
	w := newWorld(t, limits(func(l *Limits) { l.HelloTimeout = 300 * time.Millisecond }))
	room := w.room(domain.Public)
	private := w.room(domain.Private)
	for name, c := range map[string]struct {
		room, hello string
		code        websocket.StatusCode
	}{
		"bad token":       {room, `{"type":"hello","token":"bad","client":"c"}`, 4401},
		"no token":        {room, `{"type":"hello","client":"c"}`, 4401},
		"not a hello":     {room, `{"type":"ping"}`, 4400},
		"no json":         {room, `hello`, 4400},
		"client too long": {room, fmt.Sprintf(`{"type":"hello","token":"u","client":%q}`, strings.Repeat("c", 65)), 4400},
		"resume negative": {room, `{"type":"hello","token":"u","client":"c","resume":-1}`, 4400},
		"too large":       {room, fmt.Sprintf(`{"type":"hello","token":%q}`, strings.Repeat("u", 64<<10)), 4413},
		"late":            {room, ``, 4408},
		"unknown room":    {"nowhere", `{"type":"hello","token":"u","client":"c"}`, 4404},
		"room id no id":   {"no.id", `{"type":"hello","token":"u","client":"c"}`, 4404},
		"a stranger":      {private, `{"type":"hello","token":"u","client":"c"}`, 4404},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			s := w.dial(c.room, nil)
			if c.hello != "" {
				s.send("%s", c.hello)
			}
			go s.read()
			if code, last := s.closed(); code != c.code || last.str("code") == "" {
				t.Fatalf("closed with %d, want %d (%v)", code, c.code, last)
			}
		})
	}
}

func TestOriginsAndCountsAreCheckedBeforeTheUpgrade(t *testing.T) {
	w := newWorld(t, limits(func(l *Limits) { l.PerAddress = 3; l.PerUser = 2 }), sites("https://page.example"))
	room := w.room(domain.Public)
	status := func(origin string) int {
		_, resp, err := websocket.Dial(soon(t), strings.Replace(w.server.URL, "http", "ws", 1)+"/"+room,
			&websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
		if err == nil {
			return 101
		}
		return resp.StatusCode
	}
	if s := status("https://evil.example"); s != 403 {
		t.Fatal(s)
	}
	if s := status("null"); s != 403 {
		t.Fatal(s)
	}
	a := w.dial(room, http.Header{"Origin": {"https://page.example"}})
	a.hello("alice", "1")
	go a.read()
	a.ready()
	w.enter(room, "alice", "2")
	third := w.dial(room, nil)
	third.hello("alice", "3")
	go third.read()
	if code, last := third.closed(); code != 4429 || last.str("code") != "rate_limited" {
		t.Fatalf("%d %v", code, last)
	}
	third.ws.CloseNow()
	w.eventually("the third has left", func() bool { w.hub.gate.mu.Lock(); defer w.hub.gate.mu.Unlock(); return w.hub.gate.total == 2 })
	w.dial(room, nil)
	if s := status("https://page.example"); s != 429 {
		t.Fatal(s)
	}
}

func TestFrameSizesAreTheRolesOwn(t *testing.T) {
	w := newWorld(t, limits(func(l *Limits) { l.EditorFrame = 200 << 10 }))
	room := w.room(domain.Public)
	w.do(room, "owner", domain.SetRole{User: "viewer", Role: domain.RoleViewer})
	pad := func(n int) string {
		const frame = `{"type":"ping","t":1,"pad":""}`
		return fmt.Sprintf(`{"type":"ping","t":1,"pad":%q}`, strings.Repeat("p", n-len(frame)))
	}
	v := w.enter(room, "viewer", "v")
	v.send("%s", pad(64<<10))
	v.waitType("pong")
	v.send("%s", pad(64<<10+1))
	if code, last := v.closed(); code != 4413 || last.str("code") != "too_large" {
		t.Fatalf("%d %v", code, last)
	}
	e := w.enter(room, "editor", "e")
	e.send("%s", pad(200<<10))
	e.waitType("pong")
	e.send("%s", pad(200<<10+1))
	if code, _ := e.closed(); code != 4413 {
		t.Fatal(code)
	}
}

func TestRates(t *testing.T) {
	w := newWorld(t, limits(func(l *Limits) { l.CommandRate = 0.001; l.CommandBurst = 2 }))
	a := w.enter(w.room(domain.Public), "alice", "a")
	a.add("e1")
	a.add("e2")
	a.command("element.add", `{"element":{"id":"e3","type":"note"}}`)
	if m := a.waitType("reject"); m.str("code") != "rate_limited" {
		t.Fatalf("%v", m)
	}
}

func TestTooManyFramesCloseTheSocket(t *testing.T) {
	const mask = "\x80\x00\x00\x00\x00"
	for name, frames := range map[string]struct{ first, flood string }{
		"messages":            {"", "\x81\x80\x00\x00\x00\x00"},
		"pings":               {"", "\x89\x80\x00\x00\x00\x00"},
		"pongs":               {"", "\x8a\x80\x00\x00\x00\x00"},
		"empty continuations": {"\x01\x81\x00\x00\x00\x00[", "\x00" + mask},
		"small continuations": {"\x01\x81\x00\x00\x00\x00[", "\x00\x81\x00\x00\x00\x00 "},
	} {
		t.Run(name, func(t *testing.T) {
			var now atomic.Int64
			now.Store(1_700_000_000_000)
			w := newWorld(t, limits(func(l *Limits) { l.FrameRate = 5; l.FrameSeconds = 2; l.BadFrames = 1 << 30 }),
				func(c *Config) { c.Clock = func() int64 { return now.Add(250) } })
			a := w.enter(w.room(domain.Public), "alice", "a")
			_, err := io.WriteString(a.wire, frames.first)
			for flood := strings.Repeat(frames.flood, 10); err == nil && len(a.gone) == 0; { // four reads a second by the clock, or fewer
				_, err = io.WriteString(a.wire, flood)
			}
			if code, last := a.closed(); code != 4429 || last.str("code") != "rate_limited" {
				t.Fatalf("%d %v", code, last)
			}
		})
	}
}

// Frames are counted however their bytes come.
func TestFramesAreCountedByTheirHeaders(t *testing.T) {
	var b []byte
	sizes := []int{0, 1, 125, 126, 127, 65_535, 65_536, 200_000, 0, 0, 3}
	for i, n := range sizes {
		switch head := byte(0x80 * (i % 2)); {
		case n < 126:
			b = append(b, 0x81, head|byte(n))
		case n < 1<<16:
			b = append(b, 0x00, head|126, byte(n>>8), byte(n))
		default:
			b = append(b, 0x82, head|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		}
		if i%2 == 1 {
			b = append(b, "mask"...)
		}
		b = append(b, bytes.Repeat([]byte{0xff}, n)...)
	}
	for _, step := range []int{1, 2, 3, 7, 1024, len(b)} {
		var p pace
		n := 0
		for rest := b; len(rest) > 0; rest = rest[min(step, len(rest)):] {
			n += p.begun(rest[:min(step, len(rest))])
		}
		if n != len(sizes) || p.skip != 0 || p.had != 0 {
			t.Fatalf("%d bytes at a time: %d frames of %d", step, n, len(sizes))
		}
	}
}

func TestDrainAnswersWhatWasTakenAndSaysGoingAway(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	a := w.enter(room, "alice", "a")
	silent := w.dial(room, nil) // never says hello
	go silent.read()
	for range 50 {
		a.command("chat.post", `{"text":"x"}`)
	}
	a.wait("the first ack", func(m msg) bool { return m.str("type") == "ack" })
	done := make(chan error, 1)
	go func() { done <- w.hub.Drain(soon(t)) }()
	last := uint64(1)
	for {
		m, ok := a.next("end")
		if !ok {
			break
		}
		if m.str("type") == "ack" {
			if m.num("revision") > a.revision {
				t.Fatalf("ack of %d at revision %d", m.num("revision"), a.revision)
			}
			last = m.num("seq")
		}
	}
	if err := <-a.gone; websocket.CloseStatus(err) != 1001 {
		t.Fatal(err)
	}
	if code, _ := silent.closed(); code != 1001 {
		t.Fatal(code)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	v, err := w.rooms.View(soon(t), room)
	if err != nil {
		t.Fatal(err)
	}
	if uint64(len(v.Chat)) != last {
		t.Fatalf("%d messages are stored, %d were acknowledged", len(v.Chat), last)
	}
	if _, resp, err := websocket.Dial(soon(t), strings.Replace(w.server.URL, "http", "ws", 1)+"/"+room, nil); err == nil || resp.StatusCode != 503 {
		t.Fatalf("a new socket while draining: %v", err)
	}
}
