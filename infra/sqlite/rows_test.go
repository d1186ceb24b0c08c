package sqlite

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
	"github.com/infinite-kanvas/kanvas/projections/projectionstest"
)

const at0 = projectionstest.Start

// fixture is a store that follows a log; every expectation of rows is written out by hand.
type fixture struct {
	t     *testing.T
	log   *projectionstest.Log
	store *Store
	names *projectionstest.Names
	now   int64
}

func newFixture(t *testing.T) *fixture {
	return &fixture{t: t, log: projectionstest.NewLog(4), store: open(t, t.TempDir()), names: &projectionstest.Names{}, now: at0}
}

// add appends one commit, a second after the one before, and returns its record.
func (f *fixture) add(s events.Stream, payloads ...any) events.Record {
	f.now += 1000
	return f.log.Append(s, f.now, "ann", payloads...)
}

func (f *fixture) apply() {
	f.t.Helper()
	projectionstest.CatchUp(f.t, projectionstest.Runner(f.log, f.log, f.store, f.names))
}

// want compares the rows of a query, values joined by |, with those given.
func (f *fixture) want(query string, rows ...string) {
	f.t.Helper()
	r, err := f.store.reads.Query(query)
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Close()
	columns, _ := r.Columns()
	var got []string
	for r.Next() {
		values, pointers := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := r.Scan(pointers...); err != nil {
			f.t.Fatal(err)
		}
		texts := make([]string, len(values))
		for i, v := range values {
			if texts[i] = fmt.Sprint(v); v == nil {
				texts[i] = "NULL"
			}
		}
		got = append(got, strings.Join(texts, "|"))
	}
	if !reflect.DeepEqual(got, rows) {
		f.t.Errorf("%s:\n%s\nwant\n%s", query, strings.Join(got, "\n"), strings.Join(rows, "\n"))
	}
}

func TestRowsOfRooms(t *testing.T) {
	f := newFixture(t)
	r, anon := events.Room("r"), events.Room("anon")
	f.add(r, &events.RoomCreatedData{Name: "One", Description: "d", Visibility: "public", DefaultRole: "editor", Owner: "ann"})
	f.add(anon, &events.RoomCreatedData{Name: "Two", Visibility: "unlisted", DefaultRole: "editor"})
	f.apply()
	const query = "SELECT id, name, description, +is_public, owner_id, +created_at, visibility, default_role, +updated_at, +deleted_at, revision, checkpoint FROM rooms ORDER BY id"
	f.want(query,
		"anon|Two||0|NULL|2026-01-01 00:00:02.000|unlisted|editor|2026-01-01 00:00:02.000|NULL|1|0",
		"r|One|d|1|ann|2026-01-01 00:00:01.000|public|editor|2026-01-01 00:00:01.000|NULL|1|0")
	name, private := "Uno", "private"
	f.add(r, &events.RoomUpdatedData{Name: &name, Visibility: &private}, &events.ElementAddedData{Element: []byte(`{"id":"e"}`)})
	f.add(r, &events.RoomCheckpointedData{Revision: 3})
	f.add(anon, &events.RoomDeletedData{})
	f.apply()
	f.want(query,
		"anon|Two||0|NULL|2026-01-01 00:00:02.000|unlisted|editor|2026-01-01 00:00:05.000|2026-01-01 00:00:05.000|2|0",
		"r|Uno|d|0|ann|2026-01-01 00:00:01.000|private|editor|2026-01-01 00:00:03.000|NULL|4|4") // a checkpoint is no update
	public := "public"
	f.add(r, &events.RoomUpdatedData{Visibility: &public})
	f.apply()
	f.want("SELECT id, +is_public, revision, checkpoint FROM rooms WHERE id = 'r'", "r|1|5|4")
}

