package commands_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// Two nodes on one log, both used at full speed: every command is done once, and both end with the log's state.
func TestTwoNodesConverge(t *testing.T) {
	log := openLog(t)
	nodes := []*commands.Dispatcher{newNode(t, log), newNode(t, log)}
	createRoom(t, nodes[0], "r")
	followers := []*follower{newFollower(), newFollower()}
	const each = 1000
	var wg sync.WaitGroup
	for n, d := range nodes {
		w, err := d.Watch(testContext(t), "r", followers[n])
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		for c := range 4 {
			wg.Go(func() {
				client := fmt.Sprintf("n%dc%d", n, c)
				for i := 1; i <= each/4; i++ {
					r := bySeq(owner, client, uint64(i), add(t, fmt.Sprintf("%s-%d", client, i)))
					if i%3 == 0 {
						r = bySeq(owner, client, uint64(i), patch(fmt.Sprintf("%s-%d", client, i-1), client, fmt.Sprint(i)))
					}
					if err := doUntilAnswered(t, d, "r", r); err != nil {
						t.Errorf("%s %d: %v", client, i, err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	cs := readRoom(t, log, "r")
	done, head := 0, cs[len(cs)-1].Last()
	for _, c := range cs {
		done += len(c.Done)
	}
	if done != 2*each {
		t.Errorf("%d commands are completed, want %d", done, 2*each)
	}
	want := canvasOf(replayed(t, "r", cs).Elements())
	for n, d := range nodes {
		f := followers[n]
		f.wait(t, "all commits", func(f *follower) bool { return f.head() == head })
		next := f.commits[0].First
		for _, c := range f.commits {
			if c.First != next {
				t.Fatalf("node %d: the watcher got revision %d, want %d", n, c.First, next)
			}
			next = c.Last() + 1
		}
		v, err := d.View(testContext(t), "r")
		if err != nil {
			t.Fatal(err)
		}
		if v.Revision != head || canvasOf(v.Elements) != want {
			t.Errorf("node %d is at revision %d of %d, or has another canvas", n, v.Revision, head)
		}
	}
}

// doUntilAnswered sends a request again while the node says that it can't store.
func doUntilAnswered(t *testing.T, d commands.Rooms, room string, r commands.Request) error {
	for {
		_, err := d.Do(testContext(t), room, r)
		if !hasCode(err, domain.CodeReadOnly) {
			return err
		}
	}
}

// A right that another node took away is refused here from that revision on.
func TestForeignCommitDecides(t *testing.T) {
	log := openLog(t)
	a, b := newNode(t, log), newNode(t, log)
	createRoom(t, a, "r")
	mustDo(t, b, "r", by("user_guest", domain.Join{}))
	mustDo(t, b, "r", by("user_guest", add(t, "e")))
	removed := mustDo(t, a, "r", by(owner, domain.RemoveParticipant{User: "user_guest"}))
	// b has not been asked anything since: the append's sequence check makes it look
	_, err := b.Do(testContext(t), "r", by("user_guest", add(t, "f")))
	wantCode(t, err, domain.CodeForbidden)
	v, err := b.View(testContext(t), "r")
	if err != nil || v.Revision < removed.Last {
		t.Fatalf("revision %d, %v", v.Revision, err)
	}
	if _, err := v.RoleOf("user_guest"); err == nil {
		t.Fatal("the view still has a role for the one who was removed")
	}
}
