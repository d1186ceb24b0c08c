package api

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Claims gives users what their guests have. *commands.Claims implements it.
type Claims interface {
	Finish(ctx context.Context, guest, user string) error
}

// claim is POST /v1/me/claim: a guest turns out to be the caller. The guest's token proves it.
func (a *API) claim(c echo.Context) error {
	q := requestOf(c)
	if err := q.signedIn(); err != nil {
		return err
	}
	if q.who.Kind == commands.KindGuest {
		return domain.Errorf(domain.CodeForbidden, "a guest can't claim another: sign in first")
	}
	body, err := readBody(c, maxBody)
	if err != nil {
		return err
	}
	var token string
	if err := decodeMembers(body, member{"token", &token, true}); err != nil {
		return err
	}
	ctx := c.Request().Context()
	guest, err := a.cfg.Auth.Tokens().Verify(ctx, token)
	if err != nil || guest.Kind != commands.KindGuest {
		return badRequest("token: is not a guest's of this server, or has expired")
	}
	if err := a.cfg.Users.Claim(ctx, guest.User, q.user); err != nil {
		return err
	}
	if err := a.cfg.Claims.Finish(ctx, guest.User, q.user); err != nil {
		return err
	}
	out, err := a.appendMe(ctx, nil, q.user)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, append(appendExpiry(append(out, ','), q.who.Expires), '}'))
}

// appendMe appends `{"id","name","color","claimed_by"?,"claimed"?,"user"`, without the brace at its end: claimed_by is a guest's user, claimed are a
// user's guests.
func (a *API) appendMe(ctx context.Context, dst []byte, user string) ([]byte, error) {
	who := a.cfg.Users.Profile(ctx, user)
	guests, err := a.cfg.Users.Guests(ctx, user)
	if err != nil {
		return nil, err
	}
	plain := wire.AppendUser(nil, user, who.Name, who.Color)
	dst = append(dst, plain[:len(plain)-1]...)
	if who.ClaimedBy != "" {
		dst = events.AppendString(append(dst, `,"claimed_by":`...), who.ClaimedBy)
	}
	if len(guests) > 0 {
		dst = wire.AppendStrings(append(dst, `,"claimed":`...), guests)
	}
	return append(append(dst, `,"user":`...), plain...), nil
}
