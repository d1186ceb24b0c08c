package commands_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

func byKey(user, key, hash string, cs ...domain.Command) commands.Request {
	r := by(user, cs...)
	r.Key, r.Hash = key, hash
	return r
}

// again sends a request that was answered before and wants the first answer.
func again(t *testing.T, d commands.Rooms, r commands.Request, first commands.Result) {
	t.Helper()
	res := mustDo(t, d, "r", r)
	if !res.Remembered || res.First != first.First || res.Last != first.Last || res.Commit != nil {
		t.Fatalf("sent again it was answered %+v, first %+v", res, first)
	}
}

func TestOnce(t *testing.T) {
	log := openLog(t)
	d := newNode(t, log, func(c *commands.Config) { c.IdleAfter = 20 * time.Millisecond })
	createRoom(t, d, "r")
	seq := bySeq(owner, "c", 7, add(t, "a"))
	key := byKey(owner, "key", "hash", add(t, "b"), add(t, "c"))
	gone := bySeq(owner, "c", 8, patch("gone", "x", "1"))
	first, second, third := mustDo(t, d, "r", seq), mustDo(t, d, "r", key), mustDo(t, d, "r", gone)
	if first.Remembered || second.Remembered || second.Last-second.First != 1 {
		t.Fatalf("%+v %+v", first, second)
	}
	if third.First <= third.Last || third.Last != second.Last || len(third.Dropped) != 1 {
		t.Fatalf("a patch of an element that is gone was answered %+v", third)
	}
	check := func(t *testing.T, d commands.Rooms) {
		again(t, d, seq, first)
		again(t, d, key, second)
		again(t, d, gone, third)
		_, err := d.Do(testContext(t), "r", byKey(owner, "key", "other", add(t, "z")))
		wantCode(t, err, domain.CodeIdempotencyMismatch)
	}
	t.Run("at once", func(t *testing.T) { check(t, d) })
	// the answer of what changed nothing is carried by the next commit
	mustDo(t, d, "r", bySeq(owner, "c", 9, add(t, "d")))
	t.Run("after eviction", func(t *testing.T) {
		eventually(t, "eviction", func() bool { return d.Loaded() == 0 })
		check(t, d)
	})
	t.Run("after restart", func(t *testing.T) {
		closeNode(t, d)
		check(t, newNode(t, log))
	})
	t.Run("on another node", func(t *testing.T) { check(t, newNode(t, log)) })
}

func TestOnceWithinOneBatch(t *testing.T) {
	log, g := gated(openLog(t))
	d := newNode(t, log)
	createRoom(t, d, "r")
	w, err := d.Watch(testContext(t), "r", newFollower())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	g.set(true)
	var rs replies
	w.Submit(by(owner, add(t, "first")), rs.expect("first"))
	<-g.arrived
	got := make(chan commands.Result, 3)
	for range 3 { // the same command three times while an append is in flight
		w.Submit(bySeq(owner, "c", 1, add(t, "e")), func(res commands.Result, err error) {
			if err != nil {
				t.Error(err)
			}
			got <- res
		})
	}
	g.set(false)
	g.pass <- struct{}{}
	a, b, c := <-got, <-got, <-got
	if a.Remembered || !b.Remembered || !c.Remembered || b.First != a.First || c.Last != a.Last {
		t.Fatalf("%+v %+v %+v", a, b, c)
	}
	rs.wg.Wait()
	readRoom(t, log, "r")
}

func TestStaleSeq(t *testing.T) {
	log := openLog(t)
	d := newNode(t, log)
	createRoom(t, d, "r")
	mustDo(t, d, "r", by(owner, add(t, "e")))
	w, err := d.Watch(testContext(t), "r", newFollower())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var rs replies
	for i := 1; i <= domain.OncePerClient+1; i++ {
		w.Submit(bySeq(owner, "c", uint64(i), patch("e", "x", fmt.Sprint(i))), rs.expect("patch"))
	}
	rs.wg.Wait()
	_, err = d.Do(testContext(t), "r", bySeq(owner, "c", 1, patch("e", "x", "1")))
	wantCode(t, err, domain.CodeStaleSeq)
	if res := mustDo(t, d, "r", bySeq(owner, "c", 2, patch("e", "x", "2"))); !res.Remembered {
		t.Fatalf("seq 2 of the last %d is not remembered", domain.OncePerClient)
	}
}

func TestRejectedIsDecidedAnew(t *testing.T) {
	d := newNode(t, openLog(t))
	createRoom(t, d, "r")
	mustDo(t, d, "r", by(owner, add(t, "e", `"x":1`)))
	r := bySeq(owner, "c", 1, add(t, "e", `"x":2`))
	_, err := d.Do(testContext(t), "r", r)
	wantCode(t, err, domain.CodeConflict)
	mustDo(t, d, "r", by(owner, domain.RemoveElements{IDs: []string{"e"}}))
	if res := mustDo(t, d, "r", r); res.Remembered || res.First > res.Last {
		t.Fatalf("sent again it was answered %+v", res)
	}
}
