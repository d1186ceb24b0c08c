package d1

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/objects"
	"github.com/infinite-kanvas/kanvas/infra/sqlite"
	"github.com/infinite-kanvas/kanvas/projections"
)

const people = 10

// world is a node without its edge: the real log, rooms, people and local tables, and D1 beside them.
type world struct {
	t      *testing.T
	log    *jetstream.Store
	rooms  *commands.Dispatcher
	users  *commands.People
	sealer *commands.Sealer
	shelf  *objects.Dir
	local  *sqlite.Store
	reg    *prometheus.Registry
}

func newWorld(t *testing.T) *world {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	w := &world{t: t, local: local(t), reg: prometheus.NewRegistry()}
	var err error
	w.log, err = jetstream.Open(t.Context(), jetstream.Config{Dir: filepath.Join(dir, "log"), Partitions: 4, Logger: slog.New(slog.DiscardHandler)})
	must(err)
	t.Cleanup(func() { must(w.log.Close(context.Background())) })
	master, err := jetstream.LoadMasterKey(filepath.Join(dir, "master.key"))
	must(err)
	keys, err := w.log.OpenKeys(t.Context(), master)
	must(err)
	w.shelf, err = objects.OpenDir(filepath.Join(dir, "objects"), nil)
	must(err)
	w.rooms = commands.NewDispatcher(commands.Config{Log: w.log, Objects: w.shelf})
	t.Cleanup(func() { must(w.rooms.Close(context.Background())) })
	w.sealer = commands.NewSealer(keys)
	w.users = commands.NewPeople(commands.NewStreams(w.log, nil), w.sealer, nil)
	for i := range people {
		_, err := w.users.Ensure(t.Context(), person(i), commands.KindLocal, "Person "+strconv.Itoa(i))
		must(err)
	}
	return w
}

func person(i int) string { return fmt.Sprint("person", i%people) }

// runner follows the log into a store.
func (w *world) runner(store projections.Store, change ...func(*projections.Config)) *projections.Runner {
	cfg := projections.Config{Source: w.log, Streams: w.log, Store: store, Canvases: w.rooms, Unsealer: w.users, Blobs: w.shelf}
	for _, f := range change {
		f(&cfg)
	}
	return projections.NewRunner(cfg)
}

// store reaches the Worker's D1 by url, as cfg says.
func (w *world) store(e *edgetest.Worker, url string, cfg cloudflare.Config) *Store {
	w.t.Helper()
	cfg.Account, cfg.Secret, cfg.URL, cfg.Registerer = e.Account, e.Secret, url, w.reg
	client, err := cloudflare.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := New(Options{Client: client, Database: e.Database, Registerer: w.reg})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) create(ctx context.Context, room string, owner int) error {
	_, err := w.rooms.Do(ctx, room, commands.Request{Actor: domain.Actor{ID: person(owner)},
		Commands: []domain.Command{domain.CreateRoom{Name: room, Visibility: domain.Public, DefaultRole: domain.RoleEditor}}})
	return err
}

// edit makes the nth change of a room; its answer is waited for.
func (w *world) edit(ctx context.Context, room string, n int, r *rand.Rand) error {
	who := person(r.IntN(people))
	command, err := w.command(ctx, who, n, r)
	if err != nil {
		return err
	}
	if _, ok := command.(domain.Checkpoint); ok {
		who = domain.SystemID
	}
	if _, err := w.rooms.Do(ctx, room, commands.Request{Actor: domain.Actor{ID: who}, Commands: []domain.Command{command}}); err != nil {
		return fmt.Errorf("edit %d of room %s: %w", n, room, err)
	}
	return nil
}

func (w *world) command(ctx context.Context, who string, n int, r *rand.Rand) (domain.Command, error) {
	if n == 0 {
		return addElement("e")
	}
	switch r.IntN(12) {
	case 0:
		return domain.Join{}, nil
	case 1:
		return addElement("e" + strconv.Itoa(n))
	case 2:
		text := fmt.Sprint("hello ", n)
		sealed, err := w.sealer.Seal(ctx, who, text)
		return domain.PostChat{Text: text, Sealed: sealed}, err
	case 3:
		x := float64(n) / 2
		sealed, err := w.sealer.Seal(ctx, who, "look")
		return domain.AddComment{ID: fmt.Sprint("c", n), X: &x, Y: &x, Text: "look", Sealed: sealed}, err
	case 4:
		return domain.Checkpoint{}, nil
	}
	return domain.PatchElement{ID: "e", Set: events.Members{{Key: "x", Value: []byte(strconv.Itoa(n))}}}, nil
}

func addElement(id string) (domain.Command, error) {
	e, err := domain.ParseElement([]byte(`{"id":"` + id + `","type":"shape","text":"some words on it"}`))
	return domain.AddElement{Element: e}, err
}

// number is a whole number from the environment, for tests that are long by hand and short elsewhere.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// until calls ok until it is true.
func until(ctx context.Context, t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, ctx.Err())
		}
	}
}