func TestRowsOfParticipants(t *testing.T) {
	f := newFixture(t)
	r := events.Room("r")
	f.add(r, &events.RoomCreatedData{Name: "One", Visibility: "public", DefaultRole: "editor", Owner: "ann"}, &events.ParticipantJoinedData{User: "ann", Role: "owner"})
	f.add(r, &events.ParticipantJoinedData{User: "bob", Role: "editor"})
	f.add(r, &events.ParticipantRoleChangedData{User: "bob", Role: "viewer"})
	f.apply()
	const query = "SELECT user_id, role, +joined_at, +removed_at FROM room_participants ORDER BY user_id"
	f.want(query, "ann|owner|2026-01-01 00:00:01.000|NULL", "bob|viewer|2026-01-01 00:00:02.000|NULL")
	f.add(r, &events.ParticipantRemovedData{User: "bob"})
	f.apply()
	f.want(query, "ann|owner|2026-01-01 00:00:01.000|NULL", "bob|viewer|2026-01-01 00:00:02.000|2026-01-01 00:00:04.000")
	if list, err := f.store.Participants(t.Context(), "r"); err != nil || len(list) != 1 || list[0].UserID != "ann" {
		t.Errorf("participants %+v %v", list, err)
	}
	f.add(r, &events.ParticipantRoleChangedData{User: "bob", Role: "editor"})
	f.apply()
	f.want(query, "ann|owner|2026-01-01 00:00:01.000|NULL", "bob|editor|2026-01-01 00:00:05.000|NULL")
}

func TestRowsOfUsers(t *testing.T) {
	f := newFixture(t)
	ann, gone := events.User("ann"), events.User("gone")
	f.add(events.Room("r"), &events.RoomCreatedData{Name: "One", Visibility: "public", DefaultRole: "editor", Owner: "ann"})
	f.apply()
	const query = "SELECT id, email, name, avatar_url, +created_at, color, kind, revision, +deleted_at FROM users ORDER BY id"
	f.want(query, "ann||NULL|NULL|NULL|NULL|NULL|0|NULL") // known by reference alone
	seal := projectionstest.Seal
	email := seal("ann@example.org")
	f.add(ann, &events.UserCreatedData{Kind: "guest", Name: seal("Ann"), Color: "#010203"})
	f.add(gone, &events.UserCreatedData{Kind: "clerk", Name: seal("Gone"), Email: seal("gone@example.org"), Avatar: seal("https://a.example"), Color: "#040506"})
	f.apply()
	f.want(query, "ann||Ann|NULL|2026-01-01 00:00:02.000|#010203|guest|1|NULL",
		"gone|gone@example.org|Gone|https://a.example|2026-01-01 00:00:03.000|#040506|clerk|1|NULL")
	f.names.Forget("gone")
	f.add(ann, &events.UserUpdatedData{Email: &email})
	f.add(gone, &events.UserDeletedData{})
	f.apply()
	f.want(query, "ann|ann@example.org|Ann|NULL|2026-01-01 00:00:02.000|#010203|guest|2|NULL",
		"gone||NULL|NULL|2026-01-01 00:00:03.000|NULL|clerk|2|2026-01-01 00:00:05.000")
	res, err := projectionstest.Runner(f.log, f.log, f.store, f.names).Rebuild(t.Context(), "")
	if err != nil || !res.Equal {
		t.Errorf("rebuilt without the key: %+v %v", res, err)
	}
}

func TestRowsOfCheckpoints(t *testing.T) {
	f := newFixture(t)
	r := events.Room("r")
	f.add(r, &events.RoomCreatedData{Name: "One", Visibility: "public", DefaultRole: "editor", Owner: "ann"})
	before := f.add(r, &events.ElementAddedData{Element: []byte(`{"id":"e1"}`)})
	f.apply() // the commit before the checkpoint is in another batch
	f.add(r, &events.RoomCheckpointedData{Revision: 2})
	f.apply()
	large := strings.Repeat("x", projections.MaxCanvasRow)
	second := f.add(r, &events.ElementAddedData{Element: []byte(`{"id":"` + large + `"}`)})
	f.add(r, &events.RoomCheckpointedData{Revision: 4}) // in the same batch
	f.add(r, &events.ChatPostedData{Text: "x"}, &events.RoomCheckpointedData{Revision: 6})
	f.apply()
	f.want("SELECT revision, seq, sum, object_key FROM room_snapshots ORDER BY revision",
		fmt.Sprintf("2|%d|%s|snapshots/r/2.json", before.Seq, sum(t, before)),
		fmt.Sprintf("4|%d|%s|snapshots/r/4.json", second.Seq, sum(t, second))) // revision 6 ends no commit
	f.want("SELECT revision, room_id, user_id, +created_at, +updated_at, object_key, length(canvas_data) < 1000 FROM canvas_states ORDER BY revision",
		"2|r|ann|2026-01-01 00:00:03.000|2026-01-01 00:00:03.000|NULL|1",
		"4|r|ann|2026-01-01 00:00:05.000|2026-01-01 00:00:05.000|canvas/r/4.json|1",
		"6|r|ann|2026-01-01 00:00:06.000|2026-01-01 00:00:06.000|canvas/r/6.json|1")
	f.want("SELECT canvas_data FROM canvas_states WHERE revision = 2", `{"elements":[{"id":"e1"}],"revision":2}`)
	for revision, want := range map[uint64]uint64{0: 4, 4: 4, 3: 2, 1: 0} {
		row, ok, err := f.store.NewestSnapshot(t.Context(), "r", revision)
		if err != nil || ok != (want > 0) || row.Revision != want {
			t.Errorf("newest at %d: %+v %v %v", revision, row, ok, err)
		}
	}
	if rooms, err := f.store.RoomsNeedingCheckpoint(t.Context(), "", 10); err != nil || len(rooms) != 0 {
		t.Errorf("needing a checkpoint: %+v %v", rooms, err)
	}
	f.add(r, &events.ChatPostedData{Text: "y"})
	f.apply()
	rooms, err := f.store.RoomsNeedingCheckpoint(t.Context(), "", 10)
	if err != nil || len(rooms) != 1 || rooms[0] != (projections.UncheckedRoom{ID: "r", Revision: 8, Checkpoint: 7, UpdatedAt: f.now}) {
		t.Errorf("needing a checkpoint: %+v %v", rooms, err)
	}
}

