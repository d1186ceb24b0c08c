package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// patience is how long a person waits for what must come; it is reached by failures only.
const patience = 30 * time.Second

// person is a client with a copy of the canvas, built from snapshots and commits alone, and an outbox that outlives sockets.
type person struct {
	name, room string
	rnd        *rand.Rand // of the script; the reader has none

	mu       sync.Mutex
	changed  *sync.Cond
	conn     *websocket.Conn
	held     bool                      // the reader rests
	revision uint64                    // last applied
	elements map[string]map[string]any // the copy
	loading  []map[string]any          // parts of a snapshot
	outbox   map[uint64][]byte         // not answered, by seq
	next     uint64
	acked    map[uint64]uint64 // seq → revision
	rejected map[string]int    // by code
	refused  map[uint64]bool   // seqs that were rejected once; a copy on its way is decided anew, as the contract says
	once     map[string]uint64 // "client/seq/event id" seen in commits → revision
	slow     int               // closes with 4508
	broken   error
}

func newPerson(name, room string, seed uint64) *person {
	p := &person{name: name, room: room, rnd: rand.New(rand.NewPCG(seed, 1)), next: 1, elements: map[string]map[string]any{}, outbox: map[uint64][]byte{},
		acked: map[uint64]uint64{}, rejected: map[string]int{}, refused: map[uint64]bool{}, once: map[string]uint64{}}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// connect opens a socket, says hello and sends the outbox again. It tries until the server is there.
func (p *person) connect(url func(string) string) error {
	deadline := time.Now().Add(patience)
	for {
		err := p.tryConnect(url)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s can't connect: %w", p.name, err)
		}
		time.Sleep(time.Duration(1+p.rnd.IntN(10)) * time.Millisecond) // the jitter of a reconnect
	}
}

func (p *person) tryConnect(url func(string) string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url(p.room), &websocket.DialOptions{Subprotocols: []string{"kanvas.v1"}})
	if err != nil {
		return err
	}
	c.SetReadLimit(64 << 20)
	p.mu.Lock()
	hello := map[string]any{"type": "hello", "token": p.name, "client": "c-" + p.name}
	if p.revision > 0 {
		hello["resume"] = p.revision
	}
	p.loading = nil
	p.conn = c
	seqs := slices.Sorted(maps.Keys(p.outbox))
	p.mu.Unlock()
	b, err := json.Marshal(hello)
	if err != nil {
		return err
	}
	if err := c.Write(ctx, websocket.MessageText, b); err != nil {
		return err
	}
	go p.read(c)
	for _, s := range seqs {
		if err := p.write(c, s); err != nil {
			return err
		}
	}
	return nil
}

