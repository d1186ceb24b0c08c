package d1

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/migrations"
	"github.com/infinite-kanvas/kanvas/projections"
)

// ErrSchema: the database's tables are not those of this program. The message says what to run.
var ErrSchema = errors.New("d1: the database has another schema")

const howToMigrate = "run `kanvas provision`, or `wrangler d1 migrations apply kanvas-db --remote`"

// CheckSchema compares the migrations that wrangler noted in the database with those of this program: ErrSchema where some are missing, or
// where there are newer ones.
func (s *Store) CheckSchema(ctx context.Context) error {
	all, err := migrations.All()
	if err != nil {
		return err
	}
	results, err := s.read(ctx, "schema", projections.Statement{SQL: "SELECT name FROM " + migrations.Table})
	var e *cloudflare.Error
	if errors.As(err, &e) && strings.Contains(e.Message, "no such table") {
		return fmt.Errorf("%w: no migration was applied: %s", ErrSchema, howToMigrate)
	}
	if err != nil {
		return err
	}
	ran := map[string]bool{}
	for _, row := range results[0].Results.Rows {
		ran[text(row[0], &err)] = true
	}
	for _, m := range all {
		if !ran[m.Name] {
			return fmt.Errorf("%w: migration %s was not applied: %s", ErrSchema, m.Name, howToMigrate)
		}
		delete(ran, m.Name)
	}
	for name := range ran {
		return fmt.Errorf("%w: migration %s is unknown: it was made by a newer version of this program, run that one", ErrSchema, name)
	}
	return err
}
