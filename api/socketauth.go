package api

import (
	"context"
	"errors"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/api/realtime"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// SocketAuth is the hub's Authenticator: the same tokens as over HTTP.
type SocketAuth struct {
	Auth  *auth.Authenticator
	Users commands.Users
}

// Authenticate implements realtime.Authenticator. Errors are *domain.Error; an expired token's also wraps auth.ErrExpired, and comes with
// the Identity that it was of.
func (s SocketAuth) Authenticate(ctx context.Context, token string) (realtime.Identity, error) {
	who, err := s.Auth.Authenticate(ctx, token)
	if errors.Is(err, auth.ErrExpired) {
		return realtime.Identity{UserID: who.User, ExpiresAt: who.Expires}, errors.Join(tokenRefusal(err), auth.ErrExpired)
	}
	if err != nil {
		if refused := tokenRefusal(err); errors.As(refused, new(*domain.Error)) {
			return realtime.Identity{}, refused
		}
		return realtime.Identity{}, errors.Join(domain.Errorf(domain.CodeUpstreamFailed, "the token could not be checked now"), err)
	}
	p := s.Users.Profile(ctx, who.User)
	return realtime.Identity{UserID: who.User, Name: p.Name, Color: p.Color, ExpiresAt: who.Expires}, nil
}
