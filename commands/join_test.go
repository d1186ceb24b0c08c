package commands_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
)

// Joiners under constant commits: from its View's revision on each gets every revision once, and ends with the same elements.
func TestJoinWithoutAHole(t *testing.T) {
	log := openLog(t)
	d := newNode(t, log)
	createRoom(t, d, "r")
	mustDo(t, d, "r", by(owner, add(t, "e")))
	const writers, each, joiners = 4, 150, 60
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for i := range each {
				cs := []string{fmt.Sprintf("w%d-%d", n, i)}
				mustDo(t, d, "r", by(owner, add(t, cs[0]), patch("e", fmt.Sprint("w", n), fmt.Sprint(i))))
			}
		})
	}
	type joined struct {
		f    *follower
		view *commands.View
	}
	results := make(chan joined, joiners)
	var watches []commands.Watch
	for range joiners {
		f := newFollower()
		w, err := d.Watch(testContext(t), "r", f)
		if err != nil {
			t.Fatal(err)
		}
		watches = append(watches, w)
		done := make(chan struct{})
		w.View(func(v *commands.View) {
			results <- joined{f, v}
			close(done)
		})
		<-done
	}
	wg.Wait()
	final, err := d.View(testContext(t), "r")
	if err != nil {
		t.Fatal(err)
	}
	close(results)
	for j := range results {
		j.f.wait(t, "the last commit", func(f *follower) bool {
			return j.view.Revision == final.Revision || f.head() == final.Revision
		})
		checkJoin(t, j.view, j.f.commits, final)
	}
	for _, w := range watches {
		w.Close()
	}
}

func checkJoin(t *testing.T, v *commands.View, commits []*events.Commit, final *commands.View) {
	t.Helper()
	elements := map[string]map[string]json.RawMessage{}
	for _, e := range v.Elements {
		elements[e.ID()] = members(t, e.JSON())
	}
	next := v.Revision + 1
	for _, c := range commits {
		if c.Last() <= v.Revision {
			continue // before the View
		}
		if c.First != next {
			t.Fatalf("joined at %d: got revision %d, want %d", v.Revision, c.First, next)
		}
		next = c.Last() + 1
		for i := range c.Events {
			applyTo(t, elements, &c.Events[i])
		}
	}
	if next != final.Revision+1 {
		t.Fatalf("joined at %d: ends at %d of %d", v.Revision, next-1, final.Revision)
	}
	for _, e := range final.Elements {
		got, want := fmt.Sprint(elements[e.ID()]), fmt.Sprint(members(t, e.JSON()))
		if got != want {
			t.Fatalf("joined at %d: element %s differs", v.Revision, e.ID())
		}
	}
	if len(elements) != len(final.Elements) {
		t.Fatalf("joined at %d: %d elements, want %d", v.Revision, len(elements), len(final.Elements))
	}
}

func members(t *testing.T, raw []byte) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// applyTo does what a client does with the three element events.
func applyTo(t *testing.T, elements map[string]map[string]json.RawMessage, e *events.Event) {
	switch p := e.Payload.(type) {
	case *events.ElementAddedData:
		m := members(t, p.Element)
		var id string
		if err := json.Unmarshal(m["id"], &id); err != nil {
			t.Fatal(err)
		}
		elements[id] = m
	case *events.ElementPatchedData:
		for _, m := range p.Set {
			elements[p.ID][m.Key] = m.Value
		}
		for _, k := range p.Unset {
			delete(elements[p.ID], k)
		}
	case *events.ElementRemovedData:
		for _, id := range p.IDs {
			delete(elements, id)
		}
	}
}

func TestViewIsSharedPerRevision(t *testing.T) {
	d := newNode(t, openLog(t))
	createRoom(t, d, "r")
	mustDo(t, d, "r", by(owner, add(t, "e")))
	a, err := d.View(testContext(t), "r")
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.View(testContext(t), "r")
	if err != nil || a != b {
		t.Fatalf("two views of revision %d, %v", a.Revision, err)
	}
	res := mustDo(t, d, "r", by(owner, add(t, "f")))
	c, err := d.View(testContext(t), "r")
	if err != nil || c == a || c.Revision != res.Last || len(a.Elements) != 1 || len(c.Elements) != 2 {
		t.Fatalf("after a commit: revision %d, %d and %d elements, %v", c.Revision, len(a.Elements), len(c.Elements), err)
	}
}
