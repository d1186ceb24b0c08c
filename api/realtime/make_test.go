package realtime

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit"
)

// makes lets an address make n rooms an hour.
func makes(n int) option {
	store := ratelimit.NewMemory(nil)
	limit := commands.Limit{Action: "rooms_born", Windows: []commands.Window{{Max: n, Per: 1000 * time.Hour}}}
	return func(c *Config) {
		c.MayMake = func(ctx context.Context, address string) error {
			t, err := store.Take(ctx, limit, commands.Caller{ID: address}, 1)
			if err == nil && !t.OK {
				err = domain.Errorf(domain.CodeRateLimited, "too many new rooms")
			}
			return err
		}
	}
}

// TestOldClientsMakeSoManyRooms: by connecting or in the registry, and no more; rooms that are there stay open to everybody.
func TestOldClientsMakeSoManyRooms(t *testing.T) {
	w := newWorld(t, makes(2))
	base := w.parties()
	there := w.room(domain.Unlisted)
	w.connect(base, "first", "a")
	l := w.lobby(t, base, "carl")
	l.send(`{"type":"room-created","roomId":"second","name":"Second","isPublic":true}`)
	l.of("room-added", "second")
	_, res, err := w.dialOld(base, "third", "a", oldOptions{})
	if err == nil || res == nil || res.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("third: %+v %v", res, err)
	}
	l.send(`{"type":"room-created","roomId":"fourth","name":"Fourth","isPublic":true}`)
	l.send(`{"type":"room-created","roomId":"second","name":"Renamed","isPublic":true}`) // nothing new is made
	for end := soon(t); ; {
		v, err := w.rooms.View(end, "second")
		if err != nil {
			t.Fatal(err)
		}
		if v.Room.Name == "Renamed" { // so the message before was handled, too
			break
		}
	}
	w.connect(base, there, "a")
	w.connect(base, "second", "a")
	if _, err := w.rooms.View(soon(t), "fourth"); err == nil {
		t.Error("a fourth room was made")
	}
}
