package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// The walk through the table of rights: everybody × every route, and × every command over HTTP (messages of sockets: api/realtime). The cells are
// made of the router's own list and the registry of commands, so a route or command that is new fails here until it has its row.

// persona is somebody as a room sees them.
type persona struct {
	name string
	role domain.Role // "" for those who are no participants
}

var personas = []persona{
	{"owner", domain.RoleOwner}, {"editor", domain.RoleEditor}, {"commenter", domain.RoleCommenter}, {"viewer", domain.RoleViewer},
	{"stranger", ""}, {"removed", ""}, {"anonymous", ""},
}

// studio makes a room of its own for each cell.
type studio struct {
	*world
	tokens map[string]string
	n      int
}

func newStudio(t *testing.T) *studio {
	s := &studio{world: newWorld(t, func(c *Config) { c.RateLimits = false }), tokens: map[string]string{}}
	for _, p := range append(personas, persona{"zed", ""}) {
		if p.name == "anonymous" {
			continue
		}
		if _, err := s.cfg.Users.Ensure(soon(t), p.name, commands.KindLocal, "Name of "+p.name); err != nil {
			t.Fatal(err)
		}
		token, _, err := s.cfg.Auth.Tokens().Sign(p.name, "local", 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		s.tokens[p.name] = token
	}
	return s
}

// code is the code of the invite that each room has.
func (s *studio) code(room string) string { return room + "." + strings.Repeat("A", 43) }

func (s *studio) do(room, who string, list ...domain.Command) {
	s.t.Helper()
	if _, err := s.rooms.Do(soon(s.t), room, commands.Request{Actor: domain.Actor{ID: who}, Commands: list}); err != nil {
		s.t.Fatalf("%s in %s by %s: %v", list[0].CommandName(), room, who, err)
	}
}

// room makes one with everybody in it, an element and a comment, something to undo and to redo for those who may, and an invite.
func (s *studio) room(v domain.Visibility) string {
	s.t.Helper()
	s.n++
	id := fmt.Sprint("cell-", s.n)
	list := []domain.Command{domain.CreateRoom{Name: "Cell", Visibility: v, DefaultRole: domain.RoleViewer}, domain.SetRole{User: "removed", Role: domain.RoleEditor}, domain.SetRole{User: "zed", Role: domain.RoleViewer}}
	for _, p := range personas {
		if p.role != "" && p.role != domain.RoleOwner {
			list = append(list, domain.SetRole{User: p.name, Role: p.role})
		}
	}
	s.do(id, "owner", append(list, domain.CreateInvite{ID: "invite-1", Hash: inviteHash(s.code(id)), Role: domain.RoleViewer})...)
	s.do(id, "removed", element(s.t, "mine"), asksFor(s.t, "gen-1"))
	s.do(id, "owner", domain.RemoveParticipant{User: "removed"}, element(s.t, "e"), element(s.t, "f"), domain.AddComment{ID: "c", Sealed: "k1.x"})
	return id
}

func element(t testing.TB, id string) domain.AddElement {
	e, err := domain.ParseElement(json.RawMessage(fmt.Sprintf(`{"id":%q,"type":"shape","x":1}`, id)))
	if err != nil {
		t.Fatal(err)
	}
	return domain.AddElement{Element: e}
}

// asksFor asks for a picture.
func asksFor(t testing.TB, id string) domain.RequestGeneration {
	e, err := domain.ParseElement(json.RawMessage(fmt.Sprintf(`{"id":%q,"type":"image"}`, id)))
	if err != nil {
		t.Fatal(err)
	}
	return domain.RequestGeneration{ID: id, Model: "m", Result: "image", Request: "k1.x", Element: e}
}

// want is the answer that the table gives to a persona: 0 for "let through".
func (s *studio) want(p persona, v domain.Visibility, right string, anonymousToo bool) int {
	if p.name == "anonymous" && !anonymousToo {
		return 401
	}
	if right == "room.create" {
		return 0
	}
	role := p.role
	switch {
	case p.name == "removed":
		return 403
	case right == "invite.redeem":
		return 0
	case role == "" && v == domain.Private:
		return 404
	case role == "":
		role = domain.RoleViewer // the room's default
	}
	if domain.Allowed(role, right) {
		return 0
	}
	return 403
}

// cell is what a route is tried with; parameters are filled in by the room.
type cell struct {
	body         any
	headers      []string
	anonymousToo bool // no token is needed where the room lets anybody in
}

var routeCells = map[string]cell{
	"POST /v1/rooms":                          {body: cmd{"name": "N", "visibility": "private"}},
	"GET /v1/rooms/:id":                       {anonymousToo: true},
	"PATCH /v1/rooms/:id":                     {body: cmd{"name": "Other"}},
	"DELETE /v1/rooms/:id":                    {},
	"POST /v1/rooms/:id/transfer":             {body: cmd{"user_id": "zed"}},
	"POST /v1/rooms/:id/rotate-key":           {},
	"POST /v1/rooms/:id/tickets":              {},
	"GET /v1/rooms/:id/canvas":                {anonymousToo: true},
	"GET /v1/rooms/:id/events":                {anonymousToo: true},
	"GET /v1/rooms/:id/assets":                {anonymousToo: true},
	"POST /v1/rooms/:id/generations":          {body: cmd{"model": "m", "prompt": "a cat"}},
	"GET /v1/rooms/:id/generations":           {anonymousToo: true},
	"GET /v1/rooms/:id/generations/:gid":      {anonymousToo: true},
	"DELETE /v1/rooms/:id/generations/:gid":   {},
	"POST /v1/rooms/:id/commands":             {body: cmd{"commands": []cmd{}}}, // each command: below
	"GET /v1/rooms/:id/participants":          {anonymousToo: true},
	"PUT /v1/rooms/:id/participants/:user":    {body: cmd{"role": "editor"}},
	"DELETE /v1/rooms/:id/participants/:user": {},
	"POST /v1/rooms/:id/invites":              {body: cmd{"role": "viewer"}},
	"GET /v1/rooms/:id/invites":               {},
	"GET /v1/rooms/:id/spending":              {},
	"DELETE /v1/rooms/:id/invites/:invite":    {},
	"POST /v1/invites/:code":                  {},
	"GET /v1/assets/:id":                      {anonymousToo: true},
	"POST /parties/:party/:room":              {body: cmd{"type": "canvas_update", "hash": "h"}, anonymousToo: true},
	"POST /party/:room":                       {body: cmd{"type": "canvas_update", "hash": "h"}, anonymousToo: true},
}

// socketRoutes are tried by opening a socket.
var socketRoutes = map[string]bool{"GET /v1/rooms/:id/ws": true, "GET /parties/:party/:room": true, "GET /party/:room": true}

func TestRightsOfRoutes(t *testing.T) {
	s := newStudio(t)
	data, _ := picture(t)
	cells, seen := 0, map[string]bool{}
	for _, r := range s.api.echo.Routes() {
		route := r.Method + " " + r.Path
		if r.Method == http.MethodHead || outsideDocument(r.Path) || noRoom[route] || seen[route] {
			continue
		}
		seen[route] = true
		right, known := routeRights[route]
		if !known || right == "" || !domain.KnownRight(right) {
			t.Errorf("%s has no row in routeRights, or one with a right that the table has not", route)
			continue
		}
		c, known := routeCells[route]
		if !known && !socketRoutes[route] {
			t.Errorf("%s is not tried here", route)
			continue
		}
		for _, v := range []domain.Visibility{domain.Unlisted, domain.Private} {
			for _, p := range personas {
				cells++
				room := s.room(v)
				if socketRoutes[route] {
					s.trySocket(r.Path, room, p, v)
					continue
				}
				params := []string{":party", "main", ":room", room, ":user", "zed", ":invite", "invite-1", ":code", s.code(room), ":gid", "gen-1", ":id", room}
				if strings.HasPrefix(r.Path, "/v1/assets") {
					params[len(params)-1] = s.picture(room, data)
				}
				a := s.call(r.Method, strings.NewReplacer(params...).Replace(r.Path), s.tokens[p.name], c.body, c.headers...)
				s.compare(route, p, v, s.want(p, v, right, c.anonymousToo), a)
			}
		}
	}
	for route := range routeRights {
		if !seen[route] {
			t.Errorf("%s has a row in routeRights, and is not served", route)
		}
	}
	t.Logf("%d cells", cells)
}

// picture puts one into the room and returns its asset.
func (s *studio) picture(room, data string) string {
	s.t.Helper()
	a := s.call("POST", "/v1/rooms/"+room+"/commands", s.tokens["owner"], commandsBody(cmd{"command": "element.add", "data": cmd{"element": cmd{"id": "p", "type": "image", "src": data}}})).ok(200)
	el := a.list("events")[0].(cmd)["data"].(cmd)["element"].(cmd)
	return strings.TrimPrefix(el["src"].(string), "/v1/assets/")
}

// compare wants the refusal that the table says; what it lets through may still fail for what it says, never for want of a right.
func (s *studio) compare(what string, p persona, v domain.Visibility, want int, a *answer) {
	s.t.Helper()
	code := map[int]string{401: "unauthenticated", 403: "forbidden", 404: "not_found"}[want]
	switch {
	case want != 0 && a.status != want, want != 0 && a.json()["code"] != code:
		s.t.Errorf("%s by the %s in a room that is %s: %d %s, want %d", what, p.name, v, a.status, a.body, want)
	case want == 0 && (a.status == 401 || a.status == 403 || a.status >= 500):
		s.t.Errorf("%s by the %s in a room that is %s: %d %s, want it let through", what, p.name, v, a.status, a.body)
	}
}

// trySocket opens a socket of either protocol.
func (s *studio) trySocket(path, room string, p persona, v domain.Visibility) {
	s.t.Helper()
	v1 := strings.HasSuffix(path, "/ws")
	want := s.want(p, v, domain.RightRead, !v1)
	address := strings.Replace(s.server.URL, "http", "ws", 1) + strings.NewReplacer(":id", room, ":party", "main", ":room", room).Replace(path)
	options := &websocket.DialOptions{}
	if v1 {
		options.Subprotocols = []string{"kanvas.v1"}
	} else if t := s.tokens[p.name]; t != "" {
		address += "?token=" + t
	}
	ws, res, err := websocket.Dial(soon(s.t), address, options)
	status := res.StatusCode
	if err == nil {
		defer ws.CloseNow()
		if v1 {
			hello := fmt.Sprintf(`{"type":"hello","token":%q,"client":"c"}`, s.tokens[p.name])
			if err := ws.Write(soon(s.t), websocket.MessageText, []byte(hello)); err != nil {
				s.t.Fatal(err)
			}
		}
		status = closeStatus(soonRead(s.t, ws))
	}
	if want == 0 {
		want = 101
	}
	if status != want {
		s.t.Errorf("%s by the %s in a room that is %s: %d, want %d", path, p.name, v, status, want)
	}
}

// soonRead returns the error of the first frames: nil where one came that is no error message.
func soonRead(t testing.TB, ws *websocket.Conn) error {
	for {
		_, b, err := ws.Read(soon(t))
		if err != nil {
			return err
		}
		if !strings.Contains(string(b), `"type":"error"`) {
			return nil
		}
	}
}

// closeStatus is the HTTP status that a close code stands for, 101 for an open socket.
func closeStatus(err error) int {
	var ce websocket.CloseError
	if errors.As(err, &ce) {
		return int(ce.Code) - 4000
	}
	return 101
}

// commandCells is the data that every command of clients is tried with.
var commandCells = map[string]any{
	"element.add":          cmd{"element": cmd{"id": "n", "type": "shape"}},
	"element.patch":        cmd{"id": "e", "set": cmd{"x": 2}},
	"element.remove":       cmd{"id": "e"},
	"element.reorder":      cmd{"ids": []string{"e"}, "to": "front"},
	"chat.post":            cmd{"text": "hi"},
	"room.update":          cmd{"name": "Other"},
	"room.transfer":        cmd{"user_id": "zed"},
	"room.rotate_key":      cmd{},
	"participant.set_role": cmd{"user_id": "zed", "role": "editor"},
	"participant.remove":   cmd{"user_id": "zed"},
	"comment.add":          cmd{"id": "d", "text": "look"},
	"comment.resolve":      cmd{"id": "c"},
	"canvas.restore":       cmd{"revision": 1},
	"undo":                 cmd{},
	"redo":                 cmd{},
}

func TestRightsOfCommands(t *testing.T) {
	s := newStudio(t)
	cells := 0
	for _, name := range domain.CommandNames() {
		_, err := domain.ParseCommand(name, json.RawMessage(`{}`))
		forClients := err == nil || !strings.Contains(err.Error(), "unknown command")
		data, known := commandCells[name]
		if forClients != known {
			t.Errorf("%s is for clients: %t, tried here: %t", name, forClients, known)
			continue
		}
		for _, v := range []domain.Visibility{domain.Unlisted, domain.Private} {
			for _, p := range personas {
				cells++
				room := s.room(v)
				a := s.call("POST", "/v1/rooms/"+room+"/commands", s.tokens[p.name], commandsBody(cmd{"command": name, "data": data}))
				want := s.want(p, v, name, false)
				if !forClients { // nobody may: whoever gets in is told that there is no such command
					if want = s.want(p, v, domain.RightRead, false); want == 0 {
						a.refused(422, "invalid_command")
						continue
					}
				}
				s.compare(name, p, v, want, a)
				if want == 0 && a.status != 200 && a.json()["code"] != "nothing_to_undo" {
					t.Errorf("%s by the %s: %d %s", name, p.name, a.status, a.body)
				}
			}
		}
	}
	t.Logf("%d cells", cells)
}
