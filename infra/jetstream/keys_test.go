package jetstream_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

var masterA, masterB = jetstream.MasterKey{1, 2, 3}, jetstream.MasterKey{4, 5, 6}

func openKeys(t *testing.T, s *jetstream.Store, m jetstream.MasterKey, old ...jetstream.MasterKey) *jetstream.Keys {
	t.Helper()
	k, err := s.OpenKeys(logtest.Context(t), m, old...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func key(t *testing.T, k *jetstream.Keys, person string, create, wantOK bool) []byte {
	t.Helper()
	b, ok, err := k.Key(logtest.Context(t), person, create)
	if err != nil || ok != wantOK || (ok && len(b) != 32) {
		t.Fatalf("key of %s: %d bytes, %v %v", person, len(b), ok, err)
	}
	return b
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	s := open(t, jetstream.Config{Dir: dir, Partitions: 1})
	k := openKeys(t, s, masterA)
	key(t, k, "anon:ada", false, false)
	ada := key(t, k, "anon:ada", true, true)
	bob := key(t, k, "bob", true, true)
	if bytes.Equal(ada, bob) {
		t.Error("two people have one key")
	}
	if !bytes.Equal(ada, key(t, k, "anon:ada", true, true)) || !bytes.Equal(ada, key(t, openKeys(t, s, masterA), "anon:ada", false, true)) {
		t.Error("the key changed")
	}
	ada[0]++ // callers own what they get
	ada[0]--
	closeStore(t, s)
	s = open(t, jetstream.Config{Dir: dir, Partitions: 1})
	if !bytes.Equal(ada, key(t, openKeys(t, s, masterA), "anon:ada", false, true)) {
		t.Error("the key changed over a restart")
	}
	if _, err := s.OpenKeys(logtest.Context(t), masterB); err == nil || !strings.Contains(err.Error(), "restore the right key file") {
		t.Errorf("another master key: %v", err)
	}
	rotated := openKeys(t, s, masterB, masterA)
	if !bytes.Equal(ada, key(t, rotated, "anon:ada", false, true)) {
		t.Error("the key changed with the master key")
	}
}

func TestKeysDestroyed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, jetstream.Config{Dir: dir, Partitions: 1})
	k := openKeys(t, s, masterA)
	key(t, k, "ada", true, true)
	wrapped := storedKey(t, s, "ada")
	for _, person := range []string{"ada", "ada", "nobody"} {
		if err := k.Destroy(logtest.Context(t), person); err != nil {
			t.Fatal(err)
		}
		key(t, k, person, true, false)
		key(t, k, person, false, false)
		key(t, openKeys(t, s, masterA), person, true, false)
	}
	var gone []string
	if err := k.Destroyed(logtest.Context(t), func(p string) bool { gone = append(gone, p); return true }); err != nil || fmt.Sprint(gone) != "[ada nobody]" {
		t.Errorf("destroyed: %v %v", gone, err)
	}
	closeStore(t, s)
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, wrapped) {
			t.Errorf("the wrapped key is still in %s", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	s = open(t, jetstream.Config{Dir: dir, Partitions: 1})
	key(t, openKeys(t, s, masterA), "ada", true, false)
}

// storedKey is the stored form, which must not hold the key itself.
func storedKey(t *testing.T, s *jetstream.Store, person string) []byte {
	t.Helper()
	kv, err := s.JetStream().KeyValue(context.Background(), "KANVAS_KEYS")
	if err != nil {
		t.Fatal(err)
	}
	e, err := kv.Get(context.Background(), person)
	if err != nil {
		t.Fatal(err)
	}
	return e.Value()
}

// TestKeysSwapped: a wrapped key is bound to its person.
func TestKeysSwapped(t *testing.T) {
	s := open(t, jetstream.Config{Dir: t.TempDir(), Partitions: 1})
	key(t, openKeys(t, s, masterA), "ada", true, true)
	kv, err := s.JetStream().KeyValue(context.Background(), "KANVAS_KEYS")
	if err != nil {
		t.Fatal(err)
	}
	for person, value := range map[string][]byte{"eve": storedKey(t, s, "ada"), "mallory": []byte("{}"), "trent": []byte("x")} {
		if _, err := kv.Put(context.Background(), person, value); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := openKeys(t, s, masterA).Key(logtest.Context(t), person, true); err == nil || ok {
			t.Errorf("the stored key %q of %s was taken", value, person)
		}
	}
}

// TestKeysTwoNodes: nodes that make a key at once agree, and a destruction wins over a creation.
func TestKeysTwoNodes(t *testing.T) {
	port := freePort(t)
	startNATS(t, t.TempDir(), port, 16<<20)
	var nodes []*jetstream.Keys
	for range 4 {
		nodes = append(nodes, openKeys(t, open(t, jetstream.Config{URL: "nats://127.0.0.1:" + port, Partitions: 1}), masterA))
	}
	for person := range 20 {
		got := make([][]byte, len(nodes))
		var g errgroup.Group
		for i, n := range nodes {
			g.Go(func() (err error) {
				got[i], _, err = n.Key(logtest.Context(t), fmt.Sprint("p", person), true)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, b := range got {
			if len(b) != 32 || !bytes.Equal(b, got[0]) {
				t.Fatalf("nodes have different keys of person %d", person)
			}
		}
	}
	for person := range 10 {
		id := fmt.Sprint("q", person)
		var g errgroup.Group
		g.Go(func() error { return nodes[0].Destroy(logtest.Context(t), id) })
		g.Go(func() error { _, _, err := nodes[1].Key(logtest.Context(t), id, true); return err })
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		key(t, nodes[2], id, true, false)
	}
}

func TestLoadMasterKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "master.key")
	keys := make([]jetstream.MasterKey, 8)
	var g errgroup.Group
	for i := range keys {
		g.Go(func() (err error) { keys[i], err = jetstream.LoadMasterKey(path); return err })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k != keys[0] || k == (jetstream.MasterKey{}) {
			t.Fatal("processes that start together have different keys")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("files left: %v %v", left, err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", keys[0], keys[0], keys[0], keys[0]); strings.Contains(text, fmt.Sprintf("%x", keys[0][:4])) {
		t.Errorf("printing shows the key: %s", text)
	}
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"others": {strings.Repeat("ab", 32), 0o640, "chmod 600"},
		"short":  {strings.Repeat("ab", 31), 0o600, "64 hex digits"},
		"long":   {strings.Repeat("ab", 33), 0o600, "64 hex digits"},
		"huge":   {strings.Repeat("ab", 3300), 0o600, "64 hex digits"},
		"empty":  {"", 0o600, "64 hex digits"},
		"nothex": {strings.Repeat("zz", 32), 0o600, "64 hex digits"},
	} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := jetstream.LoadMasterKey(p); err == nil || !strings.Contains(err.Error(), c.want) || (len(c.text) > 8 && strings.Contains(err.Error(), c.text[:8])) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := jetstream.LoadMasterKey(dir); err == nil {
		t.Error("a directory was taken for a key")
	}
}

// TestKeysOfOtherNodes: a node drops a key as another destroys it, and reads what another wrapped under the next master key of its own files.
func TestKeysOfOtherNodes(t *testing.T) {
	port := freePort(t)
	startNATS(t, t.TempDir(), port, 16<<20)
	type node struct {
		keys  *jetstream.Keys
		files jetstream.MasterFiles
		gone  chan string
	}
	var nodes []*node
	var first []byte
	for range 2 {
		n := &node{files: jetstream.MasterFiles{Path: filepath.Join(t.TempDir(), "master.key")}, gone: make(chan string, 10)}
		if first != nil {
			if err := os.WriteFile(n.files.Path, first, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if n.keys, err = open(t, jetstream.Config{URL: "nats://127.0.0.1:" + port, Partitions: 1}).OpenKeysOf(logtest.Context(t), n.files); err != nil {
			t.Fatal(err)
		}
		if first, err = os.ReadFile(n.files.Path); err != nil {
			t.Fatal(err)
		}
		n.keys.OnDestroyed(func(p string) { n.gone <- p })
		stop, err := n.keys.FollowDestroyed(logtest.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
		nodes = append(nodes, n)
	}
	a, b := nodes[0], nodes[1]
	ada, bob := key(t, a.keys, "ada", true, true), key(t, a.keys, "bob", true, true)
	key(t, b.keys, "ada", false, true) // and remembers it
	if err := a.keys.Destroy(logtest.Context(t), "ada"); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		select {
		case p := <-n.gone:
			if p != "ada" {
				t.Errorf("%q is gone", p)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a node has not heard that a key was destroyed")
		}
	}
	key(t, b.keys, "ada", false, false)

	if _, err := a.files.Prepare(); err != nil {
		t.Fatal(err)
	}
	next, err := os.ReadFile(a.files.Path + ".next")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.files.Path+".next", next, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := a.keys.Rotate(logtest.Context(t), a.files, func(string) {}); err != nil || n != 1 {
		t.Fatalf("%d keys, %v", n, err)
	}
	if got := key(t, b.keys, "bob", false, true); !bytes.Equal(got, bob) || bytes.Equal(got, ada) {
		t.Error("the other node can't read what was wrapped anew")
	}
	carol := key(t, b.keys, "carol", true, true)
	if got := key(t, a.keys, "carol", false, true); !bytes.Equal(got, carol) {
		t.Error("nodes have different keys of carol")
	}
	if n, err := b.keys.Rotate(logtest.Context(t), b.files, func(string) {}); err != nil || n != 0 { // brings its files up
		t.Errorf("%d keys were wrapped under the old master key after the rotation, %v", n, err)
	}
}