func sum(t *testing.T, rec events.Record) string {
	t.Helper()
	_, _, _, _, sum, _, err := events.DecodeHeader(rec.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestRowsOfTextsAndAssets(t *testing.T) {
	f := newFixture(t)
	r, a := events.Room("r"), events.Asset("a")
	x := 1.5
	f.add(a, &events.AssetStoredData{User: "ann", Room: "later", Key: "images/a", ContentType: "image/png", Size: 3, SHA256: "aa", Width: 2})
	f.add(a, &events.AssetAttachedData{Room: "r", Revision: 9})
	f.add(a, &events.AssetAttachedData{Room: "r", Revision: 12})
	f.add(r, &events.RoomCreatedData{Name: "One", Visibility: "public", DefaultRole: "editor"})
	f.add(r, &events.ChatPostedData{Text: "k1.hi", Name: "k1.guest", Color: "#fff", UserID: "c1"}, &events.CommentAddedData{ID: "c", ElementID: "e", X: &x, Text: "k1.see"})
	f.apply()
	f.want("SELECT room_id, revision, actor, text, name, color, user_id, +created_at FROM chat_messages", "r|2|ann|k1.hi|k1.guest|#fff|c1|2026-01-01 00:00:05.000")
	f.add(r, &events.CommentResolvedData{ID: "c"})
	f.apply()
	f.want("SELECT room_id, id, revision, element_id, x, y, actor, text, +created_at, resolved_by, +resolved_at FROM comments",
		"r|c|3|e|1.5|NULL|ann|k1.see|2026-01-01 00:00:05.000|ann|2026-01-01 00:00:06.000")
	f.want("SELECT asset_id, room_id, revision FROM asset_rooms", "a|r|9")
	asset, err := f.store.AssetByID(t.Context(), "a")
	want := projections.AssetRow{ID: "a", UserID: "ann", RoomID: "later", Key: "images/a", ContentType: "image/png", Size: 3, SHA256: "aa", Status: "ready", Width: 2, CreatedAt: at0 + 1000}
	if err != nil || asset != want {
		t.Errorf("asset %+v %v", asset, err)
	}
	if rows, err := f.store.AssetsByID(t.Context(), []string{"nobody's", "a"}); err != nil || len(rows) != 1 || rows[0].ID != "a" {
		t.Errorf("%v %v", rows, err)
	}
	if rooms, err := f.store.AssetRooms(t.Context(), "a"); err != nil || !reflect.DeepEqual(rooms, []string{"later", "r"}) {
		t.Errorf("rooms of the asset: %v %v", rooms, err)
	}
	if _, err := f.store.AssetByID(t.Context(), "none"); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("no such asset: %v", err)
	}
	if _, err := f.store.RoomByID(t.Context(), "later"); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("a room known by reference alone: %v", err)
	}
}

