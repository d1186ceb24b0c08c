package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/config"
	"github.com/infinite-kanvas/kanvas/infra/objects"
	"github.com/infinite-kanvas/kanvas/infra/r2"
)

// Places that copy knows.
const (
	placeLocal      = "local"
	placeCloudflare = "cloudflare"
)

const (
	copyChecked  = 30 * time.Second // for the first answer of R2
	progressStep = 100              // objects from one line of progress to the next
)

// copyStores brings objects from one place to the other, and makes the tables there from the log.
func copyStores(ctx context.Context, c *call) error {
	from, to := c.flag("from"), c.flag("to")
	if len(c.args) > 0 || !(from == placeLocal && to == placeCloudflare || from == placeCloudflare && to == placeLocal) {
		return errors.New("copy: --from local --to cloudflare is needed, or --from cloudflare --to local")
	}
	dry := c.flag("dry-run") == "true"
	if !c.cfg.Cloudflare.Objects() && !c.cfg.Cloudflare.D1() {
		return errors.New("copy: neither R2 nor D1 is configured (set R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY, or D1_DATABASE_ID)")
	}
	if _, err := os.Stat(c.cfg.Data); err != nil && from == placeLocal {
		return fmt.Errorf("copy: there is nothing to copy: %w", err)
	}
	if err := copyObjects(ctx, &c.cfg, from, dry, c.stdout); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	return copyTables(ctx, c, to, dry)
}

func copyObjects(ctx context.Context, cfg *config.Config, from string, dry bool, out io.Writer) error {
	if !cfg.Cloudflare.Objects() {
		_, err := fmt.Fprintln(out, "objects: R2 is not configured, they stay where they are")
		return err
	}
	dir, err := objects.OpenDirBeside(objectsDir(cfg))
	if err != nil {
		return err
	}
	bucket, err := openBucket(cfg, nil, nil)
	if err != nil {
		return err
	}
	ping, cancel := context.WithTimeout(ctx, copyChecked)
	defer cancel()
	if err := bucket.Ping(ping); err != nil {
		return err
	}
	work := &objects.Copy{From: r2.DirSide(dir), To: bucket.Side(), DryRun: dry, Progress: progress(out, dry)}
	if from == placeCloudflare {
		work.From, work.To = work.To, work.From
	}
	got, err := work.Run(ctx)
	printCopied(out, &got, dry)
	if err != nil {
		return fmt.Errorf("stopped, run it again to go on: %w", err)
	}
	if dry {
		return nil
	}
	here, there, err := work.Digests(ctx)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	fmt.Fprintf(out, "objects: digest of the source %s\nobjects: digest of the copy   %s\n", here, there)
	if here != there {
		return errors.New("the objects differ: some were changed or deleted meanwhile, run it again")
	}
	return nil
}

// objectsDir is where objects are that are kept here.
func objectsDir(cfg *config.Config) string { return filepath.Join(cfg.Data, "objects") }

// progress prints a line now and then.
func progress(out io.Writer, dry bool) func(objects.Copied) {
	last := 0
	return func(got objects.Copied) {
		if got.Found.Objects >= last+progressStep {
			last = got.Found.Objects
			printCopied(out, &got, dry)
		}
	}
}

func printCopied(out io.Writer, got *objects.Copied, dry bool) {
	copied := "copied"
	if dry {
		copied = "to be copied"
	}
	fmt.Fprintf(out, "objects: %d (%d bytes) found, %d there already, %d (%d bytes) %s, %d failed, %d only in the target\n", got.Found.Objects, got.Found.Bytes,
		got.Same.Objects, got.Copied.Objects, got.Copied.Bytes, copied, got.Failed.Objects, got.OnlyThere.Objects)
	for _, err := range got.Failures {
		fmt.Fprintf(out, "objects: not copied: %v\n", err)
	}
}

// copyTables makes the tables of the target from the log, in the server where one runs, and has them proved.
func copyTables(ctx context.Context, c *call, to string, dry bool) error {
	target := "--target=" + placeLocal
	if to == placeCloudflare {
		if target = "--target=d1"; !c.cfg.Cloudflare.D1() {
			_, err := fmt.Fprintln(c.stdout, "tables: D1 is not configured, they stay where they are")
			return err
		}
	}
	if dry {
		_, err := fmt.Fprintf(c.stdout, "tables: to be made from the log (kanvas rebuild %s)\n", target)
		return err
	}
	for _, op := range []string{"rebuild", "verify"} {
		if err := runOp(ctx, c, op, []string{target}); err != nil {
			return fmt.Errorf("copy: tables: %s: %w", op, err)
		}
	}
	return nil
}
