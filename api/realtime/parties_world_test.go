package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/infinite-kanvas/kanvas/domain"
)

// newPartiesWorld is newWorld with the old clients' routes, and where they are.
func newPartiesWorld(t testing.TB, options ...option) (w *world, base string) {
	t.Helper()
	w = newWorld(t, options...)
	return w, w.parties()
}

// parties serves the hub to old clients, too, at the returned address (ws://…). /cut ends all sockets of parties below the protocol.
func (w *world) parties() string {
	w.t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		switch {
		case len(part) == 3 && part[0] == "parties":
			w.hub.ServeParties(rw, r, part[1], part[2])
		case len(part) == 2 && part[0] == "party":
			w.hub.ServeParties(rw, r, "main", part[1])
		case part[0] == "cut":
			w.cut()
		default:
			http.NotFound(rw, r)
		}
	}))
	w.t.Cleanup(srv.Close)
	return strings.Replace(srv.URL, "http", "ws", 1)
}

// cut ends all sockets of old clients as a network does: without a word.
func (w *world) cut() {
	for _, s := range w.hub.allSockets() {
		if s.protocol == protocolParties {
			_ = s.conn.Conn.Close()
		}
	}
}

// old is an old client: it takes in whatever it is sent and keeps the canvas as the front end does.
type old struct {
	t      testing.TB
	ws     *websocket.Conn
	got    chan msg
	gone   chan error
	mute   chan struct{} // not nil: nothing behind a ping is read, and none answered, until it is closed
	once   sync.Once
	id     string
	canvas map[string]msg
	order  []string
}

// oldOptions are the less usual ones.
type oldOptions struct {
	token, name string
	holdPongs   bool // until mute is closed
}

// answerPings reads on behind the ping that held it up.
func (c *old) answerPings() {
	if c.mute != nil {
		c.once.Do(func() { close(c.mute) })
	}
}

func (w *world) dialOld(base, room, pk string, o oldOptions) (*old, *http.Response, error) {
	c := &old{t: w.t, got: make(chan msg, 100_000), gone: make(chan error, 1), canvas: map[string]msg{}}
	if o.holdPongs {
		c.mute = make(chan struct{})
	}
	q := url.Values{"_pk": {pk}}
	if o.token != "" {
		q.Set("token", o.token)
	}
	if o.name != "" {
		q.Set("name", o.name)
	}
	ws, res, err := websocket.Dial(soon(w.t), base+"/parties/main/"+room+"?"+q.Encode(), &websocket.DialOptions{
		OnPingReceived: func(context.Context, []byte) bool {
			if c.mute != nil {
				<-c.mute
			}
			return true
		},
	})
	if err != nil {
		return nil, res, err
	}
	c.ws = ws
	ws.SetReadLimit(-1)
	w.t.Cleanup(func() { ws.CloseNow() })
	w.t.Cleanup(c.answerPings)
	return c, res, nil
}

// connect opens a socket of somebody without a token and waits until it knows its own id.
func (w *world) connect(base, room, pk string) *old {
	w.t.Helper()
	return w.connectAs(base, room, pk, oldOptions{})
}

func (w *world) connectAs(base, room, pk string, o oldOptions) *old {
	w.t.Helper()
	c, res, err := w.dialOld(base, room, pk, o)
	if err != nil {
		w.t.Fatalf("%v (%v)", err, res)
	}
	go c.read()
	c.id = data(c.wait("connection:info")).str("userId")
	return c
}

func data(m msg) msg { d, _ := m["data"].(map[string]any); return d }

func (c *old) read() {
	defer close(c.got)
	for {
		_, b, err := c.ws.Read(context.Background())
		if err != nil {
			c.gone <- err
			return
		}
		var m msg
		if err := json.Unmarshal(b, &m); err != nil {
			c.gone <- fmt.Errorf("%w in %.200s", err, b)
			return
		}
		c.got <- m
	}
}

