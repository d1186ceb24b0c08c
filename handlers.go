package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/watermill"
)

// standbyEvery is how often a node beside another asks whether it may run the handlers.
const standbyEvery = 10 * time.Second

// startHandlers runs the process handlers on the log. On an external log one node runs them at a time; the others stand by.
func (n *node) startHandlers() error {
	checkpointer := commands.NewCheckpointer(commands.CheckpointConfig{Rooms: n.rooms, Backlog: snapshots{n.tables}, Logger: n.logger, Metrics: n.reg})
	n.onClose("checkpoints", func(context.Context) error { checkpointer.Close(); return nil })
	writer := commands.NewSnapshotWriter(commands.SnapshotConfig{Source: n.rooms, Objects: n.objects, Logger: n.logger, Metrics: n.reg})
	n.onClose("snapshots", func(context.Context) error { writer.Close(); return nil })
	shrinker := n.shrinker()
	n.onClose("pictures", func(context.Context) error { shrinker.Close(); return nil })
	variants := commands.NewVariants(commands.VariantConfig{Streams: n.streams, Objects: n.objects, Shrinker: shrinker, Backlog: n.withoutVariants, Logger: n.logger})
	n.onClose("variants", func(context.Context) error { variants.Close(); return nil })
	// One lane for all of them: a durable consumer of its own for each of the four cost more CPU than the commit itself.
	const lane = "process"
	rooms := []events.Kind{events.KindRoom}
	handlers := []watermill.Handler{
		{Name: "operations", Lane: lane, Kinds: rooms, Wants: commands.AboutOperations, Fn: commands.FinishOperations(n.rooms.Settle)},
		{Name: "checkpoints", Lane: lane, Kinds: rooms, Fn: checkpointer.Handle},
		{Name: "snapshots", Lane: lane, Kinds: rooms, Wants: commands.AboutCheckpoints, Fn: writer.Handle},
		{Name: "pictures", Lane: lane, Kinds: rooms, Wants: commands.AboutPictures, Fn: commands.TakenOutPictures(n.assets)},
		{Name: "variants", Lane: lane, Kinds: []events.Kind{events.KindAsset}, Wants: commands.AboutStored, Fn: variants.Handle},
		{Name: "deletions", Lane: lane, Kinds: []events.Kind{events.KindUser}, Wants: commands.AboutDeletions, Fn: n.forget.Handle},
		{Name: "claims", Lane: lane, Kinds: []events.Kind{events.KindUser}, Wants: commands.AboutClaims, Fn: n.claims.Handle},
	}
	if n.generations != nil {
		handlers = append(handlers, watermill.Handler{Name: "generations", Lane: lane, Kinds: rooms, Wants: commands.AboutGenerations, Fn: n.generations.Handle})
	}
	ctx, stop := context.WithCancel(context.Background())
	first, err := n.runHandlers(ctx, handlers)
	if err != nil && n.cfg.NATSURL == "" {
		stop()
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- n.standBy(ctx, handlers, first, err) }()
	n.onClose("handlers", func(closing context.Context) error {
		stop()
		select {
		case err := <-ended:
			return err
		case <-closing.Done():
			return closing.Err()
		}
	})
	return nil
}

// runHandlers starts them once. Their metrics show only where they run.
func (n *node) runHandlers(ctx context.Context, handlers []watermill.Handler) (*watermill.Runner, error) {
	reg := prometheus.NewRegistry()
	r, err := watermill.Run(ctx, n.log, handlers, watermill.Options{Logger: n.logger, Registerer: reg})
	if err != nil {
		return nil, err
	}
	n.handling.Store(true)
	return r, errors.Join(n.reg.Register(reg))
}

// standBy holds the handlers, trying to get them first where another node has them, until ctx ends.
func (n *node) standBy(ctx context.Context, handlers []watermill.Handler, r *watermill.Runner, err error) error {
	for said := false; r == nil; {
		if !said {
			n.logger.Info("handlers_stand_by", "error", err.Error())
			said = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(standbyEvery):
			r, err = n.runHandlers(ctx, handlers)
		}
	}
	<-ctx.Done()
	n.handling.Store(false)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return r.Close(stop)
}
