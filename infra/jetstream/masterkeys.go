package jetstream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Beside the file of the master key may stand the next one, while a rotation is under way, and the one of before, which opens backups of before.
const (
	nextMaster = ".next"
	oldMaster  = ".old"
)

// MasterFiles is where the master key is kept.
type MasterFiles struct{ Path string }

// Load returns the key that new keys are wrapped under, and those under which others may still be. It makes the first one where there is none.
func (f MasterFiles) Load() (newest MasterKey, others []MasterKey, err error) {
	next, hasNext, err := f.optional(nextMaster)
	if err != nil {
		return newest, nil, err
	}
	old, hasOld, err := f.optional(oldMaster)
	if err != nil {
		return newest, nil, err
	}
	if hasNext || hasOld {
		if _, err := os.Stat(f.Path); err != nil { // a new one would read nothing
			return newest, nil, fmt.Errorf("master key: %w: restore it", err)
		}
	}
	newest, err = LoadMasterKey(f.Path)
	if err != nil {
		return newest, nil, err
	}
	if hasOld {
		others = append(others, old)
	}
	if hasNext {
		others = append(others, newest)
		newest = next
	}
	return newest, others, nil
}

func (f MasterFiles) optional(end string) (MasterKey, bool, error) {
	k, err := readMasterKey(f.Path + end)
	if errors.Is(err, fs.ErrNotExist) {
		return k, false, nil
	}
	if err != nil {
		return k, false, fmt.Errorf("master key: %w", err)
	}
	return k, true, nil
}

// Rotating reports whether a rotation was begun and not finished.
func (f MasterFiles) Rotating() bool {
	_, has, err := f.optional(nextMaster)
	return has || err != nil
}

// Prepare makes the next master key where there is none yet.
func (f MasterFiles) Prepare() (MasterKey, error) {
	if _, err := os.Stat(f.Path); err != nil {
		return MasterKey{}, fmt.Errorf("master key: %w", err)
	}
	return LoadMasterKey(f.Path + nextMaster)
}

// finish puts the next master key in the place of the one that was, which is kept beside it. It may be called again after a crash.
func (f MasterFiles) finish() error {
	if !f.Rotating() {
		return nil
	}
	kept := f.Path + oldMaster
	if err := os.Remove(kept); err != nil && !errors.Is(err, fs.ErrNotExist) { // nothing is wrapped under it any more
		return err
	}
	if err := os.Link(f.Path, kept); err != nil {
		return err
	}
	if err := os.Rename(f.Path+nextMaster, f.Path); err != nil {
		return err
	}
	return syncDir(f.dir())
}

// masterKeys are those in use. Safe for concurrent use.
type masterKeys struct {
	mu     sync.RWMutex
	wrap   MasterKey
	byID   map[string]MasterKey
	files  MasterFiles // Path "": none to look at again
	looked time.Time
}

// lookAgain is how often at most the files are looked at for a key that is not known.
const lookAgain = time.Second

func (m *masterKeys) use(newest MasterKey, others ...MasterKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wrap = newest
	if m.byID == nil {
		m.byID = map[string]MasterKey{}
	}
	for _, k := range append(others, newest) {
		m.byID[k.ID()] = k
	}
}

func (m *masterKeys) newest() MasterKey {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.wrap
}

func (m *masterKeys) has(id string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, ok := m.byID[id]
	return ok
}

// unwrap opens a stored key. Where it is under a master key that is not known, another node rotates: then the files are looked at again.
func (m *masterKeys) unwrap(person string, stored []byte) (key []byte, ok bool, err error) {
	key, ok, err = m.unwrapKnown(person, stored)
	if !errors.Is(err, errMasterKey) {
		return key, ok, err
	}
	if lerr := m.look(); lerr != nil {
		return nil, false, errors.Join(err, lerr)
	}
	return m.unwrapKnown(person, stored)
}

func (m *masterKeys) unwrapKnown(person string, stored []byte) (key []byte, ok bool, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return unwrap(m.byID, person, stored)
}

func (m *masterKeys) look() error {
	m.mu.Lock()
	files, again := m.files, time.Since(m.looked) >= lookAgain
	if again {
		m.looked = time.Now()
	}
	m.mu.Unlock()
	if files.Path == "" || !again {
		return nil
	}
	newest, others, err := files.Load()
	if err == nil {
		m.use(newest, others...)
	}
	return err
}
