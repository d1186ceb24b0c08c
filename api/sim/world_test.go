package sim

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/api/realtime"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/objects"
)

// world is a server that can end and come back on the same directory and address.
type world struct {
	t      *testing.T
	dir    string
	master jetstream.MasterKey
	srv    *httptest.Server

	log   *jetstream.Store
	rooms *commands.Dispatcher
	hub   *realtime.Hub
}

// tokens takes a user id for its token: who may be whom is not what is simulated.
type tokens struct{ people *commands.People }

func (a tokens) Authenticate(ctx context.Context, token string) (realtime.Identity, error) {
	p, err := a.people.Ensure(ctx, token, "local", token)
	return realtime.Identity{UserID: p.ID, Name: p.Name, Color: p.Color, ExpiresAt: time.Now().Add(time.Hour)}, err
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	if _, err := rand.Read(w.master[:]); err != nil {
		t.Fatal(err)
	}
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if w.log, err = jetstream.Open(ctx, jetstream.Config{Dir: filepath.Join(w.dir, "log"), Partitions: 2, Logger: quiet}); err != nil {
		w.t.Fatal(err)
	}
	keys, err := w.log.OpenKeys(ctx, w.master)
	if err != nil {
		w.t.Fatal(err)
	}
	store, err := objects.OpenDir(filepath.Join(w.dir, "objects"), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	streams := commands.NewStreams(w.log, nil)
	sealer := commands.NewSealer(keys)
	people := commands.NewPeople(streams, sealer, quiet)
	w.rooms = commands.NewDispatcher(commands.Config{Log: w.log, Objects: store, Logger: quiet})
	prepare := commands.NewPreparer(commands.PrepareConfig{Rooms: w.rooms, Sealer: sealer, Assets: commands.NewAssets(streams, store)})
	limits := realtime.DefaultLimits()
	limits.QueueBytes, limits.LargeBytes = 8<<10, 64<<10 // so that readers who stop are too slow soon
	limits.CloseLinger = 300 * time.Millisecond          // readers who rest do not answer a close
	limits.RoomLinger = 50 * time.Millisecond
	w.hub = realtime.New(realtime.Config{Rooms: w.rooms, Users: people, Preparer: prepare, Authenticator: tokens{people},
		AllowOrigin: func(*http.Request) bool { return true }, AllowCookie: func(*http.Request) bool { return false },
		Address: func(*http.Request) string { return "sim" }, Limits: limits, Logger: quiet})
	handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.hub.ServeV1(rw, r, strings.TrimPrefix(r.URL.Path, "/"))
	})
	w.srv = httptest.NewServer(handler)
}

// stop ends the server with whatever is under way: sockets hear of it or are cut.
func (w *world) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for what, err := range map[string]error{"hub": w.hub.Drain(ctx), "rooms": w.rooms.Close(ctx)} {
		if err != nil {
			w.t.Errorf("close %s: %v", what, err)
		}
	}
	w.srv.CloseClientConnections()
	w.srv.Close()
	if err := w.log.Close(ctx); err != nil {
		w.t.Errorf("close log: %v", err)
	}
}

func (w *world) url(room string) string {
	return fmt.Sprintf("ws%s/%s", strings.TrimPrefix(w.srv.URL, "http"), room)
}
