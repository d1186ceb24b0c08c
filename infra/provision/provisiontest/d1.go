package provisiontest

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/google/uuid"
	_ "modernc.org/sqlite" // what D1 is
)

// Database of D1.
type Database struct {
	ID, Name string
	db       *sql.DB
}

// AddDatabase makes one that was there before.
func (c *Cloudflare) AddDatabase(id, name string) *Database {
	db, err := sql.Open("sqlite", ":memory:?_pragma=foreign_keys(1)")
	if err != nil {
		c.t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	d := &Database{id, name, db}
	c.Databases = append(c.Databases, d)
	return d
}

func (c *Cloudflare) closeDatabases() {
	for _, d := range c.Databases {
		if err := d.db.Close(); err != nil {
			c.t.Error(err)
		}
	}
}

// Query reads rows, for tests.
func (d *Database) Query(sql string) ([]map[string]any, error) {
	return rows(context.Background(), d.db, sql, nil)
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func rows(ctx context.Context, q querier, statement string, params []any) ([]map[string]any, error) {
	rs, err := q.QueryContext(ctx, statement, params...)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	names, err := rs.Columns()
	if err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for rs.Next() {
		values := make([]any, len(names))
		for i := range values {
			values[i] = new(any)
		}
		if err := rs.Scan(values...); err != nil {
			return nil, err
		}
		row := map[string]any{}
		for i, n := range names {
			row[n] = *values[i].(*any)
		}
		list = append(list, row)
	}
	return list, rs.Err()
}

func (c *Cloudflare) d1(r *request) (any, any, error) {
	switch {
	case r.is("GET", "database"):
		var list []map[string]any
		name := r.URL.Query().Get("name")
		for _, d := range c.Databases {
			if name == "" || name == d.Name {
				list = append(list, map[string]any{"uuid": d.ID, "name": d.Name, "version": "production"})
			}
		}
		part, info := page(r, list)
		return part, info, nil
	case r.is("POST", "database"):
		var in struct{ Name string }
		if err := r.json(&in); err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(c.Databases, func(d *Database) bool { return d.Name == in.Name }) {
			return nil, nil, no(400, 7502, "A database with that name already exists")
		}
		d := c.AddDatabase(uuid.NewString(), in.Name)
		return map[string]any{"uuid": d.ID, "name": d.Name, "version": "production"}, nil, nil
	case r.is("POST", "database", "*", "query"):
		i := slices.IndexFunc(c.Databases, func(d *Database) bool { return d.ID == r.path[1] })
		if i < 0 {
			return nil, nil, no(404, 7404, "The database "+r.path[1]+" could not be found")
		}
		return c.Databases[i].query(r)
	}
	return nil, nil, noRoute(r)
}

type statement struct {
	SQL    string
	Params []any
}

// query runs all statements of a request, or none.
func (d *Database) query(r *request) (any, any, error) {
	var in struct {
		statement
		Batch []statement
	}
	if err := r.json(&in); err != nil {
		return nil, nil, err
	}
	if in.Batch == nil {
		in.Batch = []statement{in.statement}
	}
	tx, err := d.db.BeginTx(r.Context(), nil)
	if err != nil {
		return nil, nil, err
	}
	var results []any
	for _, s := range in.Batch {
		list, err := rows(r.Context(), tx, s.SQL, s.Params)
		if err != nil {
			return nil, nil, errors.Join(no(400, 7500, err.Error()), tx.Rollback())
		}
		results = append(results, map[string]any{"success": true, "results": list, "meta": map[string]any{"duration": 0.1}})
	}
	return results, nil, tx.Commit()
}
