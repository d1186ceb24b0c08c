package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/infinite-kanvas/kanvas/api/bench"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/config"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
)

// benchmark hands the rows that need a ready log what makes one.
func benchmark(ctx context.Context, c *call) error {
	return bench.Main(ctx, c.args, c.stdout, c.stderr, fillLog, timeRebuild)
}

// fillRooms is how many rooms the made log has.
const fillRooms = 100

// fillLog writes about want events below dir, so many a commit, without fsync, and leaves it as a server would.
func fillLog(ctx context.Context, dir string, want, perCommit int) error {
	log, err := jetstream.Open(ctx, jetstream.Config{Dir: filepath.Join(dir, "log"), Durability: jetstream.DurabilityInterval, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	errs := make(chan error, fillRooms)
	places := make(chan struct{}, 16)
	for r := range fillRooms {
		go func() {
			places <- struct{}{}
			defer func() { <-places }()
			errs <- fillRoom(ctx, log, fmt.Sprintf("filled-%d", r), want/fillRooms, perCommit)
		}()
	}
	for range fillRooms {
		err = errors.Join(err, <-errs)
	}
	return errors.Join(err, log.Close(ctx))
}

func fillRoom(ctx context.Context, log *jetstream.Store, room string, want, perCommit int) error {
	var seq, revision uint64
	prev, at := "", time.Now().UnixMilli()-int64(want)
	for int(revision) < want {
		c := &events.Commit{First: revision + 1, At: at + int64(revision), Prev: prev}
		for i := range perCommit {
			c.Events = append(c.Events, fillEvent(room, revision+1+uint64(i)))
		}
		payload, err := events.Encode(c)
		if err != nil {
			return err
		}
		if seq, err = log.Append(ctx, events.Room(room), seq, payload); err != nil {
			return err
		}
		prev, revision = c.Sum, c.Last()
	}
	return nil
}

// fillEvent is the room's n-th event: it is made, gets 200 elements, and then they are moved.
func fillEvent(room string, n uint64) events.Event {
	e := events.Event{ID: uuid.Must(uuid.NewV7()).String(), Actor: "filler"}
	switch {
	case n == 1:
		e.Type, e.Payload = events.RoomCreated, &events.RoomCreatedData{Name: room, Visibility: "public", DefaultRole: "editor", Owner: "filler"}
	case n <= 201:
		e.Type = events.ElementAdded
		e.Payload = &events.ElementAddedData{Element: fmt.Appendf(nil, `{"id":"e%d","type":"shape","z":"a%03d","fill":"#4ECDC4","height":200,"shape":"rect","width":320,"x":%d,"y":0}`, n-2, n-1, n)}
	default:
		e.Type = events.ElementPatched
		e.Payload = &events.ElementPatchedData{ID: fmt.Sprintf("e%d", n%200), Set: events.Members{{Key: "x", Value: fmt.Appendf(nil, "%d", n)}, {Key: "y", Value: fmt.Appendf(nil, "%d.5", n)}}}
	}
	return e
}

// timeRebuild rebuilds the tables of dir; they were empty before, so all of the log is read.
func timeRebuild(ctx context.Context, dir string) (int, time.Duration, error) {
	cfg := config.Default()
	cfg.Data, cfg.MasterKey = dir, filepath.Join(dir, "master.key")
	n, err := openNode(ctx, cfg, io.Discard)
	if err != nil {
		return 0, 0, err
	}
	r, err := n.runner.Rebuild(ctx, "")
	return int(r.Events), r.Duration, errors.Join(err, n.close(context.WithoutCancel(ctx)))
}
