package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Checkpoint is how far a projection got in a partition: the sequence and sum of the last commit it applied.
type Checkpoint struct {
	Projection string
	Partition  int
	Seq        uint64
	Sum        string
}

// Check compares the log with what projections have applied. A log that is shorter, or that holds another commit at a
// checkpoint, was lost, restored from an old backup or replaced: the node must not start. All problems are reported.
func (s *Store) Check(ctx context.Context, cps []Checkpoint) error {
	var bad []error
	ends := map[int]uint64{}
	for _, c := range cps {
		if c.Seq == 0 {
			continue
		}
		if c.Partition < 0 || c.Partition >= s.cfg.Partitions {
			bad = append(bad, fmt.Errorf("projection %s has a checkpoint in partition %d, the log has %d partitions", c.Projection, c.Partition, s.cfg.Partitions))
			continue
		}
		last, ok := ends[c.Partition]
		if !ok {
			var err error
			if _, last, err = s.Bounds(ctx, c.Partition); err != nil {
				return err
			}
			ends[c.Partition] = last
		}
		if err := s.checkOne(ctx, c, last); err != nil {
			bad = append(bad, err)
		}
	}
	return errors.Join(bad...)
}

func (s *Store) checkOne(ctx context.Context, c Checkpoint, last uint64) error {
	name := StreamName(c.Partition)
	if c.Seq > last {
		return fmt.Errorf("log %s ends at %d but projection %s has applied %d: %d commits are missing", name, last, c.Projection, c.Seq, c.Seq-last)
	}
	get := s.getDirect
	if s.cfg.Replicas > 1 {
		get = s.getFromLeader
	}
	rec, ok, err := get(ctx, c.Partition, getRequest{Seq: c.Seq})
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("log %s has no commit %d, which projection %s has applied", name, c.Seq, c.Projection)
	}
	var commit struct {
		Sum string `json:"sum"`
	}
	if err := json.Unmarshal(rec.Payload, &commit); err != nil {
		return fmt.Errorf("log %s: commit %d cannot be read: %w", name, c.Seq, err)
	}
	if commit.Sum != c.Sum {
		return fmt.Errorf("log %s was replaced: its commit %d has sum %.12s, projection %s applied one with sum %.12s", name, c.Seq, commit.Sum, c.Projection, c.Sum)
	}
	return nil
}
