package api

import (
	"context"
	"testing"

	"github.com/infinite-kanvas/kanvas/api/realtime"
)

// newTestHub is the real hub over the same rooms and people.
func newTestHub(t testing.TB, cfg Config) Hub {
	hub := realtime.New(realtime.Config{
		Rooms: cfg.Rooms, Users: cfg.Users, Preparer: cfg.Preparer, Authenticator: SocketAuth{cfg.Auth, cfg.Users}, AllowOrigin: cfg.Sites.OriginAllowed,
		Logger: cfg.Logger, Registerer: cfg.Registerer,
	})
	t.Cleanup(func() {
		if err := hub.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return hub
}
