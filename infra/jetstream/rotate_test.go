package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rotation is a store with keys of people, opened and closed as a process would.
type rotation struct {
	t     *testing.T
	dir   string
	files MasterFiles
	keys  map[string][]byte // by person; nil: destroyed
}

const rotated = 12

func newRotation(t *testing.T) *rotation {
	dir := t.TempDir()
	r := &rotation{t: t, dir: dir, files: MasterFiles{filepath.Join(dir, "master.key")}, keys: map[string][]byte{}}
	r.with(func(ctx context.Context, k *Keys) {
		for i := range rotated {
			p := fmt.Sprint("anon:", i)
			key, ok, err := k.Key(ctx, p, true)
			if err != nil || !ok {
				t.Fatal(err)
			}
			r.keys[p] = key
		}
		if err := k.Destroy(ctx, "anon:3"); err != nil {
			t.Fatal(err)
		}
		r.keys["anon:3"] = nil
	})
	return r
}

// with opens the store, looks whether everybody's key is what it was, calls fn and closes it.
func (r *rotation) with(fn func(ctx context.Context, k *Keys)) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	s, err := Open(ctx, Config{Dir: filepath.Join(r.dir, "log"), Partitions: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		if err := s.Close(ctx); err != nil {
			r.t.Error(err)
		}
	}()
	k, err := s.OpenKeysOf(ctx, r.files)
	if err != nil {
		r.t.Fatal(err)
	}
	r.same(ctx, k)
	fn(ctx, k)
}

func (r *rotation) same(ctx context.Context, k *Keys) {
	r.t.Helper()
	for p, want := range r.keys {
		got, ok, err := k.Key(ctx, p, false)
		if err != nil || ok != (want != nil) || !bytes.Equal(got, want) {
			r.t.Errorf("the key of %s: %v %v", p, ok, err)
		}
	}
}

