package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/infinite-kanvas/kanvas/api"
	"github.com/infinite-kanvas/kanvas/api/realtime"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/fal"
	"github.com/infinite-kanvas/kanvas/infra/pictures"
	"github.com/infinite-kanvas/kanvas/projections"
)

// openGenerations begins to follow what people have made by fal.ai. Without a key of the server's there is nothing to make it with.
func (n *node) openGenerations(proxy *fal.Proxy, prepare *commands.Preparation, webhook func(room, generation string) string, hub *realtime.Hub) error {
	if !proxy.HasKey() {
		return nil
	}
	live, err := n.liveProgress(hub)
	if err != nil {
		return err
	}
	cfg := commands.GenerationConfig{
		Rooms: n.rooms, Table: generationTable{n}, Prepare: prepare, Sealer: n.sealer, Uploads: n.uploads, Objects: n.objects,
		Jobs: fal.NewQueue(proxy), Models: fal.Catalog{Allowed: n.cfg.Fal.Models}, Masks: pictures.NewMask(), Spending: n.budgets,
		Unanswered: n.cfg.Fal.Answer, JobTimeout: n.cfg.Fal.Timeout, Webhook: webhook, Live: live, Active: n.handling.Load, Logger: n.logger, Metrics: n.reg,
	}
	if n.cfg.NATSURL != "" {
		cfg.Grace = otherNodesGrace
	}
	if underTest.generations != nil {
		underTest.generations(&cfg)
	}
	n.generations = commands.NewGenerations(cfg)
	n.onClose("generations", func(context.Context) error { n.generations.Close(); return nil })
	return nil
}

// otherNodesGrace is for how long another node may still be sending a job: longer than one submission takes.
const otherNodesGrace = 2 * time.Minute

// maker and jobListener are what the edge asks of generations; nil where there are none.
func (n *node) maker() api.Generations {
	if n.generations == nil {
		return nil
	}
	return n.generations
}

func (n *node) jobListener() api.JobListener {
	if n.generations == nil {
		return nil
	}
	return n.generations
}

// generationTable is what generations ask of the tables.
type generationTable struct{ n *node }

// Generation waits until the tables are as far as the room is now.
func (t generationTable) Generation(ctx context.Context, room, id string) (commands.GenerationRecord, bool, error) {
	v, err := t.n.rooms.View(ctx, room)
	var refusal *domain.Error
	switch {
	case err == nil:
		err = t.n.runner.WaitFor(ctx, events.Room(room), v.Revision)
	case errors.As(err, &refusal) && refusal.Code == domain.CodeNotFound:
		err = t.n.runner.WaitHead(ctx)
	}
	if err != nil {
		return commands.GenerationRecord{}, false, err
	}
	row, err := t.n.tables.GenerationByID(ctx, room, id)
	if errors.Is(err, projections.ErrNotFound) {
		return commands.GenerationRecord{}, false, nil
	}
	return recordOf(&row), err == nil, err
}

func recordOf(row *projections.GenerationRow) commands.GenerationRecord {
	r := commands.GenerationRecord{Revision: row.Revision, Status: domain.GenerationStatus(row.Status), Open: row.Open, Estimate: row.Estimate}
	if row.Cost != nil {
		r.Cost = *row.Cost
	}
	if row.Assets != "" {
		_ = json.Unmarshal([]byte(row.Assets), &r.Assets) // the projection's own JSON
	}
	r.Code, r.Detail = row.Reason, row.Detail
	return r
}

// generationsPage is how many are asked for at once.
const generationsPage = 500

// Unfinished implements commands.GenerationTable.
func (t generationTable) Unfinished(ctx context.Context, yield func(room, id string) bool) error {
	for room, id := "", ""; ; {
		rows, err := t.n.tables.UnfinishedGenerations(ctx, room, id, generationsPage)
		if err != nil {
			return err
		}
		for i := range rows {
			if room, id = rows[i].RoomID, rows[i].ID; !yield(room, id) {
				return nil
			}
		}
		if len(rows) < generationsPage {
			return nil
		}
	}
}

// liveProgress shows progress to whoever has the room open, on other nodes too.
func (n *node) liveProgress(hub *realtime.Hub) (func(commands.GenerationProgress), error) {
	if n.cfg.NATSURL == "" {
		return hub.ShowProgress, nil
	}
	tell, err := n.log.OpenTopic("generations", func(data []byte) {
		var p commands.GenerationProgress
		if json.Unmarshal(data, &p) == nil {
			hub.ShowProgress(p)
		}
	})
	if err != nil {
		return nil, err
	}
	return func(p commands.GenerationProgress) {
		b, err := json.Marshal(p)
		if err == nil {
			err = tell(b)
		}
		if err != nil {
			n.logger.Info("progress_untold", "roomId", p.Room, "error", err.Error())
		}
	}, nil
}
