// Package control lets the subcommands work beside a running server: a lock that says who holds a data directory, and a
// local socket in it (mode 0600) over which the holder runs operations for them.
package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Lock is an exclusive hold on a data directory. The kernel drops it when the process ends, however it ends.
type Lock struct{ f *os.File }

// HeldError says that another process holds the directory.
type HeldError struct{ Dir, Holder string }

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is in use by %s", e.Dir, e.Holder)
}

// Acquire takes the lock of dir, which it creates (mode 0700) where it is missing. A *HeldError says who has it.
func Acquire(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		held := errors.Is(err, syscall.EWOULDBLOCK)
		holder, readErr := os.ReadFile(f.Name())
		closeErr := f.Close()
		if !held {
			return nil, fmt.Errorf("lock %s: %w", dir, errors.Join(err, closeErr))
		}
		name := strings.TrimSpace(string(holder))
		if readErr != nil || name == "" {
			name = "another process"
		}
		return nil, &HeldError{Dir: dir, Holder: name}
	}
	l := &Lock{f: f}
	return l, l.Describe(fmt.Sprintf("pid %d", os.Getpid()))
}

// Describe records who holds the lock, for the message of the next one that tries.
func (l *Lock) Describe(holder string) error {
	if err := l.f.Truncate(0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	if _, err := l.f.WriteAt([]byte(holder+"\n"), 0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	return nil
}

// Release gives the directory free.
func (l *Lock) Release() error { return l.f.Close() }
