package jetstream_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

// TestCrash kills a process that appends with the embedded store (kill -9), CRASH_ROUNDS times (3) on one directory, after a
// random number of acks. After each: every acknowledged commit is there, and each room is a chain without holes.
func TestCrash(t *testing.T) {
	rounds := 3
	if v := os.Getenv("CRASH_ROUNDS"); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	acked := map[[2]int]uint64{} // room, n → sequence
	for round := range rounds {
		p := startProcess(t, "append", "KANVAS_TEST_DIR="+dir)
		stop := 50 + rand.IntN(1500)
		fresh := 0
		for p.out.Scan() { // also what it had printed before it died
			var room, n int
			var seq uint64
			if _, err := fmt.Sscanf(p.out.Text(), "%d %d %d", &room, &seq, &n); err != nil {
				break // the last line may be cut
			}
			acked[[2]int{room, n}] = seq
			if fresh++; fresh == stop {
				p.kill()
			}
		}
		if fresh < stop {
			t.Fatalf("round %d: the child ended by itself after %d acks", round, fresh)
		}
		if err := p.cmd.Wait(); err == nil {
			t.Fatalf("round %d: the child was not killed", round)
		}
		verifyCrash(t, round, dir, acked)
	}
}

func verifyCrash(t *testing.T, round int, dir string, acked map[[2]int]uint64) {
	s := open(t, jetstream.Config{Dir: dir, Partitions: 3, Logger: quiet()})
	defer closeStore(t, s)
	found := 0
	for room := range crashRooms {
		var prev uint64
		for i, r := range logtest.ReadAll(t, s, crashRoom(room), 0) {
			n, before, ok := parse(r.Payload)
			if !ok || n != i+1 || before != prev || string(r.Payload) != string(payloadOf(n, before)) {
				t.Fatalf("round %d, room %d: commit %d says n=%d after %d, it follows %d", round, room, i+1, n, before, prev)
			}
			if seq, ok := acked[[2]int{room, n}]; ok {
				if seq != r.Seq {
					t.Fatalf("round %d, room %d: commit %d has sequence %d, acknowledged was %d", round, room, n, r.Seq, seq)
				}
				found++
			}
			prev = r.Seq
		}
	}
	if found != len(acked) {
		t.Fatalf("round %d: %d of %d acknowledged commits are there", round, found, len(acked))
	}
}
