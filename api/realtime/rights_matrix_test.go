package realtime

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/infinite-kanvas/kanvas/domain"
)

// The walk through the table of rights over sockets: everybody × every message of both protocols, and × every command (routes and commands over
// HTTP: api). The cells are made of the tables that the readers of sockets go by, so a message that is new fails here until it is tried.

// crowd is who is in the rooms of these tests. Whoever has no role is a stranger: what the room's default role may.
var crowd = []struct {
	name string
	role domain.Role
}{
	{"owner", domain.RoleOwner}, {"editor", domain.RoleEditor}, {"commenter", domain.RoleCommenter}, {"viewer", domain.RoleViewer}, {"stranger", ""}, {"removed", ""},
}

// studio makes a room with all of them, an element, a comment, and something to undo and redo.
func (w *world) studio(v domain.Visibility) string {
	w.t.Helper()
	room := w.room(v)
	viewer := domain.RoleViewer
	list := []domain.Command{domain.UpdateRoom{DefaultRole: &viewer}, domain.SetRole{User: "removed", Role: domain.RoleEditor}, domain.SetRole{User: "zed", Role: domain.RoleViewer}}
	for _, p := range crowd[1:4] {
		list = append(list, domain.SetRole{User: p.name, Role: p.role})
	}
	w.do(room, "owner", append(list, domain.RemoveParticipant{User: "removed"}, domain.AddElement{Element: shown(w.t, "e")}, domain.AddComment{ID: "c", Sealed: "k1.x"})...)
	return room
}

