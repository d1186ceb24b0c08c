// Package kvtest is the conformance suite of commands.KV.
package kvtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/commands"
)

// Features say what an implementation has.
type Features struct {
	MinTTL time.Duration // the shortest TTL, which the suite waits for: 1 s here, 60 s on Cloudflare (skipped above 5 s)
	Within time.Duration // how long a write may take to be seen: 0 is at once
}

type suite struct {
	kv commands.KV
	f  Features
}

// Run runs the suite over a store that may be in use by others: it keeps to keys of its own.
func Run(t *testing.T, kv commands.KV, f Features) {
	s := suite{kv, f}
	t.Run("put get delete", s.putGetDelete)
	t.Run("keys", s.keys)
	t.Run("bad keys", s.badKeys)
	t.Run("values", s.values)
	t.Run("many", s.many)
	t.Run("list", s.list)
	t.Run("concurrent", s.concurrent)
	t.Run("ttl", s.ttl)
}

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return c
}

func (s suite) put(t *testing.T, key, value string, ttl time.Duration) {
	t.Helper()
	if err := s.kv.Put(ctx(t), key, []byte(value), ttl); err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

// is waits until key has the value (nil: is gone), at most for within.
func (s suite) is(t *testing.T, key string, want *string, within time.Duration) {
	t.Helper()
	end := time.Now().Add(within)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		v, ok, err := s.kv.Get(ctx(t), key)
		if err != nil {
			t.Fatalf("get %q: %v", key, err)
		}
		if ok == (want != nil) && (want == nil || string(v) == *want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("get %q: %q %v, want %v", key, v, ok, want)
		}
		<-tick.C
	}
}

func text(s string) *string { return &s }

func (s suite) putGetDelete(t *testing.T) {
	key := "test:" + uuid.NewString()
	s.is(t, key, nil, 0)
	s.put(t, key, "one", 0)
	s.is(t, key, text("one"), s.f.Within)
	s.put(t, key, "two", 0)
	s.is(t, key, text("two"), s.f.Within)
	for range 2 { // deleting what is gone is no error
		if err := s.kv.Delete(ctx(t), key); err != nil {
			t.Fatal(err)
		}
		s.is(t, key, nil, s.f.Within)
	}
	s.put(t, key, "three", 0)
	s.is(t, key, text("three"), s.f.Within)
}

// many: more than one call takes anywhere, of one of which something is wrong.
func (s suite) many(t *testing.T) {
	id := "many:" + uuid.NewString() + ":"
	entries := make([]commands.Entry, 1005)
	for i := range entries {
		entries[i] = commands.Entry{Key: fmt.Sprintf("%s%04d", id, i), Value: fmt.Append(nil, i), TTL: time.Hour}
	}
	entries[1].Value, entries[2].TTL = []byte{0xff, 0, 0xfe}, 0
	if err := s.kv.PutMany(ctx(t), entries); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1, 2, 999, 1000, 1004} {
		s.is(t, entries[i].Key, text(string(entries[i].Value)), s.f.Within)
	}
	if err := s.kv.PutMany(ctx(t), nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
	if err := s.kv.PutMany(ctx(t), []commands.Entry{{Key: id + "good"}, {Key: ""}}); err == nil {
		t.Error("an empty key among others was taken")
	}
	n := 0
	if err := s.kv.List(ctx(t), id+"1", func(string) bool { n++; return true }); err != nil || n != 5 {
		t.Errorf("%d listed, want 5: %v", n, err)
	}
	keys := []string{"none:" + id}
	if err := s.kv.List(ctx(t), id+"0", func(k string) bool { keys = append(keys, k); return true }); err != nil || len(keys) != 1001 {
		t.Errorf("%d listed, want 1000: %v", len(keys)-1, err)
	}
	if err := s.kv.Delete(ctx(t), keys...); err != nil {
		t.Fatal(err)
	}
	s.is(t, entries[999].Key, nil, s.f.Within)
	s.is(t, entries[1000].Key, text("1000"), 0)
}

