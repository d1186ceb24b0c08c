package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// wireEvent is what the API and the sockets show of an event, as far as the test looks.
type wireEvent struct {
	Revision uint64
	ID, Type string
	Client   string
	Seq      uint64
}

// writer is a person who keeps adding elements, over every crash, and remembers what was acknowledged.
type writer struct {
	token, client, room string
	next                uint64
	acked               map[uint64]uint64 // seq → revision
	seen                map[uint64]string // revision → event id, of every commit pushed to it
	last                uint64
	mu                  sync.Mutex
}

// TestCrash kills the server again and again while people edit. Nothing acknowledged may be lost, nothing pushed may be gone later,
// and nothing may be applied twice, though every unanswered command is sent again. CRASH_ROUNDS says how often (3).
func TestCrash(t *testing.T) {
	rounds := 3
	if v, err := strconv.Atoi(os.Getenv("CRASH_ROUNDS")); err == nil {
		rounds = v
	}
	dir := t.TempDir()
	s := startServer(t, dir, "127.0.0.1:0", "KANVAS_RATE_LIMITS=off")
	var people []*writer
	for i := range 4 {
		var g struct{ Token string }
		if _, err := httpJSON("POST", "http://"+s.addr+"/v1/guests", "", map[string]any{"name": fmt.Sprintf("writer %d", i)}, &g); err != nil {
			t.Fatal(err)
		}
		room := fmt.Sprintf("crash-%d", i%2)
		if i < 2 {
			if _, err := httpJSON("POST", "http://"+s.addr+"/v1/rooms", g.Token, map[string]any{"id": room, "name": room, "visibility": "public"}, &struct{}{}); err != nil {
				t.Fatal(err)
			}
		}
		people = append(people, &writer{token: g.Token, client: fmt.Sprintf("client-%d", i), room: room, next: 1, acked: map[uint64]uint64{}, seen: map[uint64]string{}})
	}
	for round := range rounds {
		ctx, cancel := context.WithCancel(context.Background())
		var killed atomic.Bool // or about to be
		var wg sync.WaitGroup
		for _, w := range people {
			wg.Go(func() {
				if err := w.edit(ctx, s.addr); err != nil && !killed.Load() {
					t.Errorf("round %d, %s: %v", round, w.client, err)
				}
			})
		}
		// Long enough for every socket to be at work, and another moment each time.
		w := people[round%len(people)]
		goal := w.count() + 20 + rand.IntN(60)
		for deadline := time.Now().Add(30 * time.Second); w.count() < goal; {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: %d acks in 30 s", round, w.count())
			}
			time.Sleep(time.Millisecond)
		}
		killed.Store(true)
		s.killAnd(cancel)
		wg.Wait()
		s = startServer(t, dir, s.addr, "KANVAS_RATE_LIMITS=off")
	}
	total := 0
	for _, room := range []string{"crash-0", "crash-1"} {
		total += checkRoom(t, s.addr, room, people)
	}
	t.Logf("%d rounds, %d acknowledged commands", rounds, total)
	s.stop()
	if out := mustTool(t, "verify", "--data", dir); !strings.Contains(out, "sound") {
		t.Errorf("verify: %s", out)
	}
	if out := mustTool(t, "rebuild", "--data", dir); !strings.Contains(out, "the same rows as before") {
		t.Errorf("rebuild: %s", out)
	}
}

// killAnd kills the server, then tells those who edit to end.
func (s *server) killAnd(then func()) {
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	then()
	<-s.done
}