func shown(t testing.TB, id string) *domain.Element {
	t.Helper()
	e, err := domain.ParseElement([]byte(`{"type":"image",` + picture(id, 0, 0, "")[1:]))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// admission is what somebody gets at the door: their role inside, or a status.
func admission(name string, role domain.Role, v domain.Visibility) (domain.Role, int) {
	switch {
	case name == "removed":
		return "", 403
	case role == "" && v == domain.Private:
		return "", 404
	case role == "":
		return domain.RoleViewer, 0
	}
	return role, 0
}

var commandCells = map[string]string{
	"element.add": `{"element":{"id":"n","type":"shape"}}`, "element.patch": `{"id":"e","set":{"x":2}}`, "element.remove": `{"id":"e"}`,
	"element.reorder": `{"ids":["e"],"to":"front"}`, "chat.post": `{"text":"hi"}`, "room.update": `{"name":"Other"}`, "room.transfer": `{"user_id":"zed"}`,
	"room.rotate_key":      `{}`,
	"participant.set_role": `{"user_id":"zed","role":"editor"}`, "participant.remove": `{"user_id":"zed"}`, "comment.add": `{"id":"d","text":"look"}`,
	"comment.resolve": `{"id":"c"}`, "canvas.restore": `{"revision":1}`, "undo": `{}`, "redo": `{}`,
}

func TestRightsOfV1Messages(t *testing.T) {
	w := newWorld(t)
	cells := 0
	for _, v := range []domain.Visibility{domain.Unlisted, domain.Private} {
		for _, p := range crowd {
			role, refused := admission(p.name, p.role, v)
			for typ, right := range v1Rights {
				cells++
				room := w.studio(v)
				if refused != 0 {
					c := w.dial(room, nil)
					c.hello(p.name, "c")
					go c.read()
					if code, _ := c.closed(); int(code) != 4000+refused {
						t.Errorf("%s enters a room that is %s: %d", p.name, v, code)
					}
					continue
				}
				c := w.enter(room, p.name, "c")
				if c.welcome.str("role") != string(role) {
					t.Errorf("%s is welcomed as %s", p.name, c.welcome.str("role"))
				}
				cells += w.tryV1(t, c, room, typ, right, role)
				c.ws.CloseNow()
			}
		}
	}
	t.Logf("%d cells", cells)
}

// tryV1 sends one message, or where it is for commands every command, and returns how many more cells that were.
func (w *world) tryV1(t *testing.T, c *client, room, typ, right string, role domain.Role) (more int) {
	t.Helper()
	if right != "" && !domain.KnownRight(right) {
		t.Errorf("%s asks for %s, which the table has not", typ, right)
	}
	var witness *client
	if typ == "preview" || typ == "cursor" || typ == "viewport" {
		witness = w.enter(room, "zed", "z")
		defer witness.ws.CloseNow()
	}
	allowed := domain.Allowed(role, right)
	switch typ {
	case "hello":
		c.hello("owner", "c") // said twice: nobody becomes somebody else by it
		if m := c.waitType("error"); m.str("code") != "bad_request" {
			t.Errorf("a second hello: %v", m)
		}
	case "ping":
		c.send(`{"type":"ping","t":7}`)
		c.waitType("pong")
	case "cursor", "viewport":
		c.send(`{"type":%q,"x":3,"y":4,"scale":1}`, typ)
		witness.wait(typ, func(m msg) bool { return m.str("type") == "ephemeral" && m[typ] != nil })
	case "preview":
		c.send(`{"type":"preview","id":"e","set":{"x":9}}`)
		if allowed {
			witness.waitType("preview")
			break
		}
		if m := c.waitType("error"); m.str("code") != "forbidden" {
			t.Errorf("a preview of a %s: %v", role, m)
		}
		c.send(`{"type":"cursor","x":1,"y":2}`)
		witness.wait("cursor", func(m msg) bool {
			if m.str("type") == "preview" {
				t.Errorf("a preview of a %s came through", role)
			}
			return m.str("type") == "ephemeral" && m["cursor"] != nil
		})
	case "command", "commands":
		for _, name := range domain.CommandNames() {
			more++
			w.tryCommand(t, c, typ, name, role)
		}
	default:
		t.Errorf("the message %s is not tried here", typ)
	}
	return more
}

// tryCommand sends a command and wants what the table says. Each has a room of its own only as far as it goes: what ends a role is tried last.
func (w *world) tryCommand(t *testing.T, c *client, typ, name string, role domain.Role) {
	t.Helper()
	data, forClients := commandCells[name]
	if !forClients {
		data = "{}"
		if _, err := domain.ParseCommand(name, json.RawMessage(data)); codeOf(err) != domain.CodeInvalidCommand {
			t.Errorf("%s is for clients and not tried here", name)
		}
	}
	if name == "room.transfer" && role == domain.RoleOwner {
		data = `{"user_id":"nobody"}` // allowed, and answered with not_found: the owner stays one
	}
	c.seq++
	if typ == "command" {
		c.send(`{"type":"command","seq":%d,"command":%q,"data":%s}`, c.seq, name, data)
	} else {
		c.send(`{"type":"commands","seq":%d,"commands":[{"command":%q,"data":%s}]}`, c.seq, name, data)
	}
	m := c.wait("answer", func(m msg) bool {
		return (m.str("type") == "ack" || m.str("type") == "reject") && m.num("seq") == c.seq
	})
	code := m.str("code")
	switch allowed := domain.Allowed(role, name); {
	case !forClients && code != "invalid_command", forClients && !allowed && code != "forbidden":
		t.Errorf("%s by a %s: %v", name, role, m)
	case forClients && allowed && m.str("type") != "ack" && !slices.Contains([]string{"nothing_to_undo", "not_found"}, code):
		t.Errorf("%s by a %s: %v", name, role, m)
	}
}

func codeOf(err error) domain.Code {
	code, _ := reason(err)
	return code
}

func TestRightsOfOldClientsMessages(t *testing.T) {
	w, base := newPartiesWorld(t)
	cells := 0
	for _, v := range []domain.Visibility{domain.Unlisted, domain.Private} {
		for _, p := range crowd {
			role, refused := admission(p.name, p.role, v)
			for kind, right := range partiesRights {
				cells++
				room := w.studio(v)
				if refused != 0 {
					if c, res, err := w.dialOld(base, room, "pk", oldOptions{token: p.name}); err == nil || res.StatusCode != refused {
						t.Errorf("%s enters a room that is %s: %v, %v", p.name, v, c, err)
					}
					continue
				}
				witness := w.connectAs(base, room, "witness", oldOptions{token: "zed"})
				c := w.connectAs(base, room, "pk", oldOptions{token: p.name})
				w.tryOld(t, c, witness, room, kind, domain.Allowed(role, right), role)
				c.ws.CloseNow()
				witness.ws.CloseNow()
			}
		}
	}
	for _, anonymous := range []domain.Visibility{domain.Unlisted, domain.Private} {
		cells++
		room := w.studio(anonymous)
		_, res, err := w.dialOld(base, room, "pk", oldOptions{})
		if (err == nil) != (anonymous == domain.Unlisted) || err != nil && res.StatusCode != 404 {
			t.Errorf("nobody enters a room that is %s: %v", anonymous, err)
		}
	}
	t.Logf("%d cells", cells)
}

func (w *world) tryOld(t *testing.T, c, witness *old, room, kind string, allowed bool, role domain.Role) {
	t.Helper()
	frames := map[string]string{
		"image:add": picture("n", 1, 1, ""), "image:update": picture("e", 7, 0, ""), "image:remove": `{"imageId":"e"}`,
		"cursor:move": `{"cursor":{"x":1,"y":2}}`, "viewport:change": `{"x":1,"y":2,"scale":3}`,
		"generation:start": `{"imageId":"e"}`, "generation:complete": `{"imageId":"e"}`, "chat:send": `{"text":"hi"}`,
	}
	frame, known := frames[kind]
	if !known {
		t.Errorf("the message %s is not tried here", kind)
		return
	}
	comes := kind
	if kind == "chat:send" {
		comes = "chat:new"
	}
	c.own(kind, frame)
	if allowed {
		witness.wait(comes)
		return
	}
	// Refused: another refusal behind it is answered, and then something that the witness sees. Nothing came before that.
	c.send(`{"type":"image:add","data":%s}`, picture("probe", 1, 1, ""))
	c.waitFor("the refusal of a probe", func(m msg) bool { return m.str("type") == "image:remove" && data(m).str("imageId") == "probe" })
	w.do(room, "owner", domain.AddElement{Element: shown(t, "barrier")})
	witness.waitFor("barrier", func(m msg) bool {
		if m.str("type") == comes && data(m).str("id") != "barrier" {
			t.Errorf("%s of a %s came through: %v", kind, role, m)
		}
		return m.str("type") == "image:add" && data(m).str("id") == "barrier"
	})
	if v, err := w.rooms.View(soon(t), room); err != nil || fmt.Sprint(len(v.Elements), len(v.Chat)) != "2 0" {
		t.Errorf("%s of a %s changed the room: %v", kind, role, err)
	}
}
