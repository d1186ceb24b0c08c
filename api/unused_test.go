package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
)

// tidy is a random history of two rooms and their pictures, among which what nothing shows is looked for.
type tidy struct {
	*world
	t     *testing.T
	rand  *rand.Rand
	ada   person
	rooms []string          // paths
	bytes map[string][]byte // of every asset ever stored
	ids   []string          // of those that were uploaded
	n     int               // of elements
	steps map[string]int    // of commands.Unused
}

// TestWhatHistoryShowsIsNeverDeleted: whatever is added, changed, removed, undone, restored and given up, while weeks pass and unused assets are looked
// for, also at the same time: the pictures of every revision are there, byte for byte, and what no revision shows goes, the last byte of it.
// UNUSED_SEED=n runs one seed, UNUSED_SEEDS=n that many.
func TestWhatHistoryShowsIsNeverDeleted(t *testing.T) {
	first, last := 1, 3
	if n, err := strconv.Atoi(os.Getenv("UNUSED_SEED")); err == nil {
		first, last = n, n
	} else if n, err := strconv.Atoi(os.Getenv("UNUSED_SEEDS")); err == nil {
		last = n
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t)
			w.assets.Count(w.quota())
			x := &tidy{world: w, t: t, rand: rand.New(rand.NewPCG(uint64(seed), 7)), ada: w.guest("Ada"), bytes: map[string][]byte{}, steps: map[string]int{}}
			x.rooms = []string{w.room(x.ada, "first", "private"), w.room(x.ada, "second", "private")}
			for range 150 {
				x.step()
			}
			x.check()
			x.end()
		})
	}
}

func (x *tidy) step() {
	switch n := x.rand.IntN(100); {
	case n < 20:
		x.uploaded()
	case n < 45:
		x.do(x.anyRoom(), "element.add", cmd{"element": cmd{"id": x.element(), "type": "image", "src": x.src()}})
	case n < 55:
		x.do(x.anyRoom(), "element.patch", cmd{"id": fmt.Sprint("e", x.rand.IntN(x.n+1)), "set": cmd{"src": x.src()}})
	case n < 65:
		x.do(x.anyRoom(), "element.remove", cmd{"id": fmt.Sprint("e", x.rand.IntN(x.n+1))})
	case n < 75:
		x.do(x.anyRoom(), []string{"undo", "redo"}[x.rand.IntN(2)], cmd{})
	case n < 80:
		room := x.anyRoom()
		x.do(room, "canvas.restore", cmd{"revision": 1 + x.rand.IntN(x.head(room))})
	case n < 85 && len(x.ids) > 0:
		x.call("DELETE", "/v1/assets/"+x.ids[x.rand.IntN(len(x.ids))], x.ada.token, nil)
	case n < 92:
		x.pass(time.Duration(x.rand.IntN(20*24)) * time.Hour)
		x.look()
	default: // a look at the same time
		done := make(chan struct{})
		go func() { defer close(done); x.look() }()
		src := x.src()
		x.do(x.anyRoom(), "element.add", cmd{"element": cmd{"id": x.element(), "type": "image", "src": src}})
		<-done
	}
}

func (x *tidy) pass(d time.Duration) {
	x.clock.advance(d)
	x.ada.token = x.token(x.ada)
}

func (x *tidy) anyRoom() string { return x.rooms[x.rand.IntN(len(x.rooms))] }

func (x *tidy) element() string {
	x.n++
	return fmt.Sprint("e", x.n)
}

func (x *tidy) uploaded() {
	data := pngOf(x.t, noise(4, 4, x.rand.Uint64()))
	id := x.upload(x.ada, "p.png", "image/png", data).ok(200).str("id")
	x.ids, x.bytes[id] = append(x.ids, id), data
}

// src is a picture for an element: one that was uploaded, which may be gone by now, or a new one as a data URL.
func (x *tidy) src() string {
	if len(x.ids) == 0 || x.rand.IntN(8) == 0 {
		return "data:image/png;base64," + base64.StdEncoding.EncodeToString(pngOf(x.t, noise(4, 4, x.rand.Uint64())))
	}
	return "/v1/assets/" + x.ids[x.rand.IntN(len(x.ids))]
}

