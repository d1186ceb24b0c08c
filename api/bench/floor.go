package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// The floor: a bare broadcaster on the socket library that Kanvas uses. One writer per client, no logic, nothing stored.
// Sockets on /echo/ROOM get their own messages too, all others those of everybody else. A message sent to /state/ROOM is kept
// and sent to whoever joins that room, copied for each of them, as a server that encodes for each would.

type floorRoom struct {
	mu      sync.Mutex
	clients map[*floorClient]struct{}
	state   []byte
}

type floorClient struct {
	out  chan []byte
	echo bool
}

type floor struct {
	mu    sync.Mutex
	rooms map[string]*floorRoom
}

// floorQueue is what may wait for one client, in messages; more and the client is dropped.
const floorQueue = 1 << 14

// ServeFloor serves the floor on addr until ctx ends, and prints its address to out once it can be reached.
func ServeFloor(ctx context.Context, addr string, out io.Writer) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	f := &floor{rooms: map[string]*floorRoom{}}
	srv := &http.Server{Handler: f} //nolint:gosec // measured on loopback only
	if _, err := fmt.Fprintf(out, "{\"event\":\"listening\",\"address\":%q}\n", ln.Addr()); err != nil {
		return errors.Join(err, ln.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // Serve returns its error
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (f *floor) room(name string) *floorRoom {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rooms[name]
	if r == nil {
		r = &floorRoom{clients: map[*floorClient]struct{}{}}
		f.rooms[name] = r
	}
	return r
}

func (f *floor) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	conn, err := websocket.Accept(w, req, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }() // the client may have gone first
	conn.SetReadLimit(64 << 20)
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	room := f.room(name)
	c := &floorClient{out: make(chan []byte, floorQueue), echo: kind == "echo"}
	room.mu.Lock()
	room.clients[c] = struct{}{}
	state := room.state
	room.mu.Unlock()
	defer func() {
		room.mu.Lock()
		delete(room.clients, c)
		room.mu.Unlock()
	}()
	go func() {
		if state != nil {
			if conn.Write(ctx, websocket.MessageText, append([]byte(nil), state...)) != nil {
				cancel()
				return
			}
		}
		for {
			select {
			case m := <-c.out:
				if conn.Write(ctx, websocket.MessageText, m) != nil {
					cancel()
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		_, m, err := conn.Read(ctx)
		if err != nil {
			return
		}
		room.mu.Lock()
		if kind == "state" {
			room.state = m
		} else {
			for o := range room.clients {
				if o == c && !c.echo {
					continue
				}
				select {
				case o.out <- m:
				default:
				}
			}
		}
		room.mu.Unlock()
		if kind == "state" {
			c.out <- []byte(`{"type":"stored"}`)
		}
	}
}
