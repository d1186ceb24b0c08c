package api

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

const (
	roomsPerPage = 50
	maxRoomsPage = 200
	// minRevisionWait bounds ?min_revision.
	minRevisionWait = 5 * time.Second
)

// roomSettings are the members of a room that a body may set.
type roomSettings struct {
	name, description       *string
	visibility, defaultRole *string
}

func (s *roomSettings) members(nameRequired, visibilityRequired bool) []member {
	return []member{
		{"name", &s.name, nameRequired}, {"description", &s.description, false},
		{"visibility", &s.visibility, visibilityRequired}, {"default_role", &s.defaultRole, false},
	}
}

// createRoom is POST /v1/rooms.
func (a *API) createRoom(c echo.Context) error {
	q := requestOf(c)
	if err := q.signedIn(); err != nil {
		return err
	}
	body, err := readBody(c, maxBody)
	if err != nil {
		return err
	}
	id, given := "", (*string)(nil)
	var s roomSettings
	if err := decodeMembers(body, append(s.members(true, true), member{"id", &given, false})...); err != nil {
		return err
	}
	if given == nil {
		id = uuid.NewString()
	} else if id = *given; !domain.ValidRoomID(id) {
		return badRequest("id: is not a UUID or 1 to %d letters, digits, '_' and '-'", domain.MaxRoomID)
	}
	q.room = id
	ctx := c.Request().Context()
	result, err := a.cfg.Rooms.Do(ctx, id, commands.Request{Actor: q.actor(), Commands: []domain.Command{s.create()}})
	if err != nil {
		return err
	}
	v, err := a.cfg.Rooms.View(ctx, id)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if result.First <= result.Last {
		status = http.StatusCreated
		a.metrics.roomsCreated.Inc()
	}
	c.Response().Header().Set("Location", "/v1/rooms/"+id)
	return a.answerRoom(c, status, v)
}

func (s *roomSettings) create() domain.CreateRoom {
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	r := domain.CreateRoom{
		Name: text(s.name), Description: text(s.description), Visibility: domain.Visibility(text(s.visibility)), DefaultRole: domain.RoleEditor,
	}
	if s.defaultRole != nil {
		r.DefaultRole = domain.Role(*s.defaultRole)
	}
	return r
}

// answerRoom answers with the Room as the caller sees it.
func (a *API) answerRoom(c echo.Context, status int, v *commands.View) error {
	role, err := v.RoleOf(requestOf(c).actor().ID)
	if err != nil {
		return err
	}
	tellRevision(c, v.Revision)
	return a.json(c, status, wire.AppendRoom(nil, v, role, a.cfg.Hub.Online(v.Room.ID)))
}

// changeRoom runs a command and answers with the room after it.
func (a *API) changeRoom(c echo.Context, room string, cmd domain.Command) error {
	if _, err := a.do(c, room, cmd); err != nil {
		return err
	}
	v, err := a.cfg.Rooms.View(c.Request().Context(), room)
	if err != nil {
		return err
	}
	return a.answerRoom(c, http.StatusOK, v)
}

// getRoom is GET /v1/rooms/:id.
func (a *API) getRoom(c echo.Context) error {
	_, v, _, err := a.enter(c)
	if err != nil {
		return err
	}
	return a.answerRoom(c, http.StatusOK, v)
}

// updateRoom is PATCH /v1/rooms/:id.
func (a *API) updateRoom(c echo.Context) error {
	q := requestOf(c)
	if err := q.signedIn(); err != nil {
		return err
	}
	room, _, _, err := a.enter(c)
	if err != nil {
		return err
	}
	body, err := readBody(c, maxBody)
	if err != nil {
		return err
	}
	var s roomSettings
	if err := decodeMembers(body, s.members(false, false)...); err != nil {
		return err
	}
	u := domain.UpdateRoom{Name: s.name, Description: s.description, Visibility: (*domain.Visibility)(s.visibility), DefaultRole: (*domain.Role)(s.defaultRole)}
	return a.changeRoom(c, room, u)
}

