package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/api/realtime"
)

// newTestHub is the real hub over the same rooms and people.
func newTestHub(t testing.TB, cfg Config) Hub {
	hub := realtime.New(realtime.Config{
		Rooms: cfg.Rooms, Users: cfg.Users, Preparer: cfg.Preparer, Authenticator: socketAuth{cfg}, AllowOrigin: cfg.Sites.OriginAllowed, AllowCookie: cfg.Sites.CookieAllowed,
		Address: func(r *http.Request) string { return auth.AddressKey(cfg.Proxies.Client(r)) },
		Logger:  cfg.Logger, Registerer: cfg.Registerer, Pictures: cfg.Queries,
	})
	t.Cleanup(func() {
		if err := hub.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return hub
}

// socketAuth is the hub's Authenticator over the same tokens.
type socketAuth struct{ cfg Config }

func (s socketAuth) Authenticate(ctx context.Context, token string) (realtime.Identity, error) {
	who, err := s.cfg.Auth.Authenticate(ctx, token)
	if errors.Is(err, auth.ErrExpired) {
		return realtime.Identity{}, fmt.Errorf("%w: %w", realtime.ErrExpired, tokenRefusal(err))
	}
	if err != nil {
		return realtime.Identity{}, tokenRefusal(err)
	}
	p := s.cfg.Users.Profile(ctx, who.User)
	return realtime.Identity{UserID: who.User, Name: p.Name, Color: p.Color, ExpiresAt: who.Expires}, nil
}
