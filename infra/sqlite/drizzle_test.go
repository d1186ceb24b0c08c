package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
	"github.com/infinite-kanvas/kanvas/projections/projectionstest"
)

// drizzleRoom is a row as the front end's query gives it.
type drizzleRoom struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	IsPublic    bool    `json:"is_public"`
	OwnerID     *string `json:"owner_id"`
	CreatedAt   string  `json:"created_at"`
}

// TestDrizzle runs the guide's query by the real drizzle-orm, in a process of its own, while this one has the file open and writes to it.
func TestDrizzle(t *testing.T) {
	if _, err := os.Stat("drizzle/node_modules/drizzle-orm"); err != nil {
		t.Fatal("drizzle-orm is not installed: run make deps")
	}
	log := projectionstest.NewLog(4)
	s := open(t, t.TempDir())
	r := projectionstest.Runner(log, log, s, &projectionstest.Names{})
	stop := projectionstest.StartRunner(t, r)
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	room := func(n int, visibility string) events.Stream {
		stream := events.Room(fmt.Sprintf("room-%03d", n))
		log.Append(stream, projectionstest.Start+int64(n)*1000, "ann", &events.RoomCreatedData{Name: fmt.Sprintf("Room %d", n), Visibility: visibility, DefaultRole: "editor", Owner: "ann"})
		return stream
	}
	for n := range 70 {
		room(n, "public")
	}
	room(70, "private")
	room(71, "unlisted")
	deleted := room(72, "public")
	log.Append(deleted, projectionstest.Start+80_000, "ann", &events.RoomDeletedData{})
	hidden := room(73, "public")
	private := "private"
	log.Append(hidden, projectionstest.Start+80_000, "ann", &events.RoomUpdatedData{Visibility: &private})
	log.Append(events.Asset("a"), projectionstest.Start, "ann", &events.AssetStoredData{User: "ann", Room: "never-created", Key: "k", Size: 1})

	checkDrizzle(ctx, t, s, r)
	room(74, "public") // the writer goes on beside the other process
	if first := checkDrizzle(ctx, t, s, r); first != "room-074" {
		t.Errorf("newest is %s", first)
	}
}

// checkDrizzle compares what Drizzle reads with what the API lists, and returns the first id.
func checkDrizzle(ctx context.Context, t *testing.T, s *Store, r *projections.Runner) string {
	t.Helper()
	if err := r.WaitHead(ctx); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "node", "rooms.mjs", s.Path())
	cmd.Dir, cmd.Stderr = "drizzle", os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	var rows []drizzleRoom
	if err := json.Unmarshal(out, &rows); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	want, _, err := s.ListRooms(ctx, "public", "", 50)
	if err != nil || len(want) != 50 || len(rows) != 50 {
		t.Fatalf("%d rows, listed are %d, want 50: %v", len(rows), len(want), err)
	}
	for i, w := range want {
		g := rows[i]
		if g.ID != w.ID || g.Name != w.Name || !g.IsPublic || g.OwnerID == nil || *g.OwnerID != "ann" || g.CreatedAt != projections.FormatTime(w.CreatedAt) {
			t.Errorf("row %d: %+v, listed is %+v", i, g, w)
		}
	}
	return rows[0].ID
}
