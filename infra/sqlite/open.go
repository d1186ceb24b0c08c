package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	msqlite "modernc.org/sqlite" // the driver, pure Go
	lib "modernc.org/sqlite/lib"
)

// FileName is the file below the data directory that holds the tables.
const FileName = "kanvas.db"

// busyTimeout bounds how long a writer waits for another process's transaction. A swap after a rebuild is the longest one.
const busyTimeout = 30 * time.Second

// Options of Open.
type Options struct {
	Dir        string                // data directory; made where it is missing, mode 0700
	Registerer prometheus.Registerer // nil: no metrics
	Readers    int                   // most connections that read at once; 0 means 4
}

// Store is the projections' Store, Shadows and Queries on one SQLite file. Methods may be called concurrently; writes are one at a time.
type Store struct {
	path     string
	writes   *sql.DB
	reads    *sql.DB
	prepared prepared // of reads
	writer   writer
	latency  *prometheus.HistogramVec
	shadow   atomic.Bool // this process has shadow tables

	// beforeExec, where set, is called before each statement of a transaction, with its number in it; an error makes the statement fail.
	beforeExec func(n int) error
}

// Open opens the file below opts.Dir, making it where it is missing, and brings its schema up to date.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	path, err := filepath.Abs(filepath.Join(opts.Dir, FileName))
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	if err := makeFile(path); err != nil {
		return nil, err
	}
	s := &Store{path: path, latency: newLatency(opts.Registerer)}
	s.writer.store = s
	if err := s.open(ctx, opts.Readers); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %s: %w", path, err), s.Close())
	}
	return s, nil
}

// makeFile makes the file with mode 0600, which SQLite gives its side files too: names of people stand in it.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return f.Close()
}

func (s *Store) open(ctx context.Context, readers int) error {
	if readers <= 0 {
		readers = 4
	}
	var err error
	if s.writes, err = sql.Open("sqlite", dsn(s.path, "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)", "cache_size(-16384)")); err != nil {
		return err
	}
	s.writes.SetMaxOpenConns(1)
	if s.reads, err = sql.Open("sqlite", dsn(s.path, "query_only(1)", "foreign_keys(1)", "cache_size(-4096)")); err != nil {
		return err
	}
	s.reads.SetMaxOpenConns(readers)
	s.reads.SetMaxIdleConns(readers)
	return whileBusy(ctx, func() error { return migrate(ctx, s.writes) })
}

// whileBusy calls fn again while the file is busy, up to busyTimeout. SQLite does not wait by itself where several connections turn a new
// file into WAL mode, or the last one of another process takes the WAL away: it says SQLITE_BUSY at once, whatever busy_timeout is.
func whileBusy(ctx context.Context, fn func() error) error {
	for deadline := time.Now().Add(busyTimeout); ; {
		err := fn()
		var e *msqlite.Error
		if !errors.As(err, &e) || e.Code()&0xFF != lib.SQLITE_BUSY || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(busyPause):
		}
	}
}

const busyPause = 10 * time.Millisecond

// dsn names the file with PRAGMAs, so that every connection of the pool has them.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())}}
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	q.Set("_dqs", "0")
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// Path is the file's.
func (s *Store) Path() string { return s.path }

// Close ends all connections; transactions in progress are finished first.
func (s *Store) Close() error {
	var errs []error
	errs = append(errs, s.writer.close())
	for _, db := range []*sql.DB{s.reads, s.writes} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Ping reads one row, for readiness checks.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.reads.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("sqlite: ping: %w", err)
	}
	return nil
}
