package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/domain"
)

// routeRights says what each route asks of the table of rights (domain.Allowed), by the role that the caller has in the route's room. Where it is a
// command's name the room decides again, at the command's own revision. A test fails for a route that is neither here nor in noRoom.
var routeRights = map[string]string{
	"POST /v1/rooms":                          "room.create",
	"GET /v1/rooms/:id":                       domain.RightRead,
	"PATCH /v1/rooms/:id":                     "room.update",
	"DELETE /v1/rooms/:id":                    "room.delete",
	"POST /v1/rooms/:id/transfer":             "room.transfer",
	"POST /v1/rooms/:id/rotate-key":           "room.rotate_key",
	"POST /v1/rooms/:id/tickets":              domain.RightRead,
	"GET /v1/rooms/:id/canvas":                domain.RightRead,
	"GET /v1/rooms/:id/events":                domain.RightRead,
	"GET /v1/rooms/:id/assets":                domain.RightRead,
	"POST /v1/rooms/:id/generations":          "generation.request",
	"GET /v1/rooms/:id/generations":           domain.RightRead,
	"GET /v1/rooms/:id/generations/:gid":      domain.RightRead,
	"DELETE /v1/rooms/:id/generations/:gid":   "generation.cancel", // their own; owners everybody's
	"POST /v1/rooms/:id/commands":             domain.RightRead,    // each command asks for itself
	"GET /v1/rooms/:id/participants":          domain.RightRead,
	"PUT /v1/rooms/:id/participants/:user":    "participant.set_role",
	"DELETE /v1/rooms/:id/participants/:user": "participant.remove",
	"POST /v1/rooms/:id/invites":              "invite.create",
	"GET /v1/rooms/:id/invites":               domain.RightInvites,
	"GET /v1/rooms/:id/spending":              domain.RightSpending,
	"DELETE /v1/rooms/:id/invites/:invite":    "invite.revoke",
	"POST /v1/invites/:code":                  "invite.redeem",
	"GET /v1/rooms/:id/ws":                    domain.RightRead,
	"GET /v1/assets/:id":                      domain.RightRead, // in one of the rooms that show it
	"GET /parties/:party/:room":               domain.RightRead,
	"POST /parties/:party/:room":              domain.RightRead,
	"GET /party/:room":                        domain.RightRead,
	"POST /party/:room":                       domain.RightRead,
}

// noRoom are the routes that are not about one room; the files of the page are the others.
var noRoom = map[string]bool{
	"POST /v1/guests": true, "GET /v1/me": true, "GET /v1/me/spending": true, "POST /v1/me/claim": true, "POST /api/clerk": true, "GET /v1/rooms": true, "GET /v1/models": true,
	"POST /v1/assets": true, "GET /v1/assets/:id/upload": true, "POST /v1/assets/:id/complete": true, "DELETE /v1/assets/:id": true, // the uploader's alone
	"PUT /v1/uploads/:id/:part": true, // whoever has the signed address
	"GET /healthz":              true, "GET /readyz": true, "GET /metrics": true, "GET /openapi.json": true,
	"GET /api/fal": true, "POST /api/fal": true, "PUT /api/fal": true, "PATCH /api/fal": true, "DELETE /api/fal": true,
	"POST /api/fal/webhook/:room/:generation": true, // whoever has the signed address, and fal.ai's signature
}

// rightOf is what the request's route asks for. A route that the table does not know gives nobody anything.
func rightOf(c echo.Context) string {
	method := c.Request().Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return routeRights[method+" "+c.Path()]
}

// ask refuses callers whose role does not have the route's right. Anybody may remove themselves.
func ask(c echo.Context, role domain.Role) error {
	right := rightOf(c)
	if domain.Allowed(role, right) || right == (domain.RemoveParticipant{}).CommandName() && c.Param("user") == requestOf(c).user {
		return nil
	}
	return domain.Errorf(domain.CodeForbidden, "this is not for the role %s", role)
}