func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// edit joins, sends again what was not answered, and goes on until the socket ends.
func (w *writer) edit(ctx context.Context, addr string) error {
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/v1/rooms/"+w.room+"/ws", &websocket.DialOptions{Subprotocols: []string{"kanvas.v1"}})
	if err != nil {
		return err
	}
	defer func() { _ = c.CloseNow() }() // the server is killed under it
	c.SetReadLimit(64 << 20)
	hello := map[string]any{"type": "hello", "token": w.token, "client": w.client}
	w.mu.Lock()
	if w.last > 0 {
		hello["resume"] = w.last
	}
	var again []uint64
	for seq := uint64(1); seq < w.next; seq++ {
		if _, ok := w.acked[seq]; !ok {
			again = append(again, seq)
		}
	}
	w.mu.Unlock()
	if err := write(ctx, c, hello); err != nil {
		return err
	}
	for _, seq := range again {
		if err := w.send(ctx, c, seq); err != nil {
			return err
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- w.read(ctx, c) }()
	for {
		select {
		case err := <-ended:
			return err
		default:
		}
		w.mu.Lock()
		ahead := int(w.next-1) - len(w.acked)
		seq := w.next
		if ahead < 16 {
			w.next++
		}
		w.mu.Unlock()
		if ahead >= 16 {
			time.Sleep(time.Millisecond)
			continue
		}
		if err := w.send(ctx, c, seq); err != nil {
			return errors.Join(err, <-ended)
		}
	}
}

func write(ctx context.Context, c *websocket.Conn, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.Write(ctx, websocket.MessageText, b)
}

func (w *writer) send(ctx context.Context, c *websocket.Conn, seq uint64) error {
	return write(ctx, c, map[string]any{"type": "command", "seq": seq, "command": "element.add", "data": map[string]any{
		"element": map[string]any{"id": fmt.Sprintf("%s-%d", w.client, seq), "type": "note", "text": "written before a crash", "x": seq, "y": 1}}})
}

func (w *writer) read(ctx context.Context, c *websocket.Conn) error {
	for {
		_, b, err := c.Read(ctx)
		if err != nil {
			return err
		}
		var frames []json.RawMessage
		if len(b) > 0 && b[0] == '[' {
			if err := json.Unmarshal(b, &frames); err != nil {
				return err
			}
		} else {
			frames = []json.RawMessage{b}
		}
		for _, f := range frames {
			if err := w.frame(f); err != nil {
				return err
			}
		}
	}
}

func (w *writer) frame(b []byte) error {
	var f struct {
		Type          string
		Seq, Revision uint64
		Events        []wireEvent
		First, Last   uint64
		Code, Detail  string
		More          bool
		Reset         bool
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch f.Type {
	case "snapshot":
		if f.Reset {
			return fmt.Errorf("reset at %d: the server has less than it pushed", f.Revision)
		}
		if !f.More {
			w.last = f.Revision
		}
	case "commit":
		if w.last != 0 && f.First != w.last+1 {
			return fmt.Errorf("commit %d–%d after revision %d", f.First, f.Last, w.last)
		}
		for _, e := range f.Events {
			w.seen[e.Revision] = e.ID
		}
		w.last = f.Last
	case "ack":
		w.acked[f.Seq] = f.Revision
	case "reject", "error":
		return fmt.Errorf("%s of %d: %s %s", f.Type, f.Seq, f.Code, f.Detail)
	}
	return nil
}

// checkRoom compares what the people were told with what the log says, and returns how many commands were acknowledged.
func checkRoom(t *testing.T, addr, room string, people []*writer) int {
	t.Helper()
	byRevision := map[uint64]wireEvent{}
	once := map[string]uint64{}
	for after := uint64(0); ; {
		var page struct {
			Events []wireEvent
		}
		if _, err := httpJSON("GET", fmt.Sprintf("http://%s/v1/rooms/%s/events?after=%d&limit=1000", addr, room, after), people[0].token, nil, &page); err != nil {
			t.Fatal(err)
		}
		if len(page.Events) == 0 {
			break
		}
		for _, e := range page.Events {
			if e.Revision != after+1 {
				t.Fatalf("%s: revision %d after %d", room, e.Revision, after)
			}
			after = e.Revision
			byRevision[after] = e
			if e.Client != "" {
				key := fmt.Sprintf("%s/%d", e.Client, e.Seq)
				if r, twice := once[key]; twice {
					t.Errorf("%s: command %s applied at %d and %d", room, key, r, after)
				}
				once[key] = after
			}
		}
	}
	n := 0
	for _, w := range people {
		if w.room != room {
			continue
		}
		n += len(w.acked)
		for seq, revision := range w.acked {
			if e := byRevision[revision]; e.Client != w.client || e.Seq != seq {
				t.Errorf("%s: command %d of %s was acknowledged at %d, where the log has %+v", room, seq, w.client, revision, e)
			}
		}
		for revision, id := range w.seen {
			if byRevision[revision].ID != id {
				t.Errorf("%s: event %s was pushed at %d, where the log has %q", room, id, revision, byRevision[revision].ID)
			}
		}
	}
	return n
}
