package realtime

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// raceRounds is how often an edit races a removal: RACE_ROUNDS, few where it isn't said.
func raceRounds(t *testing.T) int {
	t.Helper()
	if s := os.Getenv("RACE_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("RACE_ROUNDS: %q is not a number above 0", s)
		}
		return n
	}
	return 40
}

// TestEditsRaceARemoval: an editor edits over an open socket while the owner removes them over another. No edit is accepted after the removal's
// revision, and none refused before it: what is acknowledged is a prefix of what was sent, the log has just that, and all of it is below the removal.
func TestEditsRaceARemoval(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Private)
	owner := w.enter(room, "owner", "o")
	owner.add("e")
	rounds, split := raceRounds(t), 0
	for round := range rounds {
		from := w.do(room, "owner", domain.SetRole{User: "alice", Role: domain.RoleEditor}).Last
		a := w.enter(room, "alice", fmt.Sprint("a", round))
		sent := 0
		var both sync.WaitGroup
		start := make(chan struct{})
		both.Go(func() { // until the removal closes the socket
			<-start
			for ; sent < 1000; sent++ {
				frame := fmt.Appendf(nil, `{"type":"command","seq":%d,"command":"element.patch","data":{"id":"e","set":{"x":%d}}}`, sent+1, round*1000+sent+2)
				if a.ws.Write(soon(t), websocket.MessageText, frame) != nil {
					return
				}
			}
		})
		var removed uint64
		both.Go(func() {
			<-start
			for range rand.IntN(4) {
				owner.acked("element.patch", `{"id":"e","set":{"y":1}}`)
			}
			removed = owner.acked("participant.remove", `{"user_id":"alice"}`).num("revision")
		})
		close(start)
		both.Wait()
		acked := a.outcome(t, removed)
		if acked > 0 && acked < sent {
			split++
		}
		w.onlyBefore(room, round, from, acked, removed)
	}
	t.Logf("%d rounds, in %d of them the removal fell between edits", rounds, split)
	if split == 0 {
		t.Error("no round was a race")
	}
}

// outcome reads all that the removed one was told and returns how many edits were acknowledged.
func (c *client) outcome(t *testing.T, removed uint64) (acked int) {
	t.Helper()
	refused := false
	for {
		m, ok := c.next("the end of the socket")
		if !ok {
			break
		}
		switch m.str("type") {
		case "ack":
			if refused || m.num("seq") != uint64(acked+1) {
				t.Errorf("seq %v is acknowledged after %d and a refusal (%t)", m["seq"], acked, refused)
			}
			if m.num("revision") >= removed {
				t.Errorf("an edit was accepted at revision %v, the removal is at %d", m["revision"], removed)
			}
			acked++
		case "reject":
			refused = true
			if m.str("code") != "forbidden" {
				t.Errorf("refused by %v", m)
			}
		}
	}
	if err := <-c.gone; websocket.CloseStatus(err) != 4403 {
		t.Errorf("the socket ended by %v", err)
	}
	if c.revision > removed {
		t.Errorf("saw revision %d after the removal at %d", c.revision, removed)
	}
	return acked
}

// onlyBefore looks into the log: of this round's edits all that were acknowledged are there, and nobody's after the removal.
func (w *world) onlyBefore(room string, round int, from uint64, acked int, removed uint64) {
	w.t.Helper()
	stored := 0
	err := w.rooms.Commits(soon(w.t), room, from, func(c *events.Commit) bool {
		for i := range c.Events {
			e := &c.Events[i]
			if e.Actor != "alice" || e.Client != fmt.Sprint("a", round) {
				continue
			}
			stored++
			if rev := c.First + uint64(i); rev >= removed {
				w.t.Errorf("round %d: %s of the removed at revision %d, the removal is at %d", round, e.Type, rev, removed)
			}
		}
		return true
	})
	if err != nil || stored != acked {
		w.t.Errorf("round %d: %d edits stored, %d acknowledged: %v", round, stored, acked, err)
	}
}
