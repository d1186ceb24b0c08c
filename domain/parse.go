package domain

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/infinite-kanvas/kanvas/events"
)

// RawCommand is a command as it comes over the wire.
type RawCommand struct {
	Command string          `json:"command"`
	Data    json.RawMessage `json:"data"`
}

// UnmarshalJSON matches the names of members exactly, as everywhere else, not in any case as the library does. Others are ignored.
func (r *RawCommand) UnmarshalJSON(b []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return err
	}
	*r = RawCommand{Data: members["data"]}
	if name, ok := members["command"]; ok {
		return json.Unmarshal(name, &r.Command)
	}
	return nil
}

// ParseCommands reads a list of commands, 1 to MaxCommandsPerList, for ParseCommand's rules. The error names the first bad one.
func ParseCommands(raw []RawCommand) ([]Command, error) {
	if len(raw) == 0 {
		return nil, Errorf(CodeInvalidCommand, "commands: none")
	}
	if len(raw) > MaxCommandsPerList {
		return nil, Errorf(CodeTooLarge, "commands: more than %d", MaxCommandsPerList)
	}
	list := make([]Command, len(raw))
	for i := range raw {
		c, err := ParseCommand(raw[i].Command, raw[i].Data)
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				return nil, Errorf(e.Code, "commands[%d]: %s", i, e.Detail)
			}
			return nil, err
		}
		list[i] = c
	}
	return list, nil
}

// parsers read the data of the commands that clients may send: compact JSON, of which they keep parts.
var parsers = map[string]func(json.RawMessage) (Command, error){
	"element.add":          parseAdd,
	"element.patch":        parsePatch,
	"element.remove":       parseRemove,
	"element.reorder":      parseReorder,
	"chat.post":            parseChat,
	"room.update":          parseUpdate,
	"room.transfer":        parseTransfer,
	"room.rotate_key":      func(json.RawMessage) (Command, error) { return RotateKey{}, nil },
	"participant.set_role": parseSetRole,
	"participant.remove":   parseRemoveParticipant,
	"comment.add":          parseComment,
	"comment.resolve":      parseResolve,
	"canvas.restore":       parseRestore,
	"undo":                 func(json.RawMessage) (Command, error) { return Undo{}, nil },
	"redo":                 func(json.RawMessage) (Command, error) { return Redo{}, nil },
}

func parseCommand(name string, data json.RawMessage) (Command, error) {
	if len(data) > 0 && name != "undo" && name != "redo" { // those have no data
		if err := events.CheckJSON(data, MaxDataDepth); err != nil {
			return nil, jsonError(err)
		}
		data = events.Compact(make([]byte, 0, len(data)), data)
	}
	return parseCompact(name, data)
}

