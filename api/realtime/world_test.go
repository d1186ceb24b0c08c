package realtime

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
)

// publicURL is where old clients load assets.
const publicURL = "https://kanvas.example"

// patience bounds every wait of these tests; it is reached by failures only.
const patience = 30 * time.Second

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// world is a server with the real rooms over the real embedded log.
type world struct {
	t      testing.TB
	rooms  *commands.Dispatcher
	people *commands.People
	hub    *Hub
	server *httptest.Server
	reg    *prometheus.Registry
	log    *jetstream.Store
	keys   *keyring
}

// option changes the hub's configuration.
type option func(*Config)

func limits(f func(*Limits)) option { return func(c *Config) { f(&c.Limits) } }

// sites is what the server takes browsers from, besides its own pages, and how it counts addresses.
func sites(origins ...string) option {
	return func(c *Config) {
		s, err := auth.NewSites(origins, nil, "", true)
		if err != nil {
			panic(err)
		}
		c.AllowOrigin, c.AllowCookie = s.OriginAllowed, s.CookieAllowed
		c.Address = func(r *http.Request) string { return auth.AddressKey(auth.Proxies(nil).Client(r)) }
	}
}

func newWorld(t testing.TB, options ...option) *world {
	t.Helper()
	log, err := jetstream.Open(soon(t), jetstream.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	rooms := commands.NewDispatcher(commands.Config{Log: log})
	t.Cleanup(func() {
		if err := rooms.Close(soon(t)); err != nil {
			t.Error(err)
		}
	})
	keys := &keyring{}
	sealer := commands.NewSealer(keys)
	streams := commands.NewStreams(log, nil)
	w := &world{t: t, rooms: rooms, log: log, keys: keys, people: commands.NewPeople(streams, sealer, nil), reg: prometheus.NewRegistry()}
	cfg := Config{
		Rooms: rooms, Users: w.people, Authenticator: names{w.people}, Registerer: w.reg,
		Preparer: commands.NewPreparer(commands.PrepareConfig{Rooms: rooms, Sealer: sealer, Assets: commands.NewAssets(streams, &shelf{}), PublicURLs: []string{publicURL}}),
	}
	sites()(&cfg)
	for _, o := range options {
		o(&cfg)
	}
	w.hub = New(cfg)
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.hub.ServeV1(rw, r, strings.TrimPrefix(r.URL.Path, "/"))
	}))
	t.Cleanup(func() {
		if err := w.hub.Drain(soon(t)); err != nil {
			t.Error(err)
		}
		w.server.Close()
	})
	return w
}

// room makes a room whose owner is "owner", and returns its id.
func (w *world) room(visibility domain.Visibility) string {
	w.t.Helper()
	id := "room-" + rand.Text()[:12]
	w.do(id, "owner", domain.CreateRoom{Name: "Room", Visibility: visibility, DefaultRole: domain.RoleEditor})
	return id
}

func (w *world) do(room, user string, cs ...domain.Command) commands.Result {
	w.t.Helper()
	res, err := w.rooms.Do(soon(w.t), room, commands.Request{Actor: domain.Actor{ID: user}, Commands: cs})
	if err != nil {
		w.t.Fatalf("%s by %s: %v", cs[0].CommandName(), user, err)
	}
	return res
}

// names authenticates: the token is the user's id, and people are made as they come. Tokens that begin with "bad" are no good.
type names struct{ people *commands.People }

func (n names) Authenticate(ctx context.Context, token string) (Identity, error) {
	if token == "" || strings.HasPrefix(token, "bad") {
		return Identity{}, domain.Errorf(domain.CodeUnauthenticated, "the token is not valid")
	}
	p, err := n.people.Ensure(ctx, token, commands.KindLocal, "Name of "+token)
	return Identity{UserID: p.ID, Name: p.Name, Color: p.Color}, err
}

// keyring keeps keys in memory.
type keyring struct {
	mu   sync.Mutex
	keys map[string][]byte
}

func (k *keyring) Key(_ context.Context, person string, create bool) ([]byte, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = map[string][]byte{}
	}
	if k.keys[person] == nil && create {
		k.keys[person] = make([]byte, 32)
		rand.Read(k.keys[person])
	}
	return k.keys[person], len(k.keys[person]) > 0, nil
}

// destroy is for ever.
func (k *keyring) destroy(person string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = map[string][]byte{}
	}
	k.keys[person] = []byte{}
}

// shelf keeps objects in memory.
type shelf struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (s *shelf) Put(_ context.Context, key, _ string, body io.Reader, _ int64) error {
	b, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[string][]byte{}
	}
	s.m[key] = b
	return nil
}

func (s *shelf) Get(_ context.Context, key string, _, _ int64) (io.ReadCloser, commands.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.m[key]
	if !ok {
		return nil, commands.Object{}, commands.ErrNoObject
	}
	return io.NopCloser(bytes.NewReader(b)), commands.Object{Key: key, Size: int64(len(b))}, nil
}

func (s *shelf) Head(ctx context.Context, key string) (commands.Object, error) {
	_, o, err := s.Get(ctx, key, 0, -1)
	return o, err
}
func (s *shelf) Delete(context.Context, ...string) error                        { return nil }
func (s *shelf) List(context.Context, string, func(commands.Object) bool) error { return nil }

// client is a v1 client that reads all it is sent, unless told to stop.
type client struct {
	wire net.Conn // below ws
	t    testing.TB
	ws   *websocket.Conn
	got  chan msg // messages, arrays taken apart
	gone chan error
	seq  uint64
	// what it has seen by wait and friends
	revision uint64
	session  string
	welcome  msg
}

type msg map[string]any

