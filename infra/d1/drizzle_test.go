package d1

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/projections/projectionstest"
)

// TestDrizzle runs the guide's query on D1 by the real drizzle-orm, through the gateway.
func TestDrizzle(t *testing.T) {
	project := filepath.Join("..", "sqlite", "drizzle")
	if _, err := os.Stat(filepath.Join(project, "node_modules", "drizzle-orm")); err != nil {
		t.Fatal("drizzle-orm is not installed: run make deps")
	}
	e := edgetest.Shared(t)
	log := projectionstest.NewLog(4)
	for n := range 60 {
		visibility := "public"
		if n%6 == 5 {
			visibility = "private"
		}
		log.Append(events.Room(fmt.Sprintf("room-%03d", n)), projectionstest.Start+int64(n)*1000, "ann", &events.RoomCreatedData{Name: fmt.Sprint("Room ", n), Visibility: visibility, DefaultRole: "editor", Owner: "ann"})
	}
	here, s := local(t), on(t, e, e.Gateway())
	projectionstest.CatchUp(t, projectionstest.Runner(log, log, s, &projectionstest.Names{}))
	projectionstest.CatchUp(t, projectionstest.Runner(log, log, here, &projectionstest.Names{}))
	read := func(target string) (rows []map[string]any) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "node", "rooms.mjs", target)
		cmd.Dir, cmd.Stderr, cmd.Env = project, os.Stderr, append(os.Environ(), "TOKEN="+e.Secret)
		out, err := cmd.Output()
		if err == nil {
			err = json.Unmarshal(out, &rows)
		}
		if err != nil {
			t.Fatalf("node: %v in %s", err, out)
		}
		return rows
	}
	rows := read(fmt.Sprintf("%saccounts/%s/d1/database/%s/raw", e.Gateway(), e.Account, e.Database))
	if len(rows) != 50 || rows[0]["id"] != "room-058" || rows[0]["is_public"] != true || rows[0]["owner_id"] != "ann" {
		t.Fatalf("%d rows, the first is %v", len(rows), rows[0])
	}
	if a, b := fmt.Sprint(rows), fmt.Sprint(read(here.Path())); a != b {
		t.Errorf("D1 and SQLite give other rows:\n%s\n%s", a, b)
	}
}