func (c *old) send(format string, args ...any) {
	c.t.Helper()
	if err := c.ws.Write(soon(c.t), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// apply keeps the canvas.
func (c *old) apply(m msg) {
	d := data(m)
	switch m.str("type") {
	case "sync:full":
		c.canvas, c.order = map[string]msg{}, nil
		for _, e := range d["images"].([]any) {
			el := msg(e.(map[string]any))
			c.canvas[el.str("id")] = el
			c.order = append(c.order, el.str("id"))
		}
	case "image:add":
		if _, twice := c.canvas[d.str("id")]; twice {
			c.t.Errorf("%s was added twice", d.str("id"))
		}
		c.canvas[d.str("id")] = d
		c.order = append(c.order, d.str("id"))
	case "image:update":
		if _, ok := c.canvas[d.str("id")]; ok {
			c.canvas[d.str("id")] = d
		}
	case "image:remove":
		delete(c.canvas, d.str("imageId"))
		for i, id := range c.order {
			if id == d.str("imageId") {
				c.order = append(c.order[:i:i], c.order[i+1:]...)
			}
		}
	}
}

// next takes in one message; ok is false at the end of the socket.
func (c *old) next(what string) (m msg, ok bool) {
	c.t.Helper()
	select {
	case m, ok = <-c.got:
		if ok {
			c.apply(m)
		}
		return m, ok
	case <-time.After(patience):
		c.t.Fatalf("no %s in time", what)
		return nil, false
	}
}

// wait returns the next message of a type.
func (c *old) wait(typ string) msg {
	c.t.Helper()
	return c.waitFor(typ, func(m msg) bool { return m.str("type") == typ })
}

func (c *old) waitFor(what string, f func(msg) bool) msg {
	c.t.Helper()
	for {
		m, ok := c.next(what)
		if !ok {
			c.t.Fatalf("the socket ended before %s: %v", what, <-c.gone)
		}
		if f(m) {
			return m
		}
	}
}

// shows waits until a member of an element has a value.
func (c *old) shows(id, key string, value any) {
	c.t.Helper()
	for fmt.Sprint(c.canvas[id][key]) != fmt.Sprint(value) {
		if _, ok := c.next(fmt.Sprintf("%s.%s = %v (it is %v)", id, key, value, c.canvas[id][key])); !ok {
			c.t.Fatalf("the socket ended: %v", <-c.gone)
		}
	}
}

// syncs waits for a sync:full with these elements in this order.
func (c *old) syncs(order string) {
	c.t.Helper()
	c.waitFor("sync:full of "+order, func(m msg) bool { return m.str("type") == "sync:full" && strings.Join(c.order, " ") == order })
}

func (c *old) closed() websocket.StatusCode {
	c.t.Helper()
	for {
		if _, ok := c.next("close"); !ok {
			break
		}
	}
	var ce websocket.CloseError
	if err := <-c.gone; !errors.As(err, &ce) {
		c.t.Fatalf("ended without a close frame: %v", err)
	}
	return ce.Code
}

// picture is an element as the front end makes it; more is further members, each with a comma before.
func picture(id string, x, y int, more string) string {
	return fmt.Sprintf(`{"id":%q,"src":"https://example.com/p.png","x":%d,"y":%d,"width":10,"height":10,"rotation":0%s}`, id, x, y, more)
}

// own sends an element, and shows it at once as the front end does.
func (c *old) own(kind, element string) {
	c.t.Helper()
	var d map[string]any
	if err := json.Unmarshal([]byte(element), &d); err != nil {
		c.t.Fatal(err)
	}
	c.apply(msg{"type": kind, "data": d})
	c.send(`{"type":%q,"data":%s}`, kind, element)
}

func (c *old) add(id string) {
	c.t.Helper()
	c.own("image:add", picture(id, 0, 0, ""))
}

func (c *old) move(id string, x, y int, more ...string) {
	c.t.Helper()
	c.own("image:update", picture(id, x, y, strings.Join(more, "")))
}

// stored waits until the log's own room has a value, and returns the element.
func (w *world) stored(room, id, key, value string) *domain.Element {
	w.t.Helper()
	var last string
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		if v, err := w.rooms.View(soon(w.t), room); err == nil {
			for _, e := range v.Elements {
				if e.ID() != id {
					continue
				}
				got, _ := e.Get(key)
				if last = string(got); last == value {
					return e
				}
			}
		}
		time.Sleep(time.Millisecond)
	}
	w.t.Fatalf("%s.%s never was %s in the log; it is %s", id, key, value, last)
	return nil
}
