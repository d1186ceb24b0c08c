package commands_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// appendBad appends the room's next commit as bad makes it of a good one.
func appendBad(t *testing.T, log commands.Log, room string, bad func([]byte) []byte) {
	t.Helper()
	cs := readRoom(t, log, room)
	last := cs[len(cs)-1]
	c := &events.Commit{First: last.Last() + 1, At: last.At, Prev: last.Sum, Events: []events.Event{{
		ID: "01900000-0000-7000-8000-000000000000", Type: events.ElementRemoved, Actor: owner, Payload: &events.ElementRemovedData{IDs: []string{"e"}}}}}
	payload, err := events.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Append(testContext(t), events.Room(room), last.Seq, bad(bytes.Clone(payload))); err != nil {
		t.Fatal(err)
	}
}

var damages = map[string]func([]byte) []byte{
	"a flipped byte": func(b []byte) []byte { return bytes.Replace(b, []byte(`"e"`), []byte(`"f"`), 1) },
	"no commit":      func([]byte) []byte { return []byte("hello") },
	"cut":            func(b []byte) []byte { return b[:len(b)/2] },
	"empty":          func([]byte) []byte { return nil },
	"a gap": func(b []byte) []byte {
		c, err := events.Decode(b)
		if err != nil {
			panic(err)
		}
		c.First += 5
		b, err = events.Encode(c)
		if err != nil {
			panic(err)
		}
		return b
	},
	"another chain": func(b []byte) []byte {
		c, err := events.Decode(b)
		if err != nil {
			panic(err)
		}
		c.Prev = strings.Repeat("0", 64)
		b, err = events.Encode(c)
		if err != nil {
			panic(err)
		}
		return b
	},
}

func TestDamageIsFoundNotServed(t *testing.T) {
	for name, bad := range damages {
		t.Run(name, func(t *testing.T) {
			log := openLog(t)
			d := newNode(t, log)
			createRoom(t, d, "r")
			createRoom(t, d, "good")
			mustDo(t, d, "r", by(owner, add(t, "e")))
			mustDo(t, d, "r", by(owner, patch("e", "x", "1")))
			f := newFollower()
			w, err := d.Watch(testContext(t), "r", f)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			appendBad(t, log, "r", bad)

			// the actor that was loaded sees it come
			f.wait(t, "the end", func(f *follower) bool { return f.isEnded })
			wantCode(t, f.ended, domain.CodeInternal)
			told := make(chan error, 1)
			w.Submit(by(owner, add(t, "f")), func(_ commands.Result, err error) { told <- err })
			wantCode(t, <-told, domain.CodeInternal)

			// and so does who loads it
			for _, node := range []*commands.Dispatcher{d, newNode(t, log)} {
				_, err = node.View(testContext(t), "r")
				wantCode(t, err, domain.CodeInternal)
				if !strings.Contains(err.Error(), "first bad commit") || !strings.Contains(err.Error(), fmt.Sprint("revision ", born+3)) {
					t.Errorf("the error names no commit: %v", err)
				}
				_, err = node.Do(testContext(t), "r", by(owner, add(t, "f")))
				wantCode(t, err, domain.CodeInternal)
				_, err = node.ViewAt(testContext(t), "r", born+3)
				wantCode(t, err, domain.CodeInternal)
				if v, err := node.ViewAt(testContext(t), "r", born+2); err != nil || len(v.Elements) != 1 {
					t.Errorf("what is before the damage: %v", err)
				}
				if _, err := node.View(testContext(t), "good"); err != nil {
					t.Errorf("another room: %v", err)
				}
			}
		})
	}
}

// A snapshot from a log that went on further proves that the log has lost commits.
func TestLogShorterThanSnapshot(t *testing.T) {
	long, short := openLog(t), openLog(t)
	objects, rows := newObjects(), &snapshotRows{}
	with := func(c *commands.Config) { c.Objects, c.Snapshots = objects, rows }
	d := newNode(t, long, with)
	createRoom(t, d, "r")
	for _, id := range []string{"a", "b", "c"} {
		mustDo(t, d, "r", by(owner, add(t, id)))
	}
	var after uint64
	for _, c := range readRoom(t, long, "r")[:2] { // a backup that is two commits short
		payload, err := events.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		if after, err = short.Append(testContext(t), events.Room("r"), after, payload); err != nil {
			t.Fatal(err)
		}
	}
	writeSnapshot(t, d, long, objects, rows, "r")
	_, err := newNode(t, short, with).View(testContext(t), "r")
	wantCode(t, err, domain.CodeInternal)
	if !strings.Contains(err.Error(), fmt.Sprint("revision ", born+1)) || !strings.Contains(err.Error(), fmt.Sprint("revision ", born+3)) {
		t.Error(err)
	}
}
