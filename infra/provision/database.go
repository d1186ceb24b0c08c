package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/cloudflare/cloudflare-go/v7/d1"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/migrations"
)

// Pages of a list: the size asked for, and how many there can be before something is wrong.
const (
	perPage  = 100
	maxPages = 100
)

func (p *Provisioner) databases() *d1.DatabaseService {
	return d1.NewDatabaseService(p.Client.Options(areaD1.service, cloudflare.Durable)...)
}

// planDatabase finds the database by the id of wrangler.toml, else by its name, and what its tables lack.
func (p *Provisioner) planDatabase(ctx context.Context) ([]Action, error) {
	name := p.Manifest.Database
	what := fmt.Sprintf("D1 database %q", name)
	id, found, err := p.findDatabase(ctx)
	if err != nil {
		return nil, p.problem(areaD1, err, "find %s", what)
	}
	all, err := migrations.All()
	if err != nil {
		return nil, err
	}
	if id == "" {
		return []Action{
			{Verb: Create, What: what, Detail: staleID(p.Manifest.DatabaseID), do: p.createDatabase},
			p.migrateAction(all),
		}, nil
	}
	p.databaseID = id
	actions := []Action{{Verb: Keep, What: what, Detail: id}}
	if found != name {
		actions[0].Detail += fmt.Sprintf(" (wrangler.toml names this id; its name is %q)", found)
	}
	pending, err := p.pendingMigrations(ctx, all)
	switch {
	case err != nil:
		return actions, p.problem(areaD1, err, "read the migrations of %s", what)
	case len(pending) == len(all):
		if err := p.refuseForeignTables(ctx); err != nil {
			return actions, err
		}
	case len(pending) == 0:
		return append(actions, Action{Verb: Keep, What: "tables", Detail: fmt.Sprintf("all %d migrations are applied", len(all))}), nil
	}
	return append(actions, p.migrateAction(pending)), nil
}

func staleID(id string) string {
	if id == "" {
		return ""
	}
	return fmt.Sprintf("the account does not have %s, which wrangler.toml names", id)
}

func (p *Provisioner) migrateAction(pending []migrations.Migration) Action {
	return Action{Verb: Change, What: "tables", Detail: fmt.Sprintf("apply %d migrations: %s", len(pending), names(pending)), do: p.migrate}
}

func names(ms []migrations.Migration) string {
	var s []string
	for _, m := range ms {
		s = append(s, m.Name)
	}
	return strings.Join(s, ", ")
}

// findDatabase goes through the account's databases; "" where neither id nor name is there.
func (p *Provisioner) findDatabase(ctx context.Context) (id, name string, err error) {
	byID, byName := "", ""
	err = pages(func(page int) (int, int, error) {
		var params d1.DatabaseListParams
		set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
		set(&params.Page.Value, &params.Page.Present, float64(page))
		set(&params.PerPage.Value, &params.PerPage.Present, perPage)
		var n, size int
		err := p.Client.Retry(ctx, func() error {
			res, err := p.databases().List(ctx, params)
			if err != nil {
				return err
			}
			for _, d := range res.Result {
				if d.UUID == p.Manifest.DatabaseID {
					byID, name = d.UUID, d.Name
				}
				if d.Name == p.Manifest.Database {
					byName = d.UUID
				}
			}
			n, size = len(res.Result), int(res.ResultInfo.PerPage)
			return nil
		})
		return n, size, err
	})
	if byID != "" {
		return byID, name, err
	}
	return byName, p.Manifest.Database, err
}

// pages calls fetch for page 1, 2, … until one is not full. fetch says how many entries came and how many make a page.
func pages(fetch func(page int) (n, size int, err error)) error {
	for page := 1; page <= maxPages; page++ {
		n, size, err := fetch(page)
		if err != nil {
			return err
		}
		if size == 0 {
			size = perPage
		}
		if n < size {
			return nil
		}
	}
	return fmt.Errorf("the list does not end after %d pages", maxPages)
}

func (p *Provisioner) createDatabase(ctx context.Context) error {
	var params d1.DatabaseNewParams
	set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
	set(&params.Name.Value, &params.Name.Present, p.Manifest.Database)
	res, err := p.databases().New(ctx, params)
	if err == nil && res.UUID != "" {
		p.databaseID = res.UUID
		return nil
	}
	if err == nil {
		err = errors.New("the answer has no id")
	}
	// The name is taken by an earlier run, or this very call was carried out and its answer lost: then the list has it.
	if code(err, codeD1Exists) || errors.Is(err, cloudflare.ErrUnknown) {
		if id, _, again := p.findDatabase(ctx); again == nil && id != "" {
			p.databaseID = id
			return nil
		}
	}
	return p.problem(areaD1, err, "create D1 database %q", p.Manifest.Database)
}