func (p *person) write(c *websocket.Conn, seq uint64) error {
	p.mu.Lock()
	b := p.outbox[seq]
	p.mu.Unlock()
	if b == nil {
		return nil // answered meanwhile
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Write(ctx, websocket.MessageText, b)
}

// read applies what comes until the socket ends.
func (p *person) read(c *websocket.Conn) {
	for {
		_, b, err := c.Read(context.Background()) // ended by the socket's close, which every test makes
		p.mu.Lock()
		for p.held && p.conn == c {
			p.changed.Wait()
		}
		if p.conn != c { // an older socket's frames are not ours any more
			p.mu.Unlock()
			return
		}
		if err != nil {
			if websocket.CloseStatus(err) == 4508 {
				p.slow++
			}
			p.conn = nil
			p.changed.Broadcast()
			p.mu.Unlock()
			return
		}
		if err := p.apply(b); err != nil && p.broken == nil {
			p.broken = fmt.Errorf("%s: %w", p.name, err)
		}
		p.changed.Broadcast()
		p.mu.Unlock()
	}
}

// cut drops the socket without a word.
func (p *person) cut() {
	p.mu.Lock()
	c := p.conn
	p.conn, p.held = nil, false
	p.changed.Broadcast()
	p.mu.Unlock()
	if c != nil {
		_ = c.CloseNow() // it may be gone already
	}
}

func (p *person) hold(on bool) {
	p.mu.Lock()
	p.held = on
	p.changed.Broadcast()
	p.mu.Unlock()
}

// command puts a command into the outbox and sends it, twice now and then.
func (p *person) command(name string, data any) error {
	p.mu.Lock()
	seq := p.next
	p.next++
	b, err := json.Marshal(map[string]any{"type": "command", "seq": seq, "command": name, "data": data})
	p.outbox[seq] = b
	c := p.conn
	p.mu.Unlock()
	if err != nil || c == nil {
		return err // waits in the outbox
	}
	for range 1 + p.rnd.IntN(8)/7 {
		if p.write(c, seq) != nil {
			return nil // the socket ended: the next one sends it again
		}
	}
	return nil
}

type frame struct {
	Type                       string
	Seq, Revision, First, Last uint64
	Elements                   []map[string]any
	Events                     []event
	Code, Detail               string
	More, Reset                bool
}

type event struct {
	Revision uint64
	ID, Type string
	Client   string
	Seq      uint64
	Data     struct {
		ID      string
		IDs     []string
		Element map[string]any
		Set     map[string]any
		Unset   []string
	}
}

func (p *person) apply(b []byte) error {
	var frames []frame
	if b[0] != '[' {
		b = append(append([]byte{'['}, b...), ']')
	}
	if err := json.Unmarshal(b, &frames); err != nil {
		return err
	}
	for i := range frames {
		if err := p.frame(&frames[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *person) frame(f *frame) error {
	switch f.Type {
	case "snapshot":
		if f.Reset {
			return fmt.Errorf("reset at %d after revision %d", f.Revision, p.revision)
		}
		p.loading = append(p.loading, f.Elements...)
		if !f.More {
			if f.Revision < p.revision {
				return fmt.Errorf("snapshot at %d after revision %d", f.Revision, p.revision)
			}
			p.elements, p.revision = map[string]map[string]any{}, f.Revision
			for _, e := range p.loading {
				p.elements[e["id"].(string)] = e
			}
			p.loading = nil
		}
	case "commit":
		if f.First != p.revision+1 || f.Last != f.First+uint64(len(f.Events))-1 {
			return fmt.Errorf("commit %d–%d of %d events after revision %d", f.First, f.Last, len(f.Events), p.revision)
		}
		for i := range f.Events {
			p.event(&f.Events[i])
		}
		p.revision = f.Last
	case "ack":
		if r, ok := p.acked[f.Seq]; ok && r != f.Revision {
			return fmt.Errorf("seq %d acked at %d and at %d", f.Seq, r, f.Revision)
		}
		if f.Revision > p.revision {
			return fmt.Errorf("ack of %d at %d before its commit (at %d)", f.Seq, f.Revision, p.revision)
		}
		p.acked[f.Seq] = f.Revision
		delete(p.outbox, f.Seq)
	case "reject":
		switch f.Code {
		case "nothing_to_undo", "conflict", "not_found", "invalid_command":
			p.rejected[f.Code]++
			p.refused[f.Seq] = true
			delete(p.outbox, f.Seq)
		case "read_only": // the server is going away: sent again after the reconnect
		default:
			return fmt.Errorf("reject %s: %s", f.Code, f.Detail)
		}
	}
	return nil
}

func (p *person) event(e *event) {
	if e.Client != "" {
		p.once[fmt.Sprintf("%s/%d/%s", e.Client, e.Seq, e.ID)] = e.Revision
	}
	switch e.Type {
	case "element.added":
		p.elements[e.Data.Element["id"].(string)] = e.Data.Element
	case "element.patched":
		if el := p.elements[e.Data.ID]; el != nil {
			for k, v := range e.Data.Set {
				el[k] = v
			}
			for _, k := range e.Data.Unset {
				delete(el, k)
			}
		}
	case "element.removed":
		for _, id := range e.Data.IDs {
			delete(p.elements, id)
		}
	}
}

// settle waits until the outbox is empty and the copy is at the revision.
func (p *person) settle(url func(string) string, revision func() uint64) error {
	deadline := time.Now().Add(patience)
	timer := time.AfterFunc(patience, p.changed.Broadcast)
	defer timer.Stop()
	for {
		p.mu.Lock()
		for p.conn != nil && p.broken == nil && (len(p.outbox) > 0 || p.revision < revision()) && time.Now().Before(deadline) {
			p.changed.Wait()
		}
		connected, broken, waiting, at := p.conn != nil, p.broken, len(p.outbox), p.revision
		p.mu.Unlock()
		switch {
		case broken != nil:
			return broken
		case time.Now().After(deadline):
			return fmt.Errorf("%s did not settle: %d commands unanswered, at revision %d of %d", p.name, waiting, at, revision())
		case !connected:
			if err := p.connect(url); err != nil {
				return err
			}
		case waiting == 0 && at >= revision():
			return nil
		}
	}
}
