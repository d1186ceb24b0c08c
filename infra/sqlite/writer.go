package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	msqlite "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/infinite-kanvas/kanvas/projections"
)

// maxPrepared is how many prepared statements are kept. Statements of projectors come in few forms; when others fill it, all are dropped.
const maxPrepared = 512

// writer owns the one connection that writes, with its prepared statements. mu is held for a whole transaction.
type writer struct {
	store    *Store
	mu       sync.Mutex
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	n        int // statements of the transaction in progress
}

// tx runs fn between BEGIN IMMEDIATE and COMMIT. ctx bounds the wait for the lock and is looked at between statements; a statement that
// has begun runs to its end. After an error nothing of fn is in the file.
func (w *writer) tx(ctx context.Context, fn func() error) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.connect(ctx); err != nil {
		return fmt.Errorf("sqlite: connect: %w", err)
	}
	w.n = 0
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		w.drop() // whether it began can't be known where ctx ended
		return fmt.Errorf("sqlite: begin: %w", err)
	}
	if err = fn(); err == nil {
		if err = w.exec(ctx, "COMMIT"); err == nil {
			return nil
		}
		err = fmt.Errorf("sqlite: commit: %w", err)
	}
	if _, rerr := w.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); rerr != nil {
		w.drop() // closing the connection rolls back too
	}
	return err
}

func (w *writer) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.store.writes.Conn(ctx)
	if err != nil {
		return err
	}
	w.conn, w.prepared = conn, map[string]*sql.Stmt{}
	return nil
}

// drop forgets the connection for good, so that the pool opens another one.
func (w *writer) drop() {
	if w.conn == nil {
		return
	}
	w.forget()
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = w.conn.Close()
	w.conn = nil
}

// execAll runs statements of the transaction in progress, in order.
func (w *writer) execAll(ctx context.Context, list []projections.Statement) error {
	for i := range list {
		if err := w.exec(ctx, list[i].SQL, list[i].Args...); err != nil {
			return err
		}
	}
	return nil
}

// forget closes all prepared statements; DDL needs none of them to be in use.
func (w *writer) forget() {
	for _, stmt := range w.prepared {
		_ = stmt.Close()
	}
	w.prepared = map[string]*sql.Stmt{}
}

func (w *writer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		return nil
	}
	w.forget()
	err := w.conn.Close()
	w.conn = nil
	return err
}

// exec runs one statement of the transaction in progress.
func (w *writer) exec(ctx context.Context, text string, args ...any) error {
	_, err := w.changes(ctx, text, args...)
	return err
}

// changes is exec, returning how many rows changed.
func (w *writer) changes(ctx context.Context, text string, args ...any) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	w.n++
	if hook := w.store.beforeExec; hook != nil {
		if err := hook(w.n); err != nil {
			return 0, err
		}
	}
	// Not cancellable from here on: it is local work of bounded size, and watching a context costs a goroutine a statement.
	ctx = context.WithoutCancel(ctx)
	stmt := w.prepared[text]
	if stmt == nil {
		if len(w.prepared) >= maxPrepared {
			w.forget()
		}
		var err error
		if stmt, err = w.conn.PrepareContext(ctx, text); err != nil {
			return 0, fmt.Errorf("sqlite: prepare %.100q: %w", text, classify(err))
		}
		w.prepared[text] = stmt
	}
	result, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, fmt.Errorf("sqlite: %.100q: %w", text, classify(err))
	}
	return result.RowsAffected()
}

// classify marks errors that these values get whenever they are tried again. SQLITE_ERROR is not among them: it is about tables (one that
// another process dropped, a file of an older schema) and would blame every stream for it.
func classify(err error) error {
	var e *msqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_CONSTRAINT, lib.SQLITE_TOOBIG, lib.SQLITE_MISMATCH, lib.SQLITE_RANGE:
		return fmt.Errorf("%w: %w", projections.ErrRejected, err)
	}
	return err
}