// TestALostMasterKeyIsNotReplaced: the start is refused, and nothing stands where the key is to be restored.
func TestALostMasterKeyIsNotReplaced(t *testing.T) {
	r := newRotation(t)
	kept := r.files.Path + ".kept"
	if err := os.Rename(r.files.Path, kept); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{Dir: filepath.Join(r.dir, "log"), Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.OpenKeysOf(t.Context(), r.files)
	if err == nil || !strings.Contains(err.Error(), "restore the key file") {
		t.Errorf("opened without the master key: %v", err)
	}
	if _, err := os.Stat(r.files.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another master key was made: %v", err)
	}
	if err := errors.Join(s.Close(t.Context()), os.Rename(kept, r.files.Path)); err != nil {
		t.Fatal(err)
	}
	r.with(func(context.Context, *Keys) {})
}

// under counts the keys by the master key that wraps them.
func under(t *testing.T, ctx context.Context, k *Keys) map[string]int {
	t.Helper()
	n := map[string]int{}
	if err := k.each(ctx, func(_ string, stored []byte) {
		var w wrapped
		if err := json.Unmarshal(stored, &w); err != nil {
			t.Error(err)
		}
		n[w.KeyID]++
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRotateIsFinishedFromEveryStep: a process that ends after any step leaves keys that can be read by the next, which finishes the rotation; nothing
// that was wrapped under the old master key is on disk then, and what was destroyed stays so.
func TestRotateIsFinishedFromEveryStep(t *testing.T) {
	steps := map[string]func(ctx context.Context, r *rotation, k *Keys, next MasterKey) error{
		"nothing": func(context.Context, *rotation, *Keys, MasterKey) error { return nil },
		"some rewrapped": func(ctx context.Context, r *rotation, k *Keys, next MasterKey) error {
			for i := range rotated / 2 {
				if _, err := k.rewrap(ctx, next, fmt.Sprint("anon:", i)); err != nil {
					return err
				}
			}
			return nil
		},
		"one stored and the old one not erased": func(ctx context.Context, r *rotation, k *Keys, next MasterKey) error {
			e, err := k.kv.Get(ctx, mustEscape(t, "anon:1"))
			if err != nil {
				return err
			}
			value, err := wrap(next, "anon:1", r.keys["anon:1"])
			if err == nil {
				_, err = k.store(ctx, "anon:1", value, e.Revision())
			}
			return err
		},
		"all rewrapped": func(ctx context.Context, r *rotation, k *Keys, next MasterKey) error {
			_, err := k.rewrapAll(ctx, next)
			return err
		},
		"the old file kept": func(ctx context.Context, r *rotation, k *Keys, next MasterKey) error {
			if _, err := k.rewrapAll(ctx, next); err != nil {
				return err
			}
			return os.Link(r.files.Path, r.files.Path+oldMaster)
		},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			r := newRotation(t)
			var was, next MasterKey
			r.with(func(ctx context.Context, k *Keys) {
				var err error
				was = k.masters.newest()
				if next, err = r.files.Prepare(); err != nil {
					t.Fatal(err)
				}
				k.masters.use(next)
				if err := step(ctx, r, k, next); err != nil {
					t.Fatal(err)
				}
			})
			var wrappedUnderOld [][]byte
			r.with(func(ctx context.Context, k *Keys) { // reads all, half way
				if !r.files.Rotating() {
					t.Error("the rotation is not known to be under way")
				}
				if err := k.each(ctx, func(_ string, stored []byte) {
					var w wrapped
					if json.Unmarshal(stored, &w) == nil && w.KeyID == was.ID() {
						wrappedUnderOld = append(wrappedUnderOld, bytes.Clone(stored))
					}
				}); err != nil {
					t.Fatal(err)
				}
				if _, err := k.Rotate(ctx, r.files, func(string) {}); err != nil {
					t.Fatal(err)
				}
				r.same(ctx, k)
				if n := under(t, ctx, k); n[next.ID()] != rotated-1 || n[""] != 1 || len(n) != 2 {
					t.Errorf("%v", n)
				}
			})
			r.with(func(ctx context.Context, k *Keys) {
				if k.masters.newest() != next || r.files.Rotating() {
					t.Error("the new master key is not in its place")
				}
				if old, err := readMasterKey(r.files.Path + oldMaster); err != nil || old != was {
					t.Errorf("the old one is not kept: %v", err)
				}
			})
			if err := os.Remove(r.files.Path + oldMaster); err != nil {
				t.Fatal(err)
			}
			r.with(func(context.Context, *Keys) {}) // nothing needs it
			leftOnDisk(t, r.dir, wrappedUnderOld)
		})
	}
}

func mustEscape(t *testing.T, person string) string {
	t.Helper()
	escaped, err := escapeKey(person)
	if err != nil {
		t.Fatal(err)
	}
	return escaped
}

func leftOnDisk(t *testing.T, dir string, values [][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, v := range values {
			if bytes.Contains(b, v) {
				t.Errorf("a key under the old master key is still in %s", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestARotationNeedsItsFiles(t *testing.T) {
	r := newRotation(t)
	if _, err := r.files.Prepare(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.files.Path, r.files.Path+".away"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.files.Load(); err == nil {
		t.Error("a master key was made in place of one that is missing")
	}
	if _, err := (MasterFiles{r.files.Path}).Prepare(); err == nil {
		t.Error("a next master key was made for none")
	}
}

// TestKeysComeBackFromABackup: what is exported is imported under another master key; what was destroyed, before the backup or after it, stays so.
func TestKeysComeBackFromABackup(t *testing.T) {
	r := newRotation(t)
	var lines [][]byte
	r.with(func(ctx context.Context, k *Keys) {
		if err := k.Export(ctx, func(c Copied) error {
			b, err := json.Marshal(c)
			lines = append(lines, b)
			if text := fmt.Sprintf("%v %+v %#v", c, c, c); bytes.Contains([]byte(text), []byte("[")) {
				t.Errorf("printing shows the key: %s", text)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})
	if len(lines) != rotated {
		t.Fatalf("%d of %d people", len(lines), rotated)
	}
	back := &rotation{t: t, dir: t.TempDir(), keys: map[string][]byte{}}
	back.files = MasterFiles{filepath.Join(back.dir, "master.key")}
	var other []byte
	back.with(func(ctx context.Context, k *Keys) {
		if err := k.Destroy(ctx, "anon:5"); err != nil {
			t.Fatal(err)
		}
		var err error
		if other, _, err = k.Key(ctx, "anon:6", true); err != nil {
			t.Fatal(err)
		}
		for round := range 2 {
			got := map[Imported]int{}
			for _, b := range lines {
				var c Copied
				if err := json.Unmarshal(b, &c); err != nil {
					t.Fatal(err)
				}
				if c.Key == nil {
					continue
				}
				what, err := k.Import(ctx, c)
				if err != nil {
					t.Fatal(err)
				}
				got[what]++
			}
			restored, same := rotated-3, 0
			if round == 1 {
				restored, same = same, restored
			}
			if got[KeyRestored] != restored || got[KeySame] != same || got[KeyDestroyed] != 1 || got[KeyOther] != 1 {
				t.Errorf("round %d: %v", round, got)
			}
		}
	})
	for p, key := range r.keys {
		back.keys[p] = key
	}
	back.keys["anon:5"], back.keys["anon:6"] = nil, other
	back.with(func(context.Context, *Keys) {})
	var c Copied
	for _, bad := range []string{`{}`, `{"person":"a"}`, `{"person":"a","key":"QUJD"}`, `{"person":"a","destroyed":true,"key":"QUJD"}`, `[]`, `x`} {
		if json.Unmarshal([]byte(bad), &c) == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
