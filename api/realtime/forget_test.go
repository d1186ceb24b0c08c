package realtime

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/infinite-kanvas/kanvas/domain"
)

// TestForgottenWordsAreTakenBack: while a room is busy a person is forgotten, many times over. Their socket ends; the others get the room without their
// words, and still every revision exactly once, in order (client.next looks).
func TestForgottenWordsAreTakenBack(t *testing.T) {
	w := newWorld(t)
	room := w.room(domain.Public)
	w.do(room, "owner", domain.AddElement{Element: element(t, "n")})
	var others []*client
	for i := range 3 {
		others = append(others, w.enter(room, fmt.Sprint("other", i), "c"))
	}
	ann := w.enter(room, "ann", "a")
	ann.send(`{"type":"command","seq":1,"command":"chat.post","data":{"text":"a word of ann"}}`)
	for _, c := range others {
		c.wait("ann's word", func(m msg) bool { return strings.Contains(fmt.Sprint(m), "a word of ann") })
	}
	const edits = 300
	var working sync.WaitGroup
	working.Go(func() {
		for i := range edits {
			w.do(room, "owner", patch("n", "x", fmt.Sprint(i)))
		}
	})
	w.keys.destroy("ann")
	for range 20 {
		w.people.Gone("ann")
		w.hub.ForgetUser("ann")
	}
	working.Wait()
	w.people.Gone("ann")
	w.hub.ForgetUser("ann")
	last := w.do(room, "owner", patch("n", "x", fmt.Sprint(edits))).Last
	for i, c := range others {
		clean := false
		for c.revision < last || !clean {
			m, ok := c.next("the room without ann's word")
			if !ok {
				t.Fatalf("socket %d ended", i)
			}
			if m.str("type") == "snapshot" {
				text, err := json.Marshal(m)
				if err != nil || strings.Contains(string(text), "a word of ann") {
					t.Fatalf("a snapshot with ann's word: %v", err)
				}
				clean = true
			}
		}
	}
	for {
		if _, ok := ann.next("the end"); !ok {
			break
		}
	}
	if late := w.enter(room, "late", "c", 1); late.revision > last {
		t.Errorf("revision %d of %d", late.revision, last)
	}
}