func (m msg) str(k string) string { s, _ := m[k].(string); return s }
func (m msg) num(k string) uint64 { f, _ := m[k].(float64); return uint64(f) }

// dial opens a socket without saying hello.
func (w *world) dial(room string, header http.Header) *client {
	w.t.Helper()
	var wire net.Conn
	dialer := &http.Transport{DialContext: func(ctx context.Context, network, address string) (_ net.Conn, err error) {
		wire, err = new(net.Dialer).DialContext(ctx, network, address)
		return wire, err
	}}
	ws, _, err := websocket.Dial(soon(w.t), strings.Replace(w.server.URL, "http", "ws", 1)+"/"+room,
		&websocket.DialOptions{Subprotocols: []string{"kanvas.v1"}, HTTPHeader: header, HTTPClient: &http.Client{Transport: dialer}})
	if err != nil {
		w.t.Fatal(err)
	}
	ws.SetReadLimit(-1)
	c := &client{t: w.t, ws: ws, wire: wire, got: make(chan msg, 100_000), gone: make(chan error, 1)}
	w.t.Cleanup(func() { ws.CloseNow() })
	return c
}

// read takes everything in until the socket ends.
func (c *client) read() {
	defer close(c.got)
	for {
		_, b, err := c.ws.Read(context.Background())
		if err != nil {
			c.gone <- err
			return
		}
		var list []msg
		if b[0] != '[' {
			b = append(append([]byte{'['}, b...), ']')
		}
		if err := json.Unmarshal(b, &list); err != nil {
			c.gone <- fmt.Errorf("%w in %.200s", err, b)
			return
		}
		for _, m := range list {
			c.got <- m
		}
	}
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if err := c.ws.Write(soon(c.t), websocket.MessageText, []byte(fmt.Sprintf(format, args...))); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// enter opens a socket, says hello, and waits until the client has the whole room.
func (w *world) enter(room, user, id string, resume ...uint64) *client {
	w.t.Helper()
	c := w.dial(room, nil)
	c.hello(user, id, resume...)
	go c.read()
	c.ready()
	return c
}

func (c *client) hello(user, id string, resume ...uint64) {
	c.t.Helper()
	more := ""
	if len(resume) > 0 {
		more = fmt.Sprintf(`,"resume":%d`, resume[0])
	}
	c.send(`{"type":"hello","token":%q,"client":%q%s}`, user, id, more)
}

// ready waits for welcome and the list of who is here, which comes when the client is up to date.
func (c *client) ready() {
	c.t.Helper()
	c.welcome = c.wait("welcome", func(m msg) bool { return m.str("type") == "welcome" })
	c.session = c.welcome.str("session")
	c.wait("presence", func(m msg) bool { return m.str("type") == "presence" && m["online"] != nil })
}

// next returns the next message and keeps count of revisions: each exactly once, in order.
func (c *client) next(what string) (msg, bool) {
	c.t.Helper()
	select {
	case m, ok := <-c.got:
		if !ok {
			return nil, false
		}
		switch m.str("type") {
		case "snapshot":
			if m["more"] == nil {
				c.revision = m.num("revision")
			}
		case "welcome":
			if m.str("resume") == "replay" && c.revision == 0 {
				c.revision = m.num("resumed") // set by tests that resume
			}
		case "commit":
			if c.revision > 0 && m.num("first") != c.revision+1 {
				c.t.Fatalf("a commit of %d..%d after revision %d", m.num("first"), m.num("last"), c.revision)
			}
			if n := len(m["events"].([]any)); uint64(n) != m.num("last")-m.num("first")+1 {
				c.t.Fatalf("%d events in %d..%d", n, m.num("first"), m.num("last"))
			}
			c.revision = m.num("last")
		}
		return m, true
	case <-time.After(patience):
		c.t.Fatalf("no %s in time", what)
		return nil, false
	}
}

// wait returns the next message that f is true for.
func (c *client) wait(what string, f func(msg) bool) msg {
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

func (c *client) waitType(typ string) msg {
	c.t.Helper()
	return c.wait(typ, func(m msg) bool { return m.str("type") == typ })
}

// until reads on up to a revision.
func (c *client) until(revision uint64) {
	c.t.Helper()
	for c.revision < revision {
		if _, ok := c.next(fmt.Sprintf("revision %d", revision)); !ok {
			c.t.Fatalf("the socket ended at revision %d of %d: %v", c.revision, revision, <-c.gone)
		}
	}
}

// closed waits for the end of the socket and returns its code and the last error message before it.
func (c *client) closed() (code websocket.StatusCode, last msg) {
	c.t.Helper()
	for {
		m, ok := c.next("close")
		if !ok {
			break
		}
		if m.str("type") == "error" {
			last = m
		}
	}
	err := <-c.gone
	var ce websocket.CloseError
	if !errors.As(err, &ce) {
		c.t.Fatalf("ended without a close frame: %v", err)
	}
	return ce.Code, last
}

// command sends one and returns its seq.
func (c *client) command(name, data string) uint64 {
	c.t.Helper()
	c.seq++
	c.send(`{"type":"command","seq":%d,"command":%q,"data":%s}`, c.seq, name, data)
	return c.seq
}

// acked sends a command and waits for its ack.
func (c *client) acked(name, data string) msg {
	c.t.Helper()
	seq := c.command(name, data)
	m := c.wait("ack", func(m msg) bool { return (m.str("type") == "ack" || m.str("type") == "reject") && m.num("seq") == seq })
	if m.str("type") != "ack" {
		c.t.Fatalf("%s: %v", name, m)
	}
	return m
}

func (c *client) add(id string) msg {
	c.t.Helper()
	return c.acked("element.add", fmt.Sprintf(`{"element":{"id":%q,"type":"shape","x":1}}`, id))
}
