package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"sync"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

// receiver takes the bytes of uploads, where the store is this server's own.
func (n *node) receiver() commands.Receiver {
	r, _ := n.intake.(commands.Receiver)
	return r
}

// uploadOrigin is where browsers send files; "": to this server.
func (n *node) uploadOrigin() string {
	if n.receiver() != nil {
		return ""
	}
	at, err := url.Parse(n.cfg.Cloudflare.S3Endpoint())
	if err != nil {
		return "" // it was checked, and the store is open by it
	}
	return at.Scheme + "://" + at.Host
}

// startUploads sweeps uploads and looks for unused assets until the node closes.
func (n *node) startUploads() {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for what, run := range map[string]func(context.Context) error{
		"uploads": n.uploads.Run, "unused": func(ctx context.Context) error { return n.uploads.RunUnused(ctx, n.cfg.UnusedEvery, n.unused(false)) },
	} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				n.logger.Error(what+"_ended", "error", err.Error())
			}
		})
	}
	n.onClose("uploads", func(context.Context) error {
		stop()
		running.Wait()
		return nil
	})
}

// unused is where unused assets are looked for.
func (n *node) unused(dry bool) commands.UnusedConfig {
	return commands.UnusedConfig{DryRun: dry, Shown: n.shown, Stored: func(ctx context.Context, yield func(string) bool) error {
		return n.stored(ctx, func(row *projections.AssetRow) bool { return yield(row.ID) })
	}}
}

// What is read of the log at once.
const (
	scanRecords = 500
	scanBytes   = 8 << 20
)

// shown reads the whole log, as it is now, for the assets that rooms name.
func (n *node) shown(ctx context.Context) (map[string]bool, error) {
	ids := map[string]bool{}
	err := n.scan(ctx, func(rec events.Record) error { commands.ShownIDs(rec, ids); return nil })
	return ids, err
}

// scan yields the whole log as it is at the call, partition by partition.
func (n *node) scan(ctx context.Context, yield func(events.Record) error) error {
	for p := range n.log.Partitions() {
		_, last, err := n.log.Bounds(ctx, p)
		if err != nil {
			return err
		}
		for after := uint64(0); after < last; {
			recs, err := n.log.Next(ctx, p, after, scanRecords, scanBytes)
			if err != nil {
				return err
			}
			for _, rec := range recs {
				if err := yield(rec); err != nil {
					return err
				}
				after = rec.Seq
			}
		}
	}
	return nil
}

// opAssets is kanvas assets unused.
func (n *node) opAssets(ctx context.Context, args []string, out io.Writer) error {
	dry := slices.Contains(args, "--dry-run=true")
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--dry-run=true" || a == "--dry-run=false" })
	if len(args) != 1 || args[0] != "unused" {
		return errors.New("assets: say what about them: unused (see kanvas assets --help)")
	}
	var failed error
	err := n.uploads.FindUnused(ctx, n.unused(dry), func(u commands.Unused) {
		failed = errors.Join(failed, json.NewEncoder(out).Encode(u))
	})
	return errors.Join(err, failed)
}

// assetsPage is how many assets are asked for at once.
const assetsPage = 500

// stored yields the assets that can be served, by their rows.
func (n *node) stored(ctx context.Context, yield func(*projections.AssetRow) bool) error {
	for after := ""; ; {
		rows, err := n.tables.StoredAssets(ctx, after, assetsPage)
		if err != nil {
			return err
		}
		for i := range rows {
			if !yield(&rows[i]) {
				return nil
			}
			after = rows[i].ID
		}
		if len(rows) < assetsPage {
			return nil
		}
	}
}

// withoutVariants yields stored pictures that nothing smaller was made of yet, as far as the lists know.
func (n *node) withoutVariants(ctx context.Context, yield func(asset string) bool) error {
	return n.stored(ctx, func(row *projections.AssetRow) bool { return row.Variants != "" || yield(row.ID) })
}
