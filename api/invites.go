package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// An invite's code is "<room>.<secret>", so that it is redeemed in its room's own stream on any node, however far projections got. The page takes
// it from the address's fragment, which browsers keep out of requests, logs and Referer.
const (
	inviteBytes = 32 // of the secret
	invitePath  = "/invite#"
)

func newInviteCode(room string) string {
	var secret [inviteBytes]byte
	rand.Read(secret[:]) // never fails: crypto/rand ends the process where there is no randomness
	return room + "." + base64.RawURLEncoding.EncodeToString(secret[:])
}

// inviteHash is what a room knows of a code.
func inviteHash(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}

// roomOfCode returns the room that a code is for; ok is false for what can't be one.
func roomOfCode(code string) (room string, ok bool) {
	room, secret, ok := strings.Cut(code, ".")
	b, err := base64.RawURLEncoding.Strict().DecodeString(secret)
	return room, ok && err == nil && len(b) == inviteBytes && domain.ValidRoomID(room)
}

// createInvite is POST /v1/rooms/:id/invites. The code is in its answer and nowhere else.
func (a *API) createInvite(c echo.Context) error {
	if err := requestOf(c).signedIn(); err != nil {
		return err
	}
	room, _, _, err := a.enter(c)
	if err != nil {
		return err
	}
	command, err := readInvite(c)
	if err != nil {
		return err
	}
	code := newInviteCode(room)
	command.ID, command.Hash = newID(), inviteHash(code)
	result, err := a.do(c, room, command)
	if err != nil {
		return err
	}
	tellRevision(c, result.Last)
	out := wire.AppendTerms([]byte{'{'}, command.ID, command.Role, command.ExpiresAt, command.Uses)
	out = events.AppendString(append(out, `,"code":`...), code)
	out = events.AppendString(append(out, `,"url":`...), a.origin(c)+invitePath+code)
	return a.json(c, http.StatusCreated, append(out, '}'))
}

func readInvite(c echo.Context) (domain.CreateInvite, error) {
	var d domain.CreateInvite
	body, err := readBody(c, maxBody)
	if err != nil {
		return d, err
	}
	var expires *string
	var uses *int
	if err := decodeMembers(body, member{"role", &d.Role, true}, member{"expires_at", &expires, false}, member{"uses", &uses, false}); err != nil {
		return d, err
	}
	if !domain.ValidRole(d.Role) || d.Role == domain.RoleOwner {
		return d, badRequest("role: is not editor, commenter or viewer")
	}
	if expires != nil {
		at, err := time.Parse(time.RFC3339, *expires)
		if err != nil {
			return d, badRequest("expires_at: is not a time such as 2026-01-31T12:00:00Z")
		}
		d.ExpiresAt = max(at.UnixMilli(), 1)
	}
	if uses != nil {
		if d.Uses = *uses; d.Uses < 1 {
			return d, badRequest("uses: is not 1 to %d", domain.MaxInviteUses)
		}
	}
	return d, nil
}

// listInvites is GET /v1/rooms/:id/invites, read from the room: what was made is there at once.
func (a *API) listInvites(c echo.Context) error {
	if err := requestOf(c).signedIn(); err != nil {
		return err
	}
	_, v, _, err := a.enter(c)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, append(wire.AppendInvites([]byte(`{"invites":`), v.Invites), '}'))
}

// revokeInvite is DELETE /v1/rooms/:id/invites/:invite. Who came by it stays.
func (a *API) revokeInvite(c echo.Context) error {
	if err := requestOf(c).signedIn(); err != nil {
		return err
	}
	room, _, _, err := a.enter(c)
	if err != nil {
		return err
	}
	result, err := a.do(c, room, domain.RevokeInvite{ID: c.Param("invite")})
	if err != nil {
		return err
	}
	tellRevision(c, result.Last)
	return c.NoContent(http.StatusNoContent)
}

// redeemInvite is POST /v1/invites/:code: the caller becomes a participant, and is answered with the room.
func (a *API) redeemInvite(c echo.Context) error {
	q := requestOf(c)
	if err := q.signedIn(); err != nil {
		return err
	}
	room, ok := roomOfCode(c.Param("code"))
	if !ok {
		return domain.Errorf(domain.CodeNotFound, "no such invite, or it was revoked")
	}
	q.room = room
	return a.changeRoom(c, room, domain.RedeemInvite{Hash: inviteHash(c.Param("code"))})
}

// transferRoom is POST /v1/rooms/:id/transfer.
func (a *API) transferRoom(c echo.Context) error {
	if err := requestOf(c).signedIn(); err != nil {
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
	var user string
	if err := decodeMembers(body, member{"user_id", &user, true}); err != nil {
		return err
	}
	return a.changeRoom(c, room, domain.TransferRoom{User: user})
}

// origin is where clients reach this server, without a slash at the end: as configured, else as the caller did.
func (a *API) origin(c echo.Context) string {
	if a.cfg.PublicURL != "" {
		return strings.TrimSuffix(a.cfg.PublicURL, "/")
	}
	return c.Scheme() + "://" + c.Request().Host // a known name: the guard asked
}