// migrate applies what is not applied, one file in one atomic request with its note in wrangler's table, so that `wrangler d1 migrations
// apply` and this program agree.
func (p *Provisioner) migrate(ctx context.Context) error {
	all, err := migrations.All()
	if err != nil {
		return err
	}
	if _, err := p.query(ctx, migrations.CreateTable); err != nil && !errors.Is(err, cloudflare.ErrUnknown) {
		return p.problem(areaD1, err, "make the table %s", migrations.Table)
	}
	for tries := 0; ; tries++ {
		pending, err := p.pendingMigrations(ctx, all)
		if err != nil {
			return p.problem(areaD1, err, "read the migrations applied")
		}
		if len(pending) == 0 {
			return nil
		}
		m := pending[0]
		if err := p.batch(ctx, noted(m)); err != nil && (tries > len(all) || !errors.Is(err, cloudflare.ErrUnknown)) {
			return p.problem(areaD1, err, "apply migration %s", m.Name)
		} // where the answer was lost, the table says whether it was applied
	}
}

// noted is the migration and wrangler's note of it.
func noted(m migrations.Migration) []string {
	return append(m.Statements(), "INSERT INTO "+migrations.Table+" (name) VALUES ('"+strings.ReplaceAll(m.Name, "'", "''")+"')")
}

// pendingMigrations compares wrangler's table with the files. It makes no table.
func (p *Provisioner) pendingMigrations(ctx context.Context, all []migrations.Migration) ([]migrations.Migration, error) {
	done, err := p.appliedMigrations(ctx)
	if err != nil {
		return nil, err
	}
	var pending []migrations.Migration
	for _, m := range all {
		if !done[m.Name] {
			pending = append(pending, m)
		}
		delete(done, m.Name)
	}
	for name := range done {
		return nil, fmt.Errorf("migration %s is unknown: a newer version of this program, or another application, made this database", name)
	}
	return pending, nil
}

func (p *Provisioner) appliedMigrations(ctx context.Context) (map[string]bool, error) {
	done := map[string]bool{}
	var rows []struct {
		Name string `json:"name"`
	}
	err := p.Client.Retry(ctx, func() error {
		if err := p.rows(ctx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name = '"+migrations.Table+"'", &rows); err != nil || len(rows) == 0 {
			return err
		}
		return p.rows(ctx, "SELECT name FROM "+migrations.Table+" ORDER BY id", &rows)
	})
	for _, r := range rows {
		done[r.Name] = true
	}
	return done, err
}

// refuseForeignTables: a database where something else made tables of our names can't be taken over.
func (p *Provisioner) refuseForeignTables(ctx context.Context) error {
	doing := fmt.Sprintf("look at the tables of D1 database %q", p.Manifest.Database)
	var rows []struct {
		Name string `json:"name"`
	}
	err := p.Client.Retry(ctx, func() error {
		return p.rows(ctx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('users', 'rooms', 'room_participants', 'canvas_states', 'assets') ORDER BY name", &rows)
	})
	if err != nil {
		return p.problem(areaD1, err, "%s", doing)
	}
	if len(rows) == 0 {
		return nil
	}
	var found []string
	for _, r := range rows {
		found = append(found, r.Name)
	}
	return &Problem{Doing: doing, Err: fmt.Errorf("it has %s already, and %s does not say from which migration", strings.Join(found, ", "), migrations.Table),
		Next: "give Kanvas a database of its own: another database_name in wrangler.toml, and no database_id"}
}

// rows reads the rows of one statement.
func (p *Provisioner) rows(ctx context.Context, sql string, into any) error {
	raw, err := p.query(ctx, sql)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read the answer of D1: %w", err)
	}
	return nil
}

// query runs one statement and gives its rows.
func (p *Provisioner) query(ctx context.Context, sql string) (json.RawMessage, error) {
	var body d1.DatabaseQueryParamsBodyD1SingleQuery
	set(&body.Sql.Value, &body.Sql.Present, sql)
	res, err := p.send(ctx, body)
	if err != nil {
		return nil, err
	}
	if len(res) == 0 || res[0].Results == nil {
		return json.RawMessage("[]"), nil
	}
	return json.Marshal(res[0].Results)
}

// batch runs all statements or none.
func (p *Provisioner) batch(ctx context.Context, statements []string) error {
	list := make([]d1.DatabaseQueryParamsBodyMultipleQueriesBatch, len(statements))
	for i, sql := range statements {
		set(&list[i].Sql.Value, &list[i].Sql.Present, sql)
	}
	var body d1.DatabaseQueryParamsBodyMultipleQueries
	set(&body.Batch.Value, &body.Batch.Present, list)
	_, err := p.send(ctx, body)
	return err
}

func (p *Provisioner) send(ctx context.Context, body d1.DatabaseQueryParamsBodyUnion) ([]d1.QueryResult, error) {
	params := d1.DatabaseQueryParams{Body: body}
	set(&params.AccountID.Value, &params.AccountID.Present, p.Client.Account())
	res, err := p.databases().Query(ctx, p.databaseID, params)
	if err != nil {
		return nil, err
	}
	return res.Result, nil
}
