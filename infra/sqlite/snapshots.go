package sqlite

import (
	"context"

	"github.com/infinite-kanvas/kanvas/commands"
)

// Snapshots tells commands where rooms' snapshots are. It implements commands.Snapshots.
type Snapshots struct{ Store *Store }

// Newest implements commands.Snapshots.
func (s Snapshots) Newest(ctx context.Context, room string, revision uint64) (commands.SnapshotRef, bool, error) {
	row, ok, err := s.Store.NewestSnapshot(ctx, room, revision)
	return commands.SnapshotRef{Revision: row.Revision, Seq: row.Seq, Sum: row.Sum, Key: row.Key}, ok, err
}

var _ commands.Snapshots = Snapshots{}
