package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/infinite-kanvas/kanvas/commands"
)

func (f MasterFiles) dir() string { return filepath.Dir(f.Path) }

// OpenKeysOf is OpenKeys with the master keys of files, which are looked at again where a key turns up that another one wraps. A first master key is made
// only where no people's keys are wrapped yet.
func (s *Store) OpenKeysOf(ctx context.Context, files MasterFiles) (*Keys, error) {
	if err := s.masterIsThere(ctx, files); err != nil {
		return nil, fmt.Errorf("jetstream: keys: %w", err)
	}
	newest, others, err := files.Load()
	if err != nil {
		return nil, err
	}
	k, err := s.OpenKeys(ctx, newest, others...)
	if err == nil {
		k.masters.files = files
	}
	return k, err
}

// masterIsThere refuses a lost master key before a new one is made, which would stand where the lost one is to be restored.
func (s *Store) masterIsThere(ctx context.Context, files MasterFiles) error {
	if _, err := os.Stat(files.Path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	st, err := s.js.Stream(ctx, keysStream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil
	case err != nil:
		return err
	}
	id := st.CachedInfo().Config.Metadata[metaKeyID]
	if id == "" {
		return nil
	}
	return fmt.Errorf("people's keys are wrapped under master key %s, and there is none at %s: restore the key file", id, files.Path)
}

// Rotate wraps all keys under a new master key, erases what was wrapped under another, and puts the new one in the place of the old file. Killed at any
// moment it goes on where it was when it is called again; until then everything can be read under either. Other nodes must find the next key in
// their own files before this is called (MasterFiles.Prepare, and a copy to each). It returns how many keys it wrapped anew.
func (k *Keys) Rotate(ctx context.Context, files MasterFiles, say func(step string)) (rewrapped int, err error) {
	next, err := files.Prepare()
	if err != nil {
		return 0, err
	}
	newest, others, err := files.Load()
	if err != nil {
		return 0, err
	}
	k.masters.use(newest, others...) // from here on no key is wrapped under another
	say("the next master key is " + next.ID())
	for {
		n, err := k.rewrapAll(ctx, next)
		rewrapped += n
		if err != nil {
			return rewrapped, fmt.Errorf("jetstream: rotate: %w", err)
		}
		if n == 0 {
			break // a whole pass found none: nobody made one under the old key meanwhile
		}
		say(fmt.Sprintf("wrapped %d keys anew", n))
	}
	if err := k.stamp(ctx); err != nil {
		return rewrapped, fmt.Errorf("jetstream: rotate: %w", err)
	}
	say("no key is wrapped under another any more")
	if err := files.finish(); err != nil {
		return rewrapped, fmt.Errorf("jetstream: rotate: %w", err)
	}
	say("the new master key is in its place")
	return rewrapped, nil
}

// rewrapAll goes through all keys once, and returns how many were under another master key.
func (k *Keys) rewrapAll(ctx context.Context, next MasterKey) (n int, err error) {
	people, err := k.people(ctx)
	if err != nil {
		return 0, err
	}
	for _, person := range people {
		did, err := k.rewrap(ctx, next, person)
		if err != nil {
			return n, fmt.Errorf("key of %q: %w", person, err)
		}
		if did {
			n++
		}
	}
	return n, nil
}

// rewrap wraps a person's key under next, unless it is already or was destroyed, and erases what was stored before.
func (k *Keys) rewrap(ctx context.Context, next MasterKey, person string) (did bool, err error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	escaped, err := escapeKey(person)
	if err != nil {
		return false, err
	}
	for {
		e, err := k.kv.Get(ctx, escaped)
		if err != nil {
			return did, err
		}
		var w wrapped
		if err := json.Unmarshal(e.Value(), &w); err != nil {
			return did, fmt.Errorf("the stored key can't be read")
		}
		if w.Destroyed || w.KeyID == next.ID() {
			return did, k.erase(ctx, escaped, e.Revision())
		}
		key, _, err := k.masters.unwrap(person, e.Value())
		if err != nil {
			return did, err
		}
		value, err := wrap(next, person, key)
		if err != nil {
			return did, err
		}
		switch _, err := k.store(ctx, person, value, e.Revision()); {
		case errors.Is(err, commands.ErrSequence): // destroyed meanwhile, or wrapped by somebody else
		case err != nil:
			return did, err
		default:
			did = true
		}
	}
}

// people are all who have, or had, a key, sorted.
func (k *Keys) people(ctx context.Context) ([]string, error) {
	found := map[string]bool{}
	err := k.each(ctx, func(person string, _ []byte) { found[person] = true })
	return slices.Sorted(maps.Keys(found)), err
}

// each calls fn with what is stored for everybody, in no order; a person may come twice, the newest last.
func (k *Keys) each(ctx context.Context, fn func(person string, stored []byte)) error {
	w, err := k.kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	for e := range w.Updates() {
		if e == nil {
			break // that was all
		}
		if person, ok := unescapeKey(e.Key()); ok && e.Operation() == jetstream.KeyValuePut {
			fn(person, e.Value())
		}
	}
	if err := errors.Join(w.Stop(), ctx.Err()); err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	return nil
}
