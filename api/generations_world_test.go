package api

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/api/realtime"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/fal"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
	"github.com/infinite-kanvas/kanvas/infra/pictures"
	"github.com/infinite-kanvas/kanvas/infra/watermill"
	"github.com/infinite-kanvas/kanvas/projections"
)

const (
	textToImage = "fal-ai/flux-kontext-lora/text-to-image"
	restyle     = "fal-ai/flux-kontext-lora"
	background  = "fal-ai/bria/background/remove"
	isolate     = "fal-ai/evf-sam"
	imageVideo  = "fal-ai/bytedance/seedance/v1/lite/image-to-video"
)

// generationWorld is a server that makes pictures by the stand-in for fal.ai, through the real queue, handlers and accounts.
type generationWorld struct {
	*world
	fal    *faltest.Server
	gens   *commands.Generations
	config commands.GenerationConfig
	runner *watermill.Runner
}

func newGenerationWorld(t *testing.T, change ...func(*commands.GenerationConfig)) *generationWorld {
	t.Helper()
	g := &generationWorld{fal: faltest.Start(t)}
	g.fal.SignUploads()
	models := fal.Models{"fal-ai/flux-kontext-lora", "fal-ai/bria/background", isolate, "fal-ai/bytedance/seedance"}
	proxy, err := fal.New(fal.Config{Key: faltest.Key, Models: models, Dial: g.fal.Dial, TLS: g.fal.TLS})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	g.world = newWorld(t, many, func(c *Config) { c.Fal = proxy })
	g.world.t = t
	g.config = commands.GenerationConfig{
		Rooms: g.rooms, Table: g, Prepare: g.cfg.Preparer.(*commands.Preparation), Sealer: g.sealer, Uploads: g.uploads, Objects: g.cfg.Objects,
		Jobs: fal.NewQueue(proxy), Models: fal.Catalog{Allowed: models}, Masks: pictures.NewMask(), Spending: g.budgets,
		Live: g.cfg.Hub.(*realtime.Hub).ShowProgress, Logger: g.cfg.Logger,
		PollFirst: 5 * time.Millisecond, PollLast: 20 * time.Millisecond, Retry: 5 * time.Millisecond, Look: 50 * time.Millisecond,
	}
	for _, f := range change {
		f(&g.config)
	}
	g.start()
	t.Cleanup(g.halt)
	return g
}

// start begins to follow generations, as a process that starts does.
func (g *generationWorld) start() {
	g.t.Helper()
	g.gens = commands.NewGenerations(g.config)
	g.api.cfg.Generations = g.gens
	g.api.cfg.Offer = Offer{Models: fal.Catalog{Allowed: fal.Models{"fal-ai/flux-kontext-lora", isolate}}.Offered, Estimate: g.budgets.Estimate}
	var err error
	g.runner, err = watermill.Run(context.Background(), g.log, []watermill.Handler{{Name: "generations", Lane: "process", Kinds: []events.Kind{events.KindRoom},
		Wants: commands.AboutGenerations, Fn: g.gens.Handle}}, watermill.Options{})
	if err != nil {
		g.t.Fatal(err)
	}
}

// halt stops, as a process that ends does.
func (g *generationWorld) halt() {
	if g.runner == nil {
		return
	}
	if err := g.runner.Close(context.Background()); err != nil {
		g.t.Error(err)
	}
	g.gens.Close()
	g.runner = nil
}

// Generation implements commands.GenerationTable.
func (g *generationWorld) Generation(ctx context.Context, room, id string) (commands.GenerationRecord, bool, error) {
	if err := g.world.runner.WaitHead(ctx); err != nil {
		return commands.GenerationRecord{}, false, err
	}
	row, err := g.store.GenerationByID(ctx, room, id)
	if errors.Is(err, projections.ErrNotFound) {
		return commands.GenerationRecord{}, false, nil
	}
	r := commands.GenerationRecord{Revision: row.Revision, Status: domain.GenerationStatus(row.Status), Open: row.Open, Estimate: row.Estimate}
	if row.Cost != nil {
		r.Cost = *row.Cost
	}
	if row.Assets != "" && err == nil {
		err = json.Unmarshal([]byte(row.Assets), &r.Assets)
	}
	r.Code, r.Detail = row.Reason, row.Detail
	return r, err == nil, err
}

// Unfinished implements commands.GenerationTable.
func (g *generationWorld) Unfinished(ctx context.Context, yield func(room, id string) bool) error {
	rows, err := g.store.UnfinishedGenerations(ctx, "", "", 1000)
	for i := range rows {
		if !yield(rows[i].RoomID, rows[i].ID) {
			break
		}
	}
	return err
}

// order asks for a generation and returns its id.
func (g *generationWorld) order(p person, room string, body cmd, headers ...string) string {
	g.t.Helper()
	return g.call("POST", room+"/generations", p.token, body, headers...).ok(202).str("id")
}

// became waits until a generation stands as said, and returns it.
func (g *generationWorld) became(p person, room, id string, status ...string) cmd {
	g.t.Helper()
	ctx := soon(g.t)
	for {
		is := g.call("GET", room+"/generations/"+id, p.token, nil).ok(200).json()
		for _, s := range status {
			if is["status"] == s {
				return is
			}
		}
		if ctx.Err() != nil {
			g.t.Fatalf("generation %s became %v, not %v: %v", id, is["status"], status, is)
		}
	}
}

// shown is an element of the room, or nil.
func (g *generationWorld) shown(p person, room, id string) cmd {
	g.t.Helper()
	for _, e := range g.call("GET", room+"/canvas", p.token, nil).ok(200).list("elements") {
		if e := e.(cmd); e["id"] == id {
			return e
		}
	}
	return nil
}

// events are those of the room of a type, oldest first.
func (g *generationWorld) eventsOf(p person, room, typ string) (list []cmd) {
	g.t.Helper()
	for _, e := range g.call("GET", room+"/events?limit=1000", p.token, nil).ok(200).list("events") {
		if e := e.(cmd); e["type"] == typ {
			list = append(list, e["data"].(cmd))
		}
	}
	return list
}