func parseCompact(name string, data json.RawMessage) (Command, error) {
	parse := parsers[name]
	if parse == nil {
		return nil, Errorf(CodeInvalidCommand, "unknown command")
	}
	c, err := parse(data)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func parseAdd(data json.RawMessage) (Command, error) {
	var c AddElement
	var raw json.RawMessage
	if err := decode(data, fields{{"element", &raw}, {"before", &c.Before}}); err != nil {
		return nil, err
	}
	if raw == nil {
		return nil, Errorf(CodeInvalidCommand, "element: missing")
	}
	if c.Before != "" && !ValidElementID(c.Before) {
		return nil, badID("before")
	}
	if len(raw) > maxRawElement {
		return nil, Errorf(CodeTooLarge, "an element has more than %d bytes", maxRawElement)
	}
	var err error
	c.Element, err = elementOf(raw)
	return c, err
}

func badID(what string) error {
	return Errorf(CodeInvalidCommand, "%s: 1 to %d characters of printable ASCII, without / \\ ? # %% \"", what, MaxElementID)
}

// parsePatch is what nearly all commands of a busy room go through: it reads the members by itself, without a table of where they go.
func parsePatch(data json.RawMessage) (Command, error) {
	c := PatchElement{sound: true}
	err := eachMember(data, func(name []byte, v json.RawMessage) error {
		switch string(name) {
		case "id":
			if v[0] != '"' {
				return Errorf(CodeInvalidCommand, "id: must be a string")
			}
			c.ID = unquote(v)
		case "set":
			var ok bool
			if c.Set, ok = events.CompactMembers(v); !ok {
				return Errorf(CodeInvalidCommand, "set: must be an object")
			}
		case "unset":
			if !decodeList(&c.Unset, v) {
				return Errorf(CodeInvalidCommand, "unset: must be a list of strings")
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !ValidElementID(c.ID) {
		return nil, badID("id")
	}
	if err := checkMembers(c.Set); err != nil {
		return nil, err
	}
	if c.Unset, err = checkUnset(c.Unset, c.Set); err != nil {
		return nil, err
	}
	return c, nil
}

func parseRemove(data json.RawMessage) (Command, error) {
	var c RemoveElements
	var id string
	if err := decode(data, fields{{"id", &id}, {"ids", &c.IDs}}); err != nil {
		return nil, err
	}
	if id != "" {
		c.IDs = append(c.IDs, id)
	}
	return c, checkIDs(c.IDs)
}

func checkIDs(ids []string) error {
	switch {
	case len(ids) == 0:
		return Errorf(CodeInvalidCommand, "ids: none")
	case len(ids) > MaxIDsPerCommand:
		return Errorf(CodeTooLarge, "ids: more than %d", MaxIDsPerCommand)
	case slices.ContainsFunc(ids, func(id string) bool { return !ValidElementID(id) }):
		return badID("ids")
	}
	return nil
}

func parseReorder(data json.RawMessage) (Command, error) {
	var c ReorderElements
	if err := decode(data, fields{{"ids", &c.IDs}, {"before", &c.Before}, {"after", &c.After}, {"to", &c.To}}); err != nil {
		return nil, err
	}
	if err := checkIDs(c.IDs); err != nil {
		return nil, err
	}
	for _, id := range [...]string{c.Before, c.After} {
		if id != "" && !ValidElementID(id) {
			return nil, badID("before, after")
		}
	}
	return c, checkReorder(c)
}

// checkWords refuses a text that says nothing.
func checkWords(text string, limit int) error {
	if strings.TrimSpace(text) == "" {
		return Errorf(CodeInvalidCommand, "text: empty")
	}
	if len(text) > limit {
		return Errorf(CodeTooLarge, "text: more than %d bytes", limit)
	}
	return nil
}

func parseChat(data json.RawMessage) (Command, error) {
	var c PostChat
	if err := decode(data, fields{{"text", &c.Text}}); err != nil {
		return nil, err
	}
	return c, checkWords(c.Text, MaxChatText)
}

func parseUpdate(data json.RawMessage) (Command, error) {
	var c UpdateRoom
	err := decode(data, fields{{"name", &c.Name}, {"description", &c.Description},
		{"visibility", &c.Visibility}, {"default_role", &c.DefaultRole}})
	if err != nil {
		return nil, err
	}
	return c, checkRoom(c.Name, c.Description, c.Visibility, c.DefaultRole)
}

func parseSetRole(data json.RawMessage) (Command, error) {
	var c SetRole
	if err := decode(data, fields{{"user_id", &c.User}, {"role", &c.Role}}); err != nil {
		return nil, err
	}
	if !validUserID(c.User) {
		return nil, Errorf(CodeInvalidCommand, "user_id: no valid form")
	}
	if !ValidRole(c.Role) {
		return nil, Errorf(CodeInvalidCommand, "role: owner, editor, commenter or viewer")
	}
	return c, nil
}

func parseRemoveParticipant(data json.RawMessage) (Command, error) {
	user, err := parseUser(data)
	return RemoveParticipant{user}, err
}

func parseTransfer(data json.RawMessage) (Command, error) {
	user, err := parseUser(data)
	return TransferRoom{user}, err
}

// parseUser reads the data of commands that name somebody and nothing else.
func parseUser(data json.RawMessage) (user string, err error) {
	if err := decode(data, fields{{"user_id", &user}}); err != nil {
		return "", err
	}
	if !validUserID(user) {
		return "", Errorf(CodeInvalidCommand, "user_id: no valid form")
	}
	return user, nil
}

func parseComment(data json.RawMessage) (Command, error) {
	var c AddComment
	err := decode(data, fields{{"id", &c.ID}, {"element_id", &c.ElementID}, {"x", &c.X}, {"y", &c.Y}, {"text", &c.Text}})
	switch {
	case err != nil:
		return nil, err
	case !ValidElementID(c.ID):
		return nil, badID("id")
	case c.ElementID != "" && !ValidElementID(c.ElementID):
		return nil, badID("element_id")
	}
	return c, checkWords(c.Text, MaxCommentText)
}

func parseResolve(data json.RawMessage) (Command, error) {
	var c ResolveComment
	if err := decode(data, fields{{"id", &c.ID}}); err != nil {
		return nil, err
	}
	if !ValidElementID(c.ID) {
		return nil, badID("id")
	}
	return c, nil
}

func parseRestore(data json.RawMessage) (Command, error) {
	var c Restore
	var revision *uint64
	if err := decode(data, fields{{"revision", &revision}}); err != nil {
		return nil, err
	}
	if revision == nil {
		return nil, Errorf(CodeInvalidCommand, "revision: missing")
	}
	c.Revision = *revision
	return c, nil
}
