package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/infinite-kanvas/kanvas/api/realtime"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/pictures"
)

// listener is a v1 socket that keeps what it is told.
type listener struct {
	t  testing.TB
	ws *websocket.Conn
}

// listen says hello in a room; more is further members of the hello.
func (w *world) listen(token, room, client, more string) *listener {
	w.t.Helper()
	address := strings.Replace(w.server.URL, "http", "ws", 1) + "/v1/rooms/" + room + "/ws"
	ws, _, err := websocket.Dial(soon(w.t), address, &websocket.DialOptions{Subprotocols: []string{"kanvas.v1"}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = ws.CloseNow() })
	ws.SetReadLimit(1 << 20)
	l := &listener{w.t, ws}
	l.say(fmt.Sprintf(`{"type":"hello","token":%q,"client":%q%s}`, token, client, more))
	return l
}

func (l *listener) say(text string) {
	l.t.Helper()
	if err := l.ws.Write(soon(l.t), websocket.MessageText, []byte(text)); err != nil {
		l.t.Fatal(err)
	}
}

// until reads until a message of the type comes, and returns it and the types of those before it.
func (l *listener) until(kind string) (message cmd, before []string) {
	l.t.Helper()
	for {
		_, b, err := l.ws.Read(soon(l.t))
		if err != nil {
			l.t.Fatalf("waiting for %s after %v: %v", kind, before, err)
		}
		var list []cmd
		if b[0] != '[' {
			b = append(append([]byte{'['}, b...), ']')
		}
		if err := json.Unmarshal(b, &list); err != nil {
			l.t.Fatal(err)
		}
		for _, m := range list {
			if m["type"] == kind {
				return m, before
			}
			before = append(before, m["type"].(string))
		}
	}
}

// TestBlursComeWithElements: who asks for it is told how pictures look before they are loaded, whenever that becomes known; nobody else is sent anything.
func TestBlursComeWithElements(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r", "private")
	upload := func(seed uint64) string {
		data := jpegOf(t, noise(600, 300, seed))
		u := w.ask(ada, "x.jpg", "image/jpeg", len(data), cmd{"room_id": "r"})
		u.complete(u.send(data)).ok(200)
		return u.id
	}
	show := func(element string, more cmd) {
		e := cmd{"id": element, "type": "image"}
		for k, v := range more {
			e[k] = v
		}
		w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "element.add", "data": cmd{"element": e}})).ok(200)
	}
	hub := w.cfg.Hub.(*realtime.Hub)
	none := func(context.Context, func(string) bool) error { return nil }
	v := commands.NewVariants(commands.VariantConfig{Streams: commands.NewStreams(w.parts.log, w.parts.clock), Objects: w.parts.objects, Shrinker: pictures.Shrinker{}, Backlog: none})
	defer v.Close()
	made := func(asset string) {
		t.Helper()
		if err := v.Make(soon(t), asset); err != nil {
			t.Fatal(err)
		}
		w.key(asset)
		hub.PictureReady(asset)
	}
	blurred := func(l *listener, asset string) {
		t.Helper()
		m, _ := l.until("assets")
		p, _ := m["assets"].(cmd)[asset].(cmd)
		if p == nil || p["width"] != 600.0 || p["height"] != 300.0 || !strings.HasPrefix(fmt.Sprint(p["placeholder"]), "data:image/webp;base64,") {
			t.Errorf("%v", m)
		}
	}

	asking, plain := w.listen(ada.token, "r", "asking", `,"assets":true`), w.listen(ada.token, "r", "plain", "")
	asking.until("presence")
	plain.until("presence")
	first, hidden := upload(1), upload(2)
	show("e1", cmd{"src": "/v1/assets/" + first})
	made(first) // after it was shown
	blurred(asking, first)
	made(hidden)
	blurred(asking, hidden) // it is of this room
	show("e2", cmd{"src": "/v1/assets/" + first})
	blurred(asking, first) // with the commit
	show("e3", cmd{"note": cmd{"src": "asset:" + hidden}})
	asking.say(`{"type":"ping","t":1}`)
	if _, before := asking.until("pong"); len(before) != 1 || before[0] != "commit" {
		t.Errorf("%v: nobody was asked whether another member may name an asset", before)
	}
	plain.say(`{"type":"ping","t":1}`)
	if _, before := plain.until("pong"); strings.Contains(strings.Join(before, " "), "assets") {
		t.Errorf("%v to who did not ask", before)
	}

	late := w.listen(ada.token, "r", "late", `,"assets":true`)
	if _, before := late.until("snapshot"); len(before) != 1 {
		t.Errorf("%v", before)
	}
	blurred(late, first)
	back := w.listen(ada.token, "r", "back", `,"assets":true,"resume":3`)
	blurred(back, first) // e2 came after revision 3
}
