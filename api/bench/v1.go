package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// guest makes an identity and returns its token.
func guest(ctx context.Context, addr, name string) (string, error) {
	var g struct{ Token string }
	return g.Token, post(ctx, addr, "/v1/guests", "", map[string]any{"name": name}, &g)
}

func createRoom(ctx context.Context, addr, token, id string) error {
	return post(ctx, addr, "/v1/rooms", token, map[string]any{"id": id, "name": id, "visibility": "unlisted"}, nil)
}

func post(ctx context.Context, addr, path, token string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("POST %s: %s %s", path, res.Status, got)
	}
	if into != nil {
		return json.Unmarshal(got, into)
	}
	return nil
}

// v1client is an editor or watcher on a v1 socket. loop must run for anything to arrive.
type v1client struct {
	*client
	mu        sync.Mutex
	sent      map[uint64]time.Time
	latencies samples
	acked     chan uint64
	events    atomic.Int64 // events delivered in commit frames
	onFrame   func([]byte)
}

func dialV1(ctx context.Context, addr, room, token, clientID string) (*v1client, error) {
	c, err := dial(ctx, addr, "/v1/rooms/"+room+"/ws", "kanvas.v1", 0)
	if err != nil {
		return nil, err
	}
	v := &v1client{client: c, sent: map[uint64]time.Time{}, acked: make(chan uint64, 1<<16)}
	hello, err := json.Marshal(map[string]any{"type": "hello", "token": token, "client": clientID})
	if err != nil {
		return nil, err
	}
	if err := c.text(hello); err != nil {
		return nil, err
	}
	for {
		m, err := c.read()
		if err != nil {
			return nil, fmt.Errorf("hello: %w", err)
		}
		if bytes.Contains(m, []byte(`"type":"snapshot"`)) && !bytes.Contains(m, []byte(`"more":true`)) {
			return v, nil
		}
	}
}

// loop reads until the socket closes: acks end latencies, commits count events.
func (v *v1client) loop() error {
	for {
		m, err := v.read()
		if err != nil {
			return err
		}
		now := time.Now()
		if v.onFrame != nil {
			v.onFrame(m)
			continue
		}
		v.events.Add(int64(bytes.Count(m, []byte(`"type":"element.`))))
		if i := bytes.Index(m, []byte(`"type":"reject"`)); i >= 0 {
			return fmt.Errorf("rejected: %s", m[i:min(len(m), i+200)])
		}
		for rest := m; ; {
			i := bytes.Index(rest, []byte(`{"type":"ack","seq":`))
			if i < 0 {
				break
			}
			rest = rest[i+len(`{"type":"ack","seq":`):]
			seq := uint64(leadingInt(rest))
			v.mu.Lock()
			if t, ok := v.sent[seq]; ok {
				v.latencies = append(v.latencies, now.Sub(t))
				delete(v.sent, seq)
			}
			v.mu.Unlock()
			select {
			case v.acked <- seq:
			default:
			}
		}
	}
}

func leadingInt(b []byte) int64 {
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// command sends one command and notes when.
func (v *v1client) command(seq uint64, name string, data []byte) error {
	b := make([]byte, 0, len(data)+80)
	b = append(b, `{"type":"command","seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, `,"command":"`...)
	b = append(b, name...)
	b = append(b, `","data":`...)
	b = append(b, data...)
	b = append(b, '}')
	v.mu.Lock()
	v.sent[seq] = time.Now()
	v.mu.Unlock()
	return v.text(b)
}

// patch is a v1 patch of about 300 bytes on the wire that moves and styles an element.
func patch(id string, n int) []byte {
	return fmt.Appendf(nil, `{"id":%q,"set":{"x":%d.25,"y":%d.5,"width":320.125,"height":200.5,"rotation":%d,"fill":"#4ECDC4","stroke":"#1d3557","label":"a note that people read while it moves over the canvas","opacity":0.%d}}`, id, n, n*2, n%360, n%90+10)
}

func addShape(id string) []byte {
	return fmt.Appendf(nil, `{"element":{"id":%q,"type":"shape","shape":"rect","x":0,"y":0,"width":320,"height":200,"rotation":0,"fill":"#FF6B6B"}}`, id)
}

func addPicture(id string) []byte {
	return fmt.Appendf(nil, `{"element":{"id":%q,"type":"image","src":"https://example.com/images/picture.png","x":0,"y":0,"width":320,"height":200,"rotation":0}}`, id)
}

func get(ctx context.Context, addr, path string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return false, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode == http.StatusOK, err
}
