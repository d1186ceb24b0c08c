package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/infinite-kanvas/kanvas/events"
)

// CheckLog compares a projection's checkpoints with the log: ErrLogShorter, with the log's stream and by how much, where the log ends before a
// checkpoint or holds another commit at it: it was lost, restored from an old backup or replaced. All problems are reported. name is what the log calls
// the stream of a partition. To be called at start, before anything is appended.
func CheckLog(ctx context.Context, source Source, store Store, projection string, name func(partition int) string) error {
	checkpoints, err := store.Checkpoints(ctx, projection)
	if err != nil {
		return fmt.Errorf("checkpoints of %s: %w", projection, err)
	}
	var errs []error
	for p, c := range checkpoints {
		errs = append(errs, checkPartition(ctx, source, projection, p, name(p), c))
	}
	return errors.Join(errs...)
}

func checkPartition(ctx context.Context, source Source, projection string, p int, name string, c Checkpoint) error {
	if p >= source.Partitions() {
		return fmt.Errorf("%w: %s has a checkpoint in partition %d, the log has %d partitions", ErrLogShorter, projection, p, source.Partitions())
	}
	_, last, err := source.Bounds(ctx, p)
	if err != nil {
		return fmt.Errorf("bounds of log %s: %w", name, err)
	}
	if last < c.Seq {
		return fmt.Errorf("%w: log %s ends at sequence %d, %s had applied up to %d: %d commits are missing",
			ErrLogShorter, name, last, projection, c.Seq, c.Seq-last)
	}
	recs, err := source.Next(ctx, p, c.Seq-1, 1, 1)
	if err != nil {
		return fmt.Errorf("read log %s at sequence %d: %w", name, c.Seq, err)
	}
	if len(recs) == 0 || recs[0].Seq != c.Seq {
		return fmt.Errorf("%w: log %s has no commit at sequence %d, which %s had applied", ErrLogShorter, name, c.Seq, projection)
	}
	if c.Sum == "" { // it could not be decoded then either
		return nil
	}
	if _, _, _, _, sum, _, err := events.DecodeHeader(recs[0].Payload); err != nil || sum != c.Sum {
		return fmt.Errorf("%w: log %s holds another commit at sequence %d than %s had applied (sum %.64s, not %.64s)",
			ErrLogShorter, name, c.Seq, projection, sum, c.Sum)
	}
	return nil
}
