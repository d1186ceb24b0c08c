package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

const (
	firstCheckpoint = "INSERT INTO projection_checkpoints (projection, partition, seq, sum, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (projection, partition) DO NOTHING"
	moveCheckpoint  = "UPDATE projection_checkpoints SET seq = ?, sum = ?, at = ? WHERE projection = ? AND partition = ? AND seq = ?"
)

// Apply implements projections.Store.
func (s *Store) Apply(ctx context.Context, projection string, moves []projections.Move, statements []projections.Statement) error {
	start := time.Now()
	err := s.writer.tx(ctx, func() error {
		for i := range moves { // first: nothing else is worth doing where one fails
			if err := s.move(ctx, projection, &moves[i]); err != nil {
				return err
			}
		}
		return s.writer.execAll(ctx, statements)
	})
	s.observe("apply", start)
	return err
}

func (s *Store) move(ctx context.Context, projection string, m *projections.Move) error {
	to, at := m.To, projections.FormatTime(m.To.At)
	var n int64
	var err error
	if m.From.Seq == 0 {
		n, err = s.writer.changes(ctx, firstCheckpoint, projection, m.Partition, int64(to.Seq), to.Sum, at)
	} else {
		n, err = s.writer.changes(ctx, moveCheckpoint, int64(to.Seq), to.Sum, at, projection, m.Partition, int64(m.From.Seq))
	}
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("%w: %s, partition %d is not at %d", projections.ErrCheckpoint, projection, m.Partition, m.From.Seq)
	}
	return nil
}

// Checkpoints implements projections.Store.
func (s *Store) Checkpoints(ctx context.Context, projection string) (map[int]projections.Checkpoint, error) {
	defer s.observe("checkpoints", time.Now())
	rows, err := s.reads.QueryContext(ctx, "SELECT partition, seq, sum, +at FROM projection_checkpoints WHERE projection = ?", projection)
	if err != nil {
		return nil, fmt.Errorf("sqlite: checkpoints: %w", err)
	}
	defer rows.Close()
	all := map[int]projections.Checkpoint{}
	for rows.Next() {
		var partition int
		var c projections.Checkpoint
		if err := rows.Scan(&partition, &c.Seq, &c.Sum, (*timeColumn)(&c.At)); err != nil {
			return nil, fmt.Errorf("sqlite: checkpoints: %w", err)
		}
		all[partition] = c
	}
	return all, rows.Err()
}

// Parked implements projections.Store.
func (s *Store) Parked(ctx context.Context, projection string) ([]projections.Parked, error) {
	defer s.observe("parked", time.Now())
	rows, err := s.reads.QueryContext(ctx, "SELECT stream, partition, seq, reason, +at FROM parked WHERE projection = ? ORDER BY stream", projection)
	if err != nil {
		return nil, fmt.Errorf("sqlite: parked: %w", err)
	}
	defer rows.Close()
	var all []projections.Parked
	for rows.Next() {
		var p projections.Parked
		var stream string
		if err := rows.Scan(&stream, &p.Partition, &p.Seq, &p.Reason, (*timeColumn)(&p.At)); err != nil {
			return nil, fmt.Errorf("sqlite: parked: %w", err)
		}
		kind, id, _ := strings.Cut(stream, "/")
		p.Stream = events.Stream{Kind: events.Kind(kind), ID: id}
		all = append(all, p)
	}
	return all, rows.Err()
}

// revisionOf is by kind of stream.
var revisionOf = map[events.Kind]string{
	events.KindRoom:  "SELECT revision FROM rooms WHERE id = ?",
	events.KindUser:  "SELECT revision FROM users WHERE id = ?",
	events.KindAsset: "SELECT revision FROM assets WHERE id = ?",

	events.KindSpending: "SELECT coalesce(max(revision), 0) FROM spending WHERE stream = ?",
}

// Revision implements projections.Store.
func (s *Store) Revision(ctx context.Context, stream events.Stream) (uint64, error) {
	defer s.observe("revision", time.Now())
	text, ok := revisionOf[stream.Kind]
	if !ok {
		return 0, fmt.Errorf("sqlite: revision: no streams of kind %q", stream.Kind)
	}
	var revision uint64
	if err := s.reads.QueryRowContext(ctx, text, stream.ID).Scan(&revision); err != nil && !isNoRows(err) {
		return 0, fmt.Errorf("sqlite: revision: %w", err)
	}
	return revision, nil
}
