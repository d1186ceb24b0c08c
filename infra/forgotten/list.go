// Package forgotten keeps the list of people who were forgotten: a file of its own, apart from the log and from what backs it up. A log that is restored
// from an older backup holds these people's keys again; the list says whose are to be destroyed once more.
package forgotten

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// maxLine bounds a line in bytes; ids of people are far shorter.
const maxLine = 4096

// line is how the file is written: a person is to be forgotten, or everything of them here is gone.
type line struct {
	Person string `json:"person"`
	At     int64  `json:"at,omitempty"` // Unix ms
	Done   bool   `json:"done,omitempty"`
}

// List is the file, one JSON line each, only ever appended to: lists of several machines may be joined by cat. Methods may be called concurrently,
// by one process at a time.
type List struct {
	mu    sync.Mutex
	f     *os.File
	done  map[string]bool // by person: all was done here
	order []string
}

// Open reads the list, making an empty one (mode 0600) where there is none. A last line that a crash cut is dropped; a line that can't be read is an
// error: whoever stands in it must not come back unnoticed.
func Open(path string) (*List, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("forgotten people: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("forgotten people: %w", err)
	}
	l := &List{f: f, done: map[string]bool{}}
	if err := errors.Join(l.read(path), syncDir(filepath.Dir(path))); err != nil {
		return nil, errors.Join(fmt.Errorf("forgotten people: %w", err), f.Close())
	}
	return l, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (l *List) read(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	if whole < len(text) {
		if err := l.f.Truncate(int64(whole)); err != nil {
			return err
		}
	}
	for n, b := range bytes.Split(text[:whole], []byte("\n")) {
		if len(bytes.TrimSpace(b)) == 0 {
			continue
		}
		var x line
		if err := json.Unmarshal(b, &x); err != nil || x.Person == "" || len(b) > maxLine {
			return fmt.Errorf("line %d of %s can't be read: mend or restore the file", n+1, path)
		}
		l.take(x)
	}
	return nil
}

func (l *List) take(x line) {
	if _, known := l.done[x.Person]; !known {
		l.order = append(l.order, x.Person)
	}
	l.done[x.Person] = x.Done
}

// Add notes, durably, that a person is to be forgotten, also where that was done before.
func (l *List) Add(person string) error {
	return l.append(line{Person: person, At: time.Now().UnixMilli()})
}

// Done notes, durably, that nothing of the person is left here. The person stays on the list.
func (l *List) Done(person string) error { return l.append(line{Person: person, Done: true}) }

func (l *List) append(x line) error {
	b, err := json.Marshal(x)
	if err != nil {
		return fmt.Errorf("forgotten people: %w", err)
	}
	if x.Person == "" || len(b) > maxLine {
		return fmt.Errorf("forgotten people: an id has 1 to about %d bytes", maxLine-100)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if done, known := l.done[x.Person]; known && done == x.Done {
		return nil // it says so already
	}
	if _, err := l.f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("forgotten people: %w", err)
	}
	if err := l.f.Sync(); err != nil {
		return fmt.Errorf("forgotten people: %w", err)
	}
	l.take(x)
	return nil
}

// All are the people on the list, in the order in which they were forgotten.
func (l *List) All() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.order...)
}

// Has reports whether the person is on the list.
func (l *List) Has(person string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.done[person]
	return ok
}

// Pending are those of whom something may be left here.
func (l *List) Pending() (people []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.order {
		if !l.done[p] {
			people = append(people, p)
		}
	}
	return people
}

// Close ends it.
func (l *List) Close() error { return l.f.Close() }
