// Package objectstest is the conformance suite of commands.Objects: the directory and R2 pass the same tests.
package objectstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/commands"
)

// Limits are what a server that stands in for the real one can't do.
type Limits struct {
	// Folders: keys are files in folders, so that one can't be the folder of another, and a folder may go while somebody puts into it.
	Folders bool
}

// Test runs the suite; open gives an empty store.
func Test(t *testing.T, open func(t *testing.T) commands.Objects, l Limits) {
	t.Run("what is put is got", func(t *testing.T) { putGet(t, open(t)) })
	if !l.Folders {
		t.Run("a name that is also a folder", func(t *testing.T) { alsoFolder(t, open(t)) })
	}
	t.Run("ranges", func(t *testing.T) { ranges(t, open(t)) })
	t.Run("missing", func(t *testing.T) { missing(t, open(t)) })
	t.Run("listed in order", func(t *testing.T) { list(t, open(t), l) })
	t.Run("listed over pages", func(t *testing.T) { listPages(t, open(t)) })
	t.Run("bad keys change nothing", func(t *testing.T) { badKeys(t, open(t)) })
	t.Run("half a body is nothing", func(t *testing.T) { halfBody(t, open(t)) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, open(t), l) })
}

func put(t *testing.T, o commands.Objects, key, text string) {
	t.Helper()
	if err := o.Put(context.Background(), key, "text/plain", strings.NewReader(text), int64(len(text))); err != nil {
		t.Fatal(err)
	}
}

func get(o commands.Objects, key string, offset, length int64) (string, commands.Object, error) {
	r, obj, err := o.Get(context.Background(), key, offset, length)
	if err != nil {
		return "", obj, err
	}
	b, err := io.ReadAll(r)
	return string(b), obj, errors.Join(err, r.Close())
}

func putGet(t *testing.T, o commands.Objects) {
	put(t, o, "images/u/a.png", "one")
	put(t, o, "images/u/a.png", "two, longer")
	put(t, o, "empty", "")
	got, obj, err := get(o, "images/u/a.png", 0, -1)
	if err != nil || got != "two, longer" || obj.Size != 11 || obj.ContentType != "text/plain" || obj.ETag == "" || obj.ModifiedAt.IsZero() {
		t.Fatalf("%q %+v %v", got, obj, err)
	}
	head, err := o.Head(context.Background(), "images/u/a.png")
	if err != nil || head != obj {
		t.Fatalf("%+v is not %+v: %v", head, obj, err)
	}
	if got, obj, err := get(o, "empty", 0, -1); err != nil || got != "" || obj.Size != 0 {
		t.Fatalf("%q %v", got, err)
	}
}

func alsoFolder(t *testing.T, o commands.Objects) {
	put(t, o, "images/u/a.png", "below")
	put(t, o, "images/u", "a name that is also a folder")
	if got, _, err := get(o, "images/u", 0, -1); err != nil || !strings.HasPrefix(got, "a name") {
		t.Fatalf("%q %v", got, err)
	}
	if err := o.Delete(context.Background(), "images/u"); err != nil {
		t.Fatal(err)
	}
	if got, _, err := get(o, "images/u/a.png", 0, -1); err != nil || got != "below" {
		t.Fatalf("%q %v", got, err)
	}
}

func ranges(t *testing.T, o commands.Objects) {
	put(t, o, "r", "0123456789")
	for _, c := range []struct {
		offset, length int64
		want           string
	}{{0, 3, "012"}, {4, 2, "45"}, {8, 10, "89"}, {9, -1, "9"}, {3, 0, ""}, {10, -1, ""}, {99, 5, ""}} {
		if got, obj, err := get(o, "r", c.offset, c.length); err != nil || got != c.want || obj.Size != 10 {
			t.Errorf("%+v: %q %v", c, got, err)
		}
	}
}

