package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// ear is a socket of either protocol, and what came over it.
type ear struct {
	t  *testing.T
	ws *websocket.Conn
	in []cmd
}

func (g *generationWorld) listen(t *testing.T, path string, hello string, protocols ...string) *ear {
	t.Helper()
	ws, _, err := websocket.Dial(soon(t), strings.Replace(g.server.URL, "http", "ws", 1)+path, &websocket.DialOptions{Subprotocols: protocols})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	ws.SetReadLimit(1 << 20)
	if hello != "" {
		if err := ws.Write(soon(t), websocket.MessageText, []byte(hello)); err != nil {
			t.Fatal(err)
		}
	}
	return &ear{t: t, ws: ws}
}

// hear waits for a message that is as wanted, from where the last one was found.
func (l *ear) hear(what string, wanted func(m cmd) bool) cmd {
	l.t.Helper()
	for {
		for i, m := range l.in {
			if wanted(m) {
				l.in = l.in[i+1:]
				return m
			}
		}
		l.in = nil
		_, b, err := l.ws.Read(soon(l.t))
		if err != nil {
			l.t.Fatalf("%s: %v", what, err)
		}
		var many []cmd
		if json.Unmarshal(b, &many) != nil {
			many = []cmd{{}}
			if err := json.Unmarshal(b, &many[0]); err != nil {
				l.t.Fatalf("%s: %q: %v", what, b, err)
			}
		}
		l.in = many
	}
}

func typeIs(typ string) func(cmd) bool { return func(m cmd) bool { return m["type"] == typ } }

func TestEverybodyInTheRoomSeesHowItGoes(t *testing.T) {
	g := newGenerationWorld(t)
	ann, bob := g.guest("Ann"), g.guest("Bob")
	room := g.room(ann, "r", "public")
	g.hold()
	v1 := g.listen(t, room+"/ws", fmt.Sprintf(`{"type":"hello","token":%q,"client":"c"}`, bob.token), "kanvas.v1")
	v1.hear("presence", typeIs("presence"))
	old := g.listen(t, "/parties/main/r", "")
	old.hear("connection:info", typeIs("connection:info"))
	id := g.order(ann, room, cmd{"model": textToImage, "prompt": "a cat"})
	v1.hear("commit with the placeholder", func(m cmd) bool {
		return m["type"] == "commit" && strings.Contains(fmt.Sprint(m), "generation.requested")
	})
	v1.hear("its place in the queue", func(m cmd) bool {
		return m["type"] == "generation" && m["id"] == id && m["status"] == "queued" && m["position"] == 3.0
	})
	if m := old.hear("image:add", typeIs("image:add"))["data"].(cmd); m["id"] != id || m["src"] != "" || m["isGenerated"] != true {
		t.Errorf("old clients are shown %v", m)
	}
	if m := old.hear("generation:start", typeIs("generation:start"))["data"].(cmd); m["imageId"] != id {
		t.Errorf("old clients are told %v", m)
	}
	// Who comes later is told too.
	late := g.listen(t, "/parties/main/r", "")
	if m := late.hear("generation:start", typeIs("generation:start"))["data"].(cmd); m["imageId"] != id {
		t.Errorf("a newcomer is told %v", m)
	}
	g.fal.Finish(g.sent(1).ID)
	g.became(ann, room, id, "succeeded")
	v1.hear("the result", func(m cmd) bool {
		return m["type"] == "commit" && strings.Contains(fmt.Sprint(m), "generation.succeeded")
	})
	for _, l := range []*ear{old, late} {
		if m := l.hear("image:update", typeIs("image:update"))["data"].(cmd); m["id"] != id || !strings.Contains(fmt.Sprint(m["src"]), "/v1/assets/") {
			t.Errorf("old clients are shown %v", m)
		}
		if m := l.hear("generation:complete", typeIs("generation:complete"))["data"].(cmd); m["imageId"] != id {
			t.Errorf("old clients are told %v", m)
		}
	}
}