// keys: those of the guide, and all that could be mixed up by an escape.
func (s suite) keys(t *testing.T) {
	id := uuid.NewString()
	keys := []string{"rate_limit:" + id + ":fal:20261123", "rooms:" + id + ":participants", "presence:anon:" + id,
		"a/b" + id, "a:b" + id, "a=3Ab" + id, "a=b" + id, "a.b" + id, "a..b" + id, "." + id, id + ".", "*" + id, ">" + id, "a b" + id, "é☃" + id,
		"a%b" + id, "tab\t" + id, "::" + id, strings.Repeat("k", 512-len(id)) + id}
	for i, k := range keys {
		s.put(t, k, fmt.Sprint(i), 0)
	}
	for i, k := range keys {
		s.is(t, k, text(fmt.Sprint(i)), s.f.Within)
	}
	for _, k := range keys {
		if err := s.kv.Delete(ctx(t), k); err != nil {
			t.Error(err)
		}
	}
}

func (s suite) badKeys(t *testing.T) {
	for _, k := range []string{"", strings.Repeat("k", 513)} {
		if err := s.kv.Put(ctx(t), k, nil, 0); err == nil {
			t.Errorf("put under a key of %d bytes worked", len(k))
		}
		if _, _, err := s.kv.Get(ctx(t), k); err == nil {
			t.Errorf("get of a key of %d bytes worked", len(k))
		}
	}
	if err := s.kv.Put(ctx(t), "k", nil, time.Millisecond); err == nil {
		t.Error("a TTL of 1 ms was taken")
	}
}

func (s suite) values(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, v := range [][]byte{{}, all, bytes.Repeat(all, 4096)} {
		key := "test:" + uuid.NewString()
		s.put(t, key, string(v), 0)
		s.is(t, key, text(string(v)), s.f.Within)
		if err := s.kv.Delete(ctx(t), key); err != nil {
			t.Error(err)
		}
	}
}

func (s suite) list(t *testing.T) {
	prefix := "list:" + uuid.NewString() + ":"
	var want []string
	for i := range 20 {
		k := fmt.Sprintf("%s%02d:x", prefix, i)
		s.put(t, k, "v", 0)
		want = append(want, k)
	}
	s.put(t, "list:"+uuid.NewString(), "other", s.f.MinTTL)
	if err := s.kv.Delete(ctx(t), want[7]); err != nil {
		t.Fatal(err)
	}
	want = slices.Delete(want, 7, 8)
	end := time.Now().Add(s.f.Within)
	for {
		var got []string
		if err := s.kv.List(ctx(t), prefix, func(k string) bool { got = append(got, k); return true }); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("list: %v, want %v", got, want)
		}
	}
	n := 0
	if err := s.kv.List(ctx(t), prefix, func(string) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Errorf("stopped list: %d %v", n, err)
	}
	if err := s.kv.List(ctx(t), "none:"+prefix, func(k string) bool { t.Errorf("listed %q", k); return true }); err != nil {
		t.Error(err)
	}
}

func (s suite) concurrent(t *testing.T) {
	id := uuid.NewString()
	c := ctx(t)
	var g errgroup.Group
	for i := range 16 {
		g.Go(func() error {
			key := fmt.Sprintf("test:%s:%d", id, i)
			for n := range 20 {
				if err := s.kv.Put(c, key, fmt.Append(nil, n), 0); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		s.is(t, fmt.Sprintf("test:%s:%d", id, i), text("19"), s.f.Within)
	}
}

// ttl: entries end, also those whose TTL came with an overwrite; and an overwrite without one makes an entry stay.
func (s suite) ttl(t *testing.T) {
	if s.f.MinTTL > 5*time.Second {
		t.Skipf("the shortest TTL is %s", s.f.MinTTL)
	}
	id := "ttl:" + uuid.NewString()
	short, slack := s.f.MinTTL, 3*time.Second
	s.put(t, id+":fresh", "v", short)
	s.put(t, id+":over", "v", 0)
	s.put(t, id+":over", "w", short)
	s.put(t, id+":longer", "v", short)
	s.put(t, id+":longer", "w", time.Hour)
	s.put(t, id+":stays", "v", short)
	s.put(t, id+":stays", "w", 0)
	s.is(t, id+":over", text("w"), s.f.Within)
	s.is(t, id+":fresh", nil, short+slack)
	s.is(t, id+":over", nil, slack)
	s.is(t, id+":longer", text("w"), 0)
	s.is(t, id+":stays", text("w"), 0)
	if err := s.kv.List(ctx(t), id, func(k string) bool {
		if k == id+":fresh" || k == id+":over" {
			t.Errorf("list has %s, which is over", k)
		}
		return true
	}); err != nil {
		t.Error(err)
	}
	s.put(t, id+":fresh", "again", short) // over the marker of the one that ended
	s.is(t, id+":fresh", text("again"), s.f.Within)
	s.is(t, id+":fresh", nil, short+slack)
}
