package api

import (
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// roomOf returns the room of the route; ids that can't be one are not found.
func roomOf(c echo.Context) (string, error) {
	id := c.Param("id")
	if id == "" {
		id = c.Param("room")
	}
	if !domain.ValidRoomID(id) {
		return "", domain.Errorf(domain.CodeNotFound, "there is no such room")
	}
	requestOf(c).room = id
	return id, nil
}

// enter returns the room of the route as it is now, and the caller's role in it. Strangers of private rooms get CodeNotFound, people who were
// removed and those whose role lacks the route's right CodeForbidden.
func (a *API) enter(c echo.Context) (room string, v *commands.View, role domain.Role, err error) {
	if room, err = roomOf(c); err != nil {
		return "", nil, "", err
	}
	if v, err = a.cfg.Rooms.View(c.Request().Context(), room); err != nil {
		return "", nil, "", err
	}
	if role, err = v.RoleOf(requestOf(c).actor().ID); err == nil {
		err = ask(c, role)
	}
	if err != nil {
		return "", nil, "", err
	}
	return room, v, role, nil
}

// maxRevision is the largest revision that JSON carries exactly.
const maxRevision = 1<<53 - 1

// revisionParam reads a revision from the query; ok is false where there is none.
func revisionParam(c echo.Context, name string) (revision uint64, ok bool, err error) {
	if !c.QueryParams().Has(name) {
		return 0, false, nil
	}
	revision, err = parseRevision(c.QueryParam(name))
	if err != nil {
		return 0, false, badRequest("%s: is not a revision", name)
	}
	return revision, true, nil
}

func parseRevision(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > maxRevision {
		return 0, badRequest("not a revision")
	}
	return n, nil
}

// limitParam reads how many of a list are wanted: more than most is clamped.
func limitParam(c echo.Context, normal, most int) (int, error) {
	if !c.QueryParams().Has("limit") {
		return normal, nil
	}
	n, err := strconv.ParseUint(c.QueryParam("limit"), 10, 31)
	if err != nil || n == 0 {
		return 0, badRequest("limit: is not a number above 0")
	}
	return min(int(n), most), nil
}

// ifMatch reads the revision that If-Match asks for; nil where it asks for none.
func ifMatch(c echo.Context) (*uint64, error) {
	h := strings.TrimSpace(c.Request().Header.Get("If-Match"))
	if h == "" || h == "*" {
		return nil, nil
	}
	n, err := parseRevision(strings.Trim(h, `"`))
	if err != nil || len(h) < 3 || h[0] != '"' || h[len(h)-1] != '"' {
		return nil, badRequest(`If-Match: is not one revision in quotes, such as "12"`)
	}
	return &n, nil
}

func etag(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

// tellRevision says in a header where the room is after a change, for If-Match and min_revision.
func tellRevision(c echo.Context, revision uint64) {
	c.Response().Header().Set("Kanvas-Revision", strconv.FormatUint(revision, 10))
}

// matches reports whether If-None-Match names the tag.
func matches(header, tag string) bool {
	for _, t := range strings.Split(header, ",") {
		if t = strings.TrimPrefix(strings.TrimSpace(t), "W/"); t == tag || t == "*" {
			return true
		}
	}
	return false
}
