package projections

import (
	"strings"
	"sync"
)

// template is a statement that writes any number of rows: head, then row for each, then tail. `{t}` before a table's name stands for the
// prefix of the tables (none, or ShadowPrefix).
type template struct {
	head, row, tail string
	params          int // of one row
}

// most is how many rows fit into one statement.
func (t *template) most() int { return MaxParams / t.params }

type sqlKey struct {
	t      *template
	prefix string
	rows   int
}

// texts caches the SQL of templates: there are few templates, two prefixes and at most MaxParams rows, so it stays small.
var texts sync.Map

func (t *template) sql(prefix string, rows int) string {
	key := sqlKey{t, prefix, rows}
	if s, ok := texts.Load(key); ok {
		return s.(string)
	}
	var b strings.Builder
	b.WriteString(t.head)
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(t.row)
	}
	b.WriteString(t.tail)
	s := strings.ReplaceAll(b.String(), "{t}", prefix)
	texts.Store(key, s)
	return s
}

// emitter makes statements of rows.
type emitter struct {
	prefix string
	out    []Statement
}

// one adds a statement for a single row.
func (e *emitter) one(t *template, args ...any) {
	e.out = append(e.out, Statement{SQL: t.sql(e.prefix, 1), Args: args})
}

// batch collects rows of one template, in order.
type batch struct {
	e    *emitter
	t    *template
	args []any
}

func (e *emitter) rows(t *template) *batch { return &batch{e: e, t: t} }

func (b *batch) add(args ...any) {
	if b.args == nil {
		b.args = make([]any, 0, b.t.most()*b.t.params)
	}
	b.args = append(b.args, args...)
	if len(b.args)+b.t.params > MaxParams {
		b.flush()
	}
}

func (b *batch) flush() {
	if len(b.args) == 0 {
		return
	}
	b.e.out = append(b.e.out, Statement{SQL: b.t.sql(b.e.prefix, len(b.args)/b.t.params), Args: b.args})
	b.args = nil
}
