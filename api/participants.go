package api

import (
	"net/http"
	"sort"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

const (
	peoplePerPage = 200
	maxPeoplePage = 1_000
)

// listParticipants is GET /v1/rooms/:id/participants, in the order of joining.
func (a *API) listParticipants(c echo.Context) error {
	room, _, _, err := a.enter(c)
	if err != nil {
		return err
	}
	limit, err := limitParam(c, peoplePerPage, maxPeoplePage)
	if err != nil {
		return err
	}
	if err := a.waitList(c, room); err != nil {
		return err
	}
	ctx := c.Request().Context()
	rows, err := a.cfg.Queries.Participants(ctx, room)
	if err != nil {
		return err
	}
	start, err := afterCursor(rows, c.QueryParam("cursor"))
	if err != nil {
		return err
	}
	end := min(start+limit, len(rows))
	people := make([]domain.Participant, 0, end-start)
	for _, r := range rows[start:end] {
		people = append(people, domain.Participant{User: r.UserID, Role: domain.Role(r.Role), JoinedAt: r.JoinedAt})
	}
	out := a.encode.AppendParticipants(ctx, []byte(`{"participants":`), people)
	if end < len(rows) {
		out = events.AppendString(append(out, `,"next_cursor":`...), participantCursor(&rows[end-1]))
	}
	return a.json(c, http.StatusOK, append(out, '}'))
}

// participantCursor stands for a place in the order of joining, whether the person stays or goes.
func participantCursor(r *projections.ParticipantRow) string {
	return strconv.FormatInt(r.JoinedAt, 10) + "." + r.UserID
}

// afterCursor returns the index of the first row after the cursor; rows are in the order of joining, then of ids.
func afterCursor(rows []projections.ParticipantRow, cursor string) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	joined, user, ok := strings.Cut(cursor, ".")
	at, err := strconv.ParseInt(joined, 10, 64)
	if err != nil || !ok {
		return 0, projections.ErrCursor
	}
	return sort.Search(len(rows), func(i int) bool {
		return rows[i].JoinedAt > at || rows[i].JoinedAt == at && rows[i].UserID > user
	}), nil
}

// setParticipant is PUT /v1/rooms/:id/participants/:user.
func (a *API) setParticipant(c echo.Context) error {
	room, user, own, err := a.participantOf(c)
	if err != nil {
		return err
	}
	body, err := readBody(c, maxBody)
	if err != nil {
		return err
	}
	var role string
	if err := decodeMembers(body, member{"role", &role, true}); err != nil {
		return err
	}
	if !domain.ValidRole(domain.Role(role)) {
		return badRequest("role: is not owner, editor, commenter or viewer")
	}
	ready, err := a.cfg.Preparer.Prepare(c.Request().Context(), room, requestOf(c).actor(), own, []domain.Command{domain.SetRole{User: user, Role: domain.Role(role)}})
	if err != nil {
		return err
	}
	result, err := a.do(c, room, ready[0])
	if err != nil {
		return err
	}
	tellRevision(c, result.Last)
	out := a.encode.AppendParticipant(c.Request().Context(), nil, domain.Participant{User: user, Role: domain.Role(role)})
	out = strconv.AppendUint(append(out[:len(out)-1], `,"revision":`...), result.Last, 10)
	return a.json(c, http.StatusOK, append(out, '}'))
}

// removeParticipant is DELETE /v1/rooms/:id/participants/:user.
func (a *API) removeParticipant(c echo.Context) error {
	room, user, _, err := a.participantOf(c)
	if err != nil {
		return err
	}
	result, err := a.do(c, room, domain.RemoveParticipant{User: user})
	if err != nil {
		return err
	}
	tellRevision(c, result.Last)
	return c.NoContent(http.StatusNoContent)
}

// participantOf returns the room and the person of the route, and the caller's own role, for a caller who is signed in and may enter.
func (a *API) participantOf(c echo.Context) (room, user string, own domain.Role, err error) {
	if err := requestOf(c).signedIn(); err != nil {
		return "", "", "", err
	}
	if room, _, own, err = a.enter(c); err != nil {
		return "", "", "", err
	}
	if user = c.Param("user"); !events.ValidStreamID(user) {
		return "", "", "", badRequest("user: is not a user id")
	}
	return room, user, own, nil
}
