package provision

import (
	"context"
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
	if _, err := Query(ctx, p.Client, p.databaseID, migrations.CreateTable); err != nil && !errors.Is(err, cloudflare.ErrUnknown) {
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
	return Pending(ctx, p.Client, p.databaseID, all)
}

// Pending are the migrations that a D1 database lacks, as wrangler notes them. It changes nothing.
func Pending(ctx context.Context, c *cloudflare.Client, databaseID string, all []migrations.Migration) ([]migrations.Migration, error) {
	done, err := applied(ctx, c, databaseID)
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

func applied(ctx context.Context, c *cloudflare.Client, databaseID string) (map[string]bool, error) {
	done := map[string]bool{}
	found, err := Tables(ctx, c, databaseID, migrations.Table)
	if err != nil || len(found) == 0 {
		return done, err
	}
	err = c.Retry(ctx, func() error {
		rows, err := Query(ctx, c, databaseID, "SELECT name FROM "+migrations.Table+" ORDER BY id")
		for _, r := range rows {
			done[fmt.Sprint(r["name"])] = true
		}
		return err
	})
	return done, err
}

// Tables are those of the names that a D1 database has.
func Tables(ctx context.Context, c *cloudflare.Client, databaseID string, names ...string) (found []string, err error) {
	sql := "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('" + strings.Join(names, "', '") + "') ORDER BY name"
	err = c.Retry(ctx, func() error {
		rows, err := Query(ctx, c, databaseID, sql)
		found = nil
		for _, r := range rows {
			found = append(found, fmt.Sprint(r["name"]))
		}
		return err
	})
	return found, err
}

// guideTables are the integration guide's.
var guideTables = []string{"users", "rooms", "room_participants", "canvas_states", "assets"}

// refuseForeignTables: a database where something else made tables of our names can't be taken over.
func (p *Provisioner) refuseForeignTables(ctx context.Context) error {
	doing := fmt.Sprintf("look at the tables of D1 database %q", p.Manifest.Database)
	found, err := Tables(ctx, p.Client, p.databaseID, guideTables...)
	if err != nil || len(found) == 0 {
		return p.problem(areaD1, err, "%s", doing)
	}
	return &Problem{Doing: doing, Err: fmt.Errorf("it has %s already, and %s does not say from which migration", strings.Join(found, ", "), migrations.Table),
		Next: "give Kanvas a database of its own: another database_name in wrangler.toml, and no database_id"}
}

// Query runs one statement of a D1 database and gives its rows.
func Query(ctx context.Context, c *cloudflare.Client, databaseID, sql string) ([]map[string]any, error) {
	var body d1.DatabaseQueryParamsBodyD1SingleQuery
	set(&body.Sql.Value, &body.Sql.Present, sql)
	res, err := send(ctx, c, databaseID, body)
	if err != nil || len(res) == 0 {
		return nil, err
	}
	rows := make([]map[string]any, len(res[0].Results))
	for i, r := range res[0].Results {
		row, ok := r.(map[string]any)
		if !ok {
			return nil, errors.New("D1 answered with rows that have no names")
		}
		rows[i] = row
	}
	return rows, nil
}

// batch runs all statements or none.
func (p *Provisioner) batch(ctx context.Context, statements []string) error {
	list := make([]d1.DatabaseQueryParamsBodyMultipleQueriesBatch, len(statements))
	for i, sql := range statements {
		set(&list[i].Sql.Value, &list[i].Sql.Present, sql)
	}
	var body d1.DatabaseQueryParamsBodyMultipleQueries
	set(&body.Batch.Value, &body.Batch.Present, list)
	_, err := send(ctx, p.Client, p.databaseID, body)
	return err
}

func send(ctx context.Context, c *cloudflare.Client, databaseID string, body d1.DatabaseQueryParamsBodyUnion) ([]d1.QueryResult, error) {
	params := d1.DatabaseQueryParams{Body: body}
	set(&params.AccountID.Value, &params.AccountID.Present, c.Account())
	res, err := d1.NewDatabaseService(c.Options(areaD1.service, cloudflare.Durable)...).Query(ctx, databaseID, params)
	if err != nil {
		return nil, err
	}
	return res.Result, nil
}