// deleteRoom is DELETE /v1/rooms/:id.
func (a *API) deleteRoom(c echo.Context) error {
	if err := requestOf(c).signedIn(); err != nil {
		return err
	}
	room, _, _, err := a.enter(c)
	if err != nil {
		return err
	}
	result, err := a.do(c, room, domain.DeleteRoom{})
	if err != nil {
		return err
	}
	tellRevision(c, result.Last)
	return c.NoContent(http.StatusNoContent)
}

// rotateKey is POST /v1/rooms/:id/rotate-key: links to the room's pictures which hold its capability are no good from that revision on.
func (a *API) rotateKey(c echo.Context) error {
	if err := requestOf(c).signedIn(); err != nil {
		return err
	}
	room, _, _, err := a.enter(c)
	if err != nil {
		return err
	}
	return a.changeRoom(c, room, domain.RotateKey{})
}

// do asks the room for one change, under the request's If-Match.
func (a *API) do(c echo.Context, room string, command domain.Command) (commands.Result, error) {
	match, err := ifMatch(c)
	if err != nil {
		return commands.Result{}, err
	}
	return a.cfg.Rooms.Do(c.Request().Context(), room, commands.Request{Actor: requestOf(c).actor(), Commands: []domain.Command{command}, IfMatch: match})
}

// listRooms is GET /v1/rooms: the public ones, newest first.
func (a *API) listRooms(c echo.Context) error {
	if v := c.QueryParam("visibility"); v != "" && v != string(domain.Public) {
		return badRequest("visibility: only public rooms are listed")
	}
	limit, err := limitParam(c, roomsPerPage, maxRoomsPage)
	if err != nil {
		return err
	}
	if err := a.waitList(c, c.QueryParam("room")); err != nil {
		return err
	}
	rows, next, err := a.cfg.Queries.ListRooms(c.Request().Context(), string(domain.Public), c.QueryParam("cursor"), limit)
	if err != nil {
		return err
	}
	roles, err := a.rolesIn(c, rows)
	if err != nil {
		return err
	}
	out := []byte(`{"rooms":[`)
	for i := range rows {
		if i > 0 {
			out = append(out, ',')
		}
		out = a.appendRow(out, &rows[i], roles[rows[i].ID])
	}
	out = append(out, ']')
	if next != "" {
		out = events.AppendString(append(out, `,"next_cursor":`...), next)
	}
	return a.json(c, http.StatusOK, append(out, '}'))
}

// rolesIn says what the caller is in each of the rooms: the role they have, what entering gives to strangers, "" to those who were removed.
func (a *API) rolesIn(c echo.Context, rows []projections.RoomRow) (map[string]domain.Role, error) {
	roles := make(map[string]domain.Role, len(rows))
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i], roles[r.ID] = r.ID, domain.Role(r.DefaultRole)
	}
	user := requestOf(c).user
	if user == "" {
		return roles, nil
	}
	own, err := a.cfg.Queries.RolesOf(c.Request().Context(), user, ids)
	for room, role := range own {
		roles[room] = domain.Role(role)
	}
	return roles, err
}

// appendRow appends a Room from its row.
func (a *API) appendRow(dst []byte, r *projections.RoomRow, role domain.Role) []byte {
	v := commands.View{Revision: r.Revision, Room: commands.RoomInfo{
		ID: r.ID, Name: r.Name, Description: r.Description, Visibility: domain.Visibility(r.Visibility), DefaultRole: domain.Role(r.DefaultRole),
		OwnerID: r.OwnerID, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}}
	return wire.AppendRoom(dst, &v, role, a.cfg.Hub.Online(r.ID))
}

// waitList waits until the lists hold what ?min_revision asks for: that revision of the room, or where the list is not of one room, all
// that the log holds now.
func (a *API) waitList(c echo.Context, room string) error {
	revision, ok, err := revisionParam(c, "min_revision")
	if err != nil || !ok {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), minRevisionWait)
	defer cancel()
	if room == "" {
		err = a.cfg.Progress.WaitHead(ctx)
	} else if !domain.ValidRoomID(room) {
		return badRequest("room: is not a room id")
	} else {
		err = a.cfg.Progress.WaitFor(ctx, events.Room(room), revision)
	}
	if err != nil && ctx.Err() != nil && c.Request().Context().Err() == nil {
		return projections.ErrBehind
	}
	return err
}
