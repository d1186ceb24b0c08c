package main

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// TestClientsDoNotDecideHowAServerStops: sockets whose clients never answer the close, and a request that never ends, are cut; the server ends well.
func TestClientsDoNotDecideHowAServerStops(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir, "127.0.0.1:0")
	token := strings.TrimSpace(mustTool(t, "token", "ann", "--data", dir))
	if _, err := httpJSON("POST", "http://"+s.addr+"/v1/rooms", token, map[string]any{"id": "open", "name": "Open", "visibility": "public"}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/rooms/open/ws", "/parties/main/open?_pk=1"} {
		c, _, err := websocket.Dial(t.Context(), "ws://"+s.addr+path, &websocket.DialOptions{Subprotocols: []string{"kanvas.v1"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		if strings.HasPrefix(path, "/v1/") {
			if err := c.Write(t.Context(), websocket.MessageText, []byte(`{"type":"hello","client":"c","token":"`+token+`"}`)); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := c.Read(t.Context()); err != nil { // it is in the room; from here on it reads nothing, and so answers nothing
			t.Fatal(err)
		}
	}
	half, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	fmt.Fprintf(half, "POST /v1/guests HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", s.addr)
	if n, err := half.Read(make([]byte, 64)); err != nil || n == 0 { // the server waits for the body: "100 Continue"
		t.Fatal(n, err)
	}
	s.stop()
	if log := s.out.String(); !strings.Contains(log, `"requests_cut"`) {
		t.Errorf("nothing was cut:\n%s", log)
	}
}