func TestListRoomsPages(t *testing.T) {
	f := newFixture(t)
	for n := range 25 {
		if n%3 > 0 {
			f.now -= 1000 // some at the same time
		}
		f.add(events.Room(fmt.Sprintf("r%02d", n)), &events.RoomCreatedData{Name: "x", Visibility: "public", DefaultRole: "editor", Owner: "ann"})
	}
	f.add(events.Room("z"), &events.RoomCreatedData{Name: "x", Visibility: "private", DefaultRole: "editor", Owner: "bob"})
	f.apply()
	for _, list := range []func(context.Context, string, int) ([]projections.RoomRow, string, error){
		func(ctx context.Context, cursor string, limit int) ([]projections.RoomRow, string, error) {
			return f.store.ListRooms(ctx, "public", cursor, limit)
		},
		func(ctx context.Context, cursor string, limit int) ([]projections.RoomRow, string, error) {
			return f.store.RoomsOf(ctx, "ann", cursor, limit)
		},
	} {
		for _, limit := range []int{1, 4, 5, 25, 100} {
			var ids []string
			cursor, pages := "", 0
			for pages == 0 || cursor != "" {
				rows, next, err := list(t.Context(), cursor, limit)
				if err != nil || len(rows) == 0 || len(rows) > limit {
					t.Fatalf("limit %d, page %d: %d rows, %v", limit, pages, len(rows), err)
				}
				for _, r := range rows {
					ids = append(ids, r.ID)
				}
				cursor, pages = next, pages+1
			}
			for i, id := range ids {
				if want := fmt.Sprintf("r%02d", 24-i); id != want {
					t.Fatalf("limit %d: %d is %s, not %s", limit, i, id, want)
				}
			}
			if len(ids) != 25 {
				t.Errorf("limit %d: %d rooms", limit, len(ids))
			}
		}
	}
	for _, cursor := range []string{"x", "!!", "MjAyNi0wMS0wMSAwMDowMDowMS4wMDA", strings.Repeat("A", 60)} {
		if _, _, err := f.store.ListRooms(t.Context(), "public", cursor, 5); !errors.Is(err, projections.ErrCursor) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

// TestUnparkedWhileRunning: a room rebuilt under a running projector is followed again from then on.
func TestUnparkedWhileRunning(t *testing.T) {
	f := newFixture(t)
	r := events.Room("r")
	f.add(r, &events.RoomCreatedData{Name: "One", Visibility: "public", DefaultRole: "editor", Owner: "ann"})
	rec := f.add(r, &events.ChatPostedData{Text: "x"})
	f.log.Replace(rec, []byte("damaged"))
	runner := projectionstest.Runner(f.log, f.log, f.store, f.names)
	projectionstest.StartRunner(t, runner)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := runner.WaitHead(ctx); err != nil {
		t.Fatal(err)
	}
	f.log.Replace(rec, rec.Payload)
	if res, err := runner.Rebuild(ctx, "r"); err != nil || len(res.Parked) != 0 {
		t.Fatalf("%+v %v", res, err)
	}
	f.add(r, &events.ChatPostedData{Text: "y"})
	if err := runner.WaitFor(ctx, r, 3); err != nil {
		t.Error(err)
	}
}

// watchingCanvases notes which snapshot was known when a canvas was asked for.
type watchingCanvases struct {
	*projectionstest.Log
	store *Store
	known map[uint64]uint64
}

func (w *watchingCanvases) CanvasAt(ctx context.Context, room string, revision uint64) ([]byte, error) {
	row, _, err := w.store.NewestSnapshot(ctx, room, revision-1)
	if err != nil {
		return nil, err
	}
	w.known[revision] = row.Revision
	return w.Log.CanvasAt(ctx, room, revision)
}

// TestRebuildFromNothingKnowsSnapshots: where all tables were lost, a rebuild finds the snapshots of what it has built already.
func TestRebuildFromNothingKnowsSnapshots(t *testing.T) {
	f := newFixture(t)
	r := events.Room("r")
	f.add(r, &events.RoomCreatedData{Name: "One", Visibility: "public", DefaultRole: "editor", Owner: "ann"})
	const checkpoints = 60
	last := uint64(1)
	for range checkpoints {
		for range 600 { // more than a rebuild takes at once, in all
			f.add(r, &events.ElementPatchedData{ID: "e"})
			last++
		}
		f.add(r, &events.RoomCheckpointedData{Revision: last})
		last++
	}
	w := &watchingCanvases{f.log, f.store, map[uint64]uint64{}}
	runner := projections.NewRunner(projections.Config{Source: f.log, Streams: f.log, Store: f.store, Canvases: w})
	if res, err := runner.Rebuild(t.Context(), ""); err != nil || res.Behind == 0 {
		t.Fatalf("%+v %v", res, err)
	}
	if len(w.known) != checkpoints || w.known[last-1] < last/4 {
		t.Errorf("the canvas of revision %d was made knowing of a snapshot at %d", last-1, w.known[last-1])
	}
}