func missing(t *testing.T, o commands.Objects) {
	if _, _, err := get(o, "no/such", 0, -1); !errors.Is(err, commands.ErrNoObject) {
		t.Errorf("get: %v", err)
	}
	if _, err := o.Head(context.Background(), "no/such"); !errors.Is(err, commands.ErrNoObject) {
		t.Errorf("head: %v", err)
	}
	put(t, o, "a/b", "x")
	if err := o.Delete(context.Background(), "a/b", "no/such"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := o.Head(context.Background(), "a/b"); !errors.Is(err, commands.ErrNoObject) {
		t.Errorf("deleted: %v", err)
	}
}

func list(t *testing.T, o commands.Objects, l Limits) {
	below := "b/2/x"
	if l.Folders {
		below = "b/2x"
	}
	for _, k := range []string{"b/2", "a/1", "b/10", "b-1", "c", below} {
		put(t, o, k, k)
	}
	keys := func(prefix string, most int) (got []string) {
		err := o.List(context.Background(), prefix, func(x commands.Object) bool {
			got = append(got, x.Key)
			return len(got) < most
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for prefix, want := range map[string]string{"": "a/1 b-1 b/10 b/2 " + below + " c", "b/": "b/10 b/2 " + below, "b": "b-1 b/10 b/2 " + below, "zz": ""} {
		if got := strings.Join(keys(prefix, 100), " "); got != want {
			t.Errorf("prefix %q: %s, want %s", prefix, got, want)
		}
	}
	if got := keys("", 2); len(got) != 2 {
		t.Errorf("%v after being told to stop", got)
	}
}

// listPages lists more than S3 gives in a page, and deletes more than it takes in a call.
func listPages(t *testing.T, o commands.Objects) {
	const n = 1050
	keys := make([]string, n)
	var g errgroup.Group
	g.SetLimit(16)
	for i := range n {
		keys[i] = fmt.Sprintf("many/%04d", i)
		g.Go(func() error { return o.Put(context.Background(), keys[i], "text/plain", strings.NewReader("x"), 1) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	i := 0
	if err := o.List(context.Background(), "many/", func(x commands.Object) bool {
		if i >= n || x.Key != keys[i] || x.Size != 1 {
			t.Fatalf("%+v is at place %d", x, i)
		}
		i++
		return true
	}); err != nil || i != n {
		t.Fatalf("%d of %d: %v", i, n, err)
	}
	if err := o.Delete(context.Background(), keys...); err != nil {
		t.Fatal(err)
	}
	if err := o.List(context.Background(), "many/", func(x commands.Object) bool { t.Errorf("%s is left", x.Key); return true }); err != nil {
		t.Fatal(err)
	}
}

func badKeys(t *testing.T, o commands.Objects) {
	for _, k := range []string{"", ".", "..", "../x", "a/../b", "/a", "a/", "a//b", "a\x00b", "a\nb", "a\\b", "c:x", strings.Repeat("x", 1025),
		strings.Repeat("y", 300), "a/./b", "\xff", "con.", "end ", "x\x7f"} {
		if err := o.Put(context.Background(), k, "text/plain", strings.NewReader("x"), 1); err == nil {
			t.Errorf("put %q passed", k)
		}
		if _, _, err := get(o, k, 0, -1); err == nil {
			t.Errorf("get %q passed", k)
		}
		if err := o.Delete(context.Background(), k); err == nil {
			t.Errorf("delete %q passed", k)
		}
	}
	if err := o.List(context.Background(), "", func(x commands.Object) bool {
		t.Errorf("%q is there", x.Key)
		return true
	}); err != nil {
		t.Fatal(err)
	}
}

type broken struct{ r io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		err = errors.New("the sender went away")
	}
	return n, err
}

func halfBody(t *testing.T, o commands.Objects) {
	put(t, o, "k", "before")
	for name, body := range map[string]io.Reader{"short": strings.NewReader("123"), "long": strings.NewReader("1234567"), "broken": broken{strings.NewReader("123")}} {
		if err := o.Put(context.Background(), "k", "text/plain", body, 5); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := o.Put(ctx, "k", "text/plain", strings.NewReader("12345"), 5); err == nil {
		t.Error("cancelled: passed")
	}
	if got, _, err := get(o, "k", 0, -1); err != nil || got != "before" {
		t.Fatalf("%q %v", got, err)
	}
}

func concurrent(t *testing.T, o commands.Objects, l Limits) {
	if l.Folders {
		for n := range 3 {
			put(t, o, fmt.Sprintf("f%d/g/stays", n), "so that the folder does")
		}
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				key, body := fmt.Sprintf("f%d/g/k%d", n%3, i), bytes.Repeat([]byte{byte(i)}, 1000)
				if err := o.Put(context.Background(), key, "application/octet-stream", bytes.NewReader(body), 1000); err != nil {
					t.Error(err)
				}
				if got, _, err := get(o, key, 0, -1); err != nil || got != string(body) {
					t.Errorf("%s: %d bytes, %v", key, len(got), err)
				}
				if err := o.Delete(context.Background(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
