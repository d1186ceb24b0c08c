package sqlite

import (
	"context"
	"database/sql"
	"sync"
)

// prepared keeps the statements of reads that are made again and again: the cache asks them for every room in use, once a second, and preparing cost
// more than running them. The texts are few and fixed. Safe for concurrent use; the statements end with their database.
type prepared struct {
	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

func (p *prepared) of(ctx context.Context, db *sql.DB, text string) (*sql.Stmt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.stmts[text]; s != nil {
		return s, nil
	}
	s, err := db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if p.stmts == nil {
		p.stmts = map[string]*sql.Stmt{}
	}
	p.stmts[text] = s
	return s, nil
}

// queryRow is QueryRowContext on the readers, prepared once.
func (s *Store) queryRow(ctx context.Context, text string, args ...any) *sql.Row {
	stmt, err := s.prepared.of(ctx, s.reads, text)
	if err != nil {
		return s.reads.QueryRowContext(ctx, text, args...) // fails the same way, and says so in Scan
	}
	return stmt.QueryRowContext(ctx, args...)
}

// query is QueryContext on the readers, prepared once.
func (s *Store) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	stmt, err := s.prepared.of(ctx, s.reads, text)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}