// do asks for a change; what is refused is refused.
func (x *tidy) do(room, command string, data cmd) {
	x.t.Helper()
	a := x.call("POST", room+"/commands", x.ada.token, commandsBody(cmd{"command": command, "data": data}))
	if a.status >= 500 {
		x.t.Fatalf("%s: %d %s", command, a.status, a.body)
	}
}

func (x *tidy) head(room string) int {
	return int(x.call("GET", room, x.ada.token, nil).ok(200).json()["revision"].(float64))
}

// look does what a server does from time to time.
func (x *tidy) look() {
	x.t.Helper()
	err := x.uploads.FindUnused(soon(x.t), commands.UnusedConfig{Stored: x.stored, Shown: x.shown}, func(u commands.Unused) { x.steps[u.Step]++ })
	if err != nil {
		x.t.Error(err)
	}
}

func (x *tidy) stored(ctx context.Context, yield func(string) bool) error {
	rows, err := x.store.StoredAssets(ctx, "", 10_000)
	for i := range rows {
		if !yield(rows[i].ID) {
			break
		}
	}
	return err
}

func (x *tidy) shown(ctx context.Context) (map[string]bool, error) {
	ids := map[string]bool{}
	for _, room := range x.rooms {
		err := x.parts.log.Read(ctx, events.Room(strings.TrimPrefix(room, "/v1/rooms/")), 1, func(rec events.Record) bool { commands.ShownIDs(rec, ids); return true })
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// check looks at every revision of every room.
func (x *tidy) check() {
	x.t.Helper()
	seen := map[string]bool{}
	for _, room := range x.rooms {
		for at := 1; at <= x.head(room); at++ {
			for _, e := range x.call("GET", fmt.Sprint(room, "/canvas?at=", at), x.ada.token, nil).ok(200).list("elements") {
				src, _ := e.(cmd)["src"].(string)
				id, ours := strings.CutPrefix(src, "/v1/assets/")
				if !ours || seen[id] {
					continue
				}
				seen[id] = true
				got := x.call("GET", src, x.ada.token, nil).ok(200)
				if want := x.bytes[id]; want != nil && !bytes.Equal(got.body, want) { // a data URL's has no name that we know
					x.t.Errorf("%s at revision %d: other bytes", src, at)
				}
			}
		}
		// To be there is to come back: the whole canvas of some time is put there again.
		at := 1 + x.rand.IntN(x.head(room))
		x.do(room, "canvas.restore", cmd{"revision": at})
	}
	if len(seen) < 10 {
		x.t.Errorf("%d pictures were shown: the history is too tame", len(seen))
	}
}

// end lets time pass until everything that no revision shows is deleted.
func (x *tidy) end() {
	x.t.Helper()
	x.look()
	x.pass(25 * time.Hour)
	x.look()
	x.pass(commands.DefaultGrace + time.Hour)
	x.look()
	x.check()
	shown, err := x.shown(soon(x.t))
	if err != nil {
		x.t.Fatal(err)
	}
	for id := range x.bytes {
		status := x.call("GET", "/v1/assets/"+id, x.ada.token, nil).status
		if want := map[bool]int{true: 200, false: 404}[shown[id]]; status != want {
			x.t.Errorf("asset %s, shown by a revision: %t, is answered with %d", id, shown[id], status)
		}
	}
	x.caughtUp()
	rows, err := x.store.StoredAssets(soon(x.t), "", 10_000)
	if err != nil {
		x.t.Fatal(err)
	}
	keys, kept := map[string]bool{}, int64(0)
	for i := range rows {
		keys[rows[i].Key] = true
		kept += rows[i].Size
	}
	err = x.parts.objects.List(soon(x.t), "images/", func(o commands.Object) bool {
		if !keys[o.Key] {
			x.t.Errorf("%s is left of an asset that was deleted", o.Key)
		}
		return true
	})
	if used := x.used(x.ada); err != nil || used != kept {
		x.t.Errorf("ada's account says %d bytes, her pictures have %d: %v", used, kept, err)
	}
	for _, step := range []string{"marked", "waits", "deleted"} {
		if x.steps[step] == 0 {
			x.t.Errorf("nothing was %s", step)
		}
	}
	x.t.Logf("%v", x.steps)
}

// caughtUp waits until the tables are where the log is.
func (x *tidy) caughtUp() {
	x.t.Helper()
	if err := x.cfg.Progress.WaitHead(soon(x.t)); err != nil {
		x.t.Fatal(err)
	}
}
