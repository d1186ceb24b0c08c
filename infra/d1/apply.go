package d1

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/projections"
)

// A checkpoint moves only from where it is thought to be: else the subquery gives no row, NULL violates NOT NULL, and the batch with it
// comes to nothing. ?1 is the projection.
const (
	moveHead = "INSERT INTO projection_checkpoints (projection, partition, seq, sum, at) VALUES "
	moveRow  = "(?1, ?%d, (SELECT ?%d WHERE ?%d = coalesce((SELECT seq FROM projection_checkpoints WHERE projection = ?1 AND partition = ?%d), 0)), ?%d, ?%d)"
	moveTail = " ON CONFLICT (projection, partition) DO UPDATE SET seq = excluded.seq, sum = excluded.sum, at = excluded.at"

	movesPerStatement = (projections.MaxParams - 1) / 5
)

func moveStatements(projection string, moves []projections.Move) []projections.Statement {
	var list []projections.Statement
	for len(moves) > 0 {
		n := min(len(moves), movesPerStatement)
		rows := make([]string, n)
		args := []any{projection}
		for i, m := range moves[:n] {
			p := 2 + 5*i // partition, to, from, sum, at
			rows[i] = fmt.Sprintf(moveRow, p, p+1, p+2, p, p+3, p+4)
			args = append(args, int64(m.Partition), int64(m.To.Seq), int64(m.From.Seq), m.To.Sum, projections.FormatTime(m.To.At))
		}
		list = append(list, projections.Statement{SQL: moveHead + strings.Join(rows, ", ") + moveTail, Args: args})
		moves = moves[n:]
	}
	return list
}

// Apply implements projections.Store, in one call.
func (s *Store) Apply(ctx context.Context, projection string, moves []projections.Move, statements []projections.Statement) error {
	if len(moves)+len(statements) == 0 {
		return nil
	}
	_, err := s.run(ctx, "apply", append(moveStatements(projection, moves), statements...))
	if err == nil {
		return nil
	}
	switch judge(err) {
	case notDone:
		return err
	case rejected:
		return fmt.Errorf("%w: %w", projections.ErrRejected, err)
	case checkpointMoved:
		return s.settle(ctx, projection, moves, err)
	}
	if len(moves) == 0 {
		return err
	}
	err = s.settle(ctx, projection, moves, err)
	s.metrics.settled(err)
	return err
}

// verdict is what an error says of a batch.
type verdict int

const (
	unknown         verdict = iota // it may have been applied
	notDone                        // it was not, for no fault of its own
	rejected                       // it was not, and never will be
	checkpointMoved                // it was not: the checkpoint is somewhere else
)

func judge(err error) verdict {
	if errors.Is(err, projections.ErrRejected) { // it was not even sent
		return rejected
	}
	var e *cloudflare.Error
	if !errors.As(err, &e) {
		return unknown
	}
	if v, ok := judgeSQLite(e.Message); ok && e.Code != 0 {
		return v
	}
	switch e.Kind {
	case cloudflare.ErrUnreachable, cloudflare.ErrBudget, cloudflare.ErrLimited, cloudflare.ErrDenied, cloudflare.ErrNotFound:
		return notDone
	}
	if e.Status == 413 {
		return rejected
	}
	return unknown // also what is refused without SQLite's words: reading the checkpoint costs little
}

// valuesFault is what these values get whenever they are tried again, by SQLite's words or the name of its code.
var valuesFault = regexp.MustCompile(`constraint failed|string or blob too big|datatype mismatch|SQLITE_(CONSTRAINT|TOOBIG|MISMATCH|RANGE)`)

// judgeSQLite goes by SQLite's own words and the name of its code, which D1 passes on. A statement that fails undoes the whole batch.
func judgeSQLite(message string) (verdict, bool) {
	switch {
	case strings.Contains(message, "NOT NULL constraint failed: projection_checkpoints.seq"):
		return checkpointMoved, true
	case valuesFault.MatchString(message):
		return rejected, true
	case strings.Contains(message, "SQLITE_"): // a missing table, say: not the values' fault
		return notDone, true
	}
	return unknown, false
}

// errOpen: the checkpoint could not be read either. The batch may be sent again: where it was applied, its checkpoint says so then.
var errOpen = errors.New("whether it was applied is not known yet")

// settle tells by the checkpoint what became of a batch. Where the checkpoint is at its end, with the same sum, the batch is in the tables:
// by this try, by an earlier one whose answer was lost, or by another node, whose rows are the same.
func (s *Store) settle(ctx context.Context, projection string, moves []projections.Move, cause error) error {
	at, err := s.Checkpoints(ctx, projection)
	if err != nil {
		return errors.Join(cause, fmt.Errorf("%w: %w", errOpen, err))
	}
	from, to := 0, 0
	for _, m := range moves {
		c := at[m.Partition]
		if c.Seq == m.To.Seq && c.Sum == m.To.Sum {
			to++
		} else if c.Seq == m.From.Seq {
			from++
		}
	}
	switch len(moves) {
	case to:
		return nil
	case from:
		return fmt.Errorf("%w (it was not applied)", cause)
	}
	return fmt.Errorf("%w: %w", projections.ErrCheckpoint, cause)
}

// Checkpoints implements projections.Store.
func (s *Store) Checkpoints(ctx context.Context, projection string) (map[int]projections.Checkpoint, error) {
	results, err := s.read(ctx, "checkpoints", projections.Statement{SQL: "SELECT partition, seq, sum, at FROM projection_checkpoints WHERE projection = ?", Args: []any{projection}})
	if err != nil {
		return nil, err
	}
	all := map[int]projections.Checkpoint{}
	for _, row := range results[0].Results.Rows {
		all[int(integer(row[0], &err))] = projections.Checkpoint{Seq: uint64(integer(row[1], &err)), Sum: text(row[2], &err), At: when(row[3], &err)}
	}
	return all, err
}

// Parked implements projections.Store.
func (s *Store) Parked(ctx context.Context, projection string) ([]projections.Parked, error) {
	results, err := s.read(ctx, "parked", projections.Statement{SQL: "SELECT stream, partition, seq, reason, at FROM parked WHERE projection = ? ORDER BY stream", Args: []any{projection}})
	if err != nil {
		return nil, err
	}
	var all []projections.Parked
	for _, row := range results[0].Results.Rows {
		kind, id, _ := strings.Cut(text(row[0], &err), "/")
		all = append(all, projections.Parked{Stream: events.Stream{Kind: events.Kind(kind), ID: id}, Partition: int(integer(row[1], &err)),
			Seq: uint64(integer(row[2], &err)), Reason: text(row[3], &err), At: when(row[4], &err)})
	}
	return all, err
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
	sql, ok := revisionOf[stream.Kind]
	if !ok {
		return 0, fmt.Errorf("d1: revision: no streams of kind %q", stream.Kind)
	}
	results, err := s.read(ctx, "revision", projections.Statement{SQL: sql, Args: []any{stream.ID}})
	if err != nil || len(results[0].Results.Rows) == 0 {
		return 0, err
	}
	return uint64(integer(results[0].Results.Rows[0][0], &err)), err
}
