package realtime

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// cpu is what this process has used, user and system.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestCrowdProcess is not a test: it is the other process of the benchmarks, n clients that read and throw away, with work to do meanwhile.
func TestCrowdProcess(t *testing.T) {
	address := os.Getenv("KANVAS_CROWD")
	if address == "" {
		t.Skip("a process of the benchmarks")
	}
	n, _ := strconv.Atoi(os.Getenv("KANVAS_CROWD_SIZE"))
	cursors, _ := strconv.Atoi(os.Getenv("KANVAS_CROWD_CURSORS")) // a second and client
	var list []*websocket.Conn
	for i := range n {
		ws, _, err := websocket.Dial(t.Context(), address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := ws.Write(t.Context(), websocket.MessageText, []byte(fmt.Sprintf(`{"type":"hello","token":"u%d","client":"c"}`, i))); err != nil {
			t.Fatal(err)
		}
		ws.SetReadLimit(-1)
		list = append(list, ws)
		go func() {
			for {
				_, r, err := ws.Reader(context.Background())
				if err != nil {
					return
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					return
				}
			}
		}()
	}
	for i, ws := range list {
		if cursors > 0 {
			go func() {
				time.Sleep(time.Duration(i) * time.Second / time.Duration(n*cursors)) // out of step
				for tick := time.NewTicker(time.Second / time.Duration(cursors)); ; <-tick.C {
					if ws.Write(context.Background(), websocket.MessageText, []byte(`{"type":"cursor","x":1234.5,"y":-77.25}`)) != nil {
						return
					}
				}
			}()
		}
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark closes it
}

// crowd starts n clients of a room in a process of their own and returns when all are in.
func (w *world) crowd(room string, n, cursors int) {
	w.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrowdProcess$", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), "KANVAS_CROWD="+strings.Replace(w.server.URL, "http", "ws", 1)+"/"+room,
		fmt.Sprint("KANVAS_CROWD_SIZE=", n), fmt.Sprint("KANVAS_CROWD_CURSORS=", cursors))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	w.eventually("everybody is in", func() bool { return w.hub.Online(room) >= n })
	w.eventually("everybody is a participant", func() bool {
		v, err := w.rooms.View(context.Background(), room)
		return err == nil && len(v.Participants) >= n
	})
}

func unlimited(l *Limits) { l.RatesOff = true; l.PerAddress, l.PerUser, l.MaxSockets = 1e6, 1e6, 1e6 }

// BenchmarkFanout50: one room, 50 clients in another process, 5 editors of 20 edits/s of 300 B each, out of step, the log and its fsyncs
// included; b.N edits. cpu-us/delivery is this process's, the editors' own work included.
func BenchmarkFanout50(b *testing.B) {
	w := newWorld(b, limits(unlimited))
	room := w.room(domain.Public)
	w.do(room, "owner", domain.AddElement{Element: element(b, "e")})
	w.crowd(room, 50, 0)
	value := strings.Repeat("v", 230)
	writes := testCounter(b, w.reg, "kanvas_realtime_writes_total")
	began := cpu()
	b.ResetTimer()
	var wg sync.WaitGroup
	for editor := range 5 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			next := time.Now().Add(time.Duration(editor) * 7 * time.Millisecond)
			for i := editor; i < b.N; i += 5 {
				time.Sleep(time.Until(next))
				next = next.Add(50*time.Millisecond + time.Duration(i%7-3)*time.Millisecond)
				w.do(room, "owner", patch("e", "p"+strconv.Itoa(editor), fmt.Sprintf(`"%s%d"`, value, i)))
			}
		}()
	}
	wg.Wait()
	b.StopTimer()
	used := cpu() - began
	b.ReportMetric(float64(used.Microseconds())/float64(b.N*50), "cpu-us/delivery")
	b.ReportMetric((testCounter(b, w.reg, "kanvas_realtime_writes_total")-writes)/float64(b.N*50), "writes/delivery")
}

// BenchmarkCursors50: 50 clients × 30 cursors a second, for b.N tenths of a second.
func BenchmarkCursors50(b *testing.B) {
	w := newWorld(b, limits(unlimited))
	room := w.room(domain.Public)
	w.crowd(room, 50, 30)
	in := testCounter(b, w.reg, "kanvas_realtime_frames_in_total")
	began := cpu()
	b.ResetTimer()
	for range b.N {
		time.Sleep(100 * time.Millisecond)
	}
	b.StopTimer()
	used := cpu() - began
	frames := testCounter(b, w.reg, "kanvas_realtime_frames_in_total") - in
	b.ReportMetric(float64(used.Microseconds())/(frames*49), "cpu-us/position")
	b.ReportMetric(frames/b.Elapsed().Seconds(), "cursors/s")
}

// BenchmarkPipeline: one editor with 64 in flight and 9 receivers in another process, as fast as it goes.
func BenchmarkPipeline(b *testing.B) {
	w := newWorld(b, limits(unlimited))
	room := w.room(domain.Public)
	w.do(room, "owner", domain.AddElement{Element: element(b, "e")})
	w.crowd(room, 9, 0)
	ws, _, err := websocket.Dial(soon(b), strings.Replace(w.server.URL, "http", "ws", 1)+"/"+room, nil)
	if err != nil {
		b.Fatal(err)
	}
	ws.SetReadLimit(-1)
	defer ws.CloseNow()
	if err := ws.Write(soon(b), websocket.MessageText, []byte(`{"type":"hello","token":"owner","client":"pipe"}`)); err != nil {
		b.Fatal(err)
	}
	room64 := make(chan struct{}, 64)
	var wg sync.WaitGroup
	wg.Add(b.N)
	go func() {
		for {
			_, p, err := ws.Read(context.Background())
			if err != nil {
				return
			}
			if strings.HasPrefix(string(p), `{"type":"ack"`) {
				<-room64
				wg.Done()
			} else if strings.HasPrefix(string(p), `{"type":"reject"`) {
				panic(string(p))
			}
		}
	}()
	pad := strings.Repeat("v", 200)
	began := cpu()
	b.ResetTimer()
	for i := range b.N {
		room64 <- struct{}{}
		frame := fmt.Appendf(nil, `{"type":"command","seq":%d,"command":"element.patch","data":{"id":"e","set":{"x":%d,"t":"%s"}}}`, i+1, i, pad)
		if err := ws.Write(context.Background(), websocket.MessageText, frame); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpu()-began).Microseconds())/float64(b.N), "cpu-us/event")
}

func drawing(b testing.TB, n int) []*domain.Element {
	list := make([]*domain.Element, n)
	for i := range list {
		list[i] = element(b, fmt.Sprint("el", i), `"height":120.5`, `"rotation":12`, `"src":"asset:0192f0c1-7b1a-7c3e-9d43-2f6a7b8c9d0e"`,
			fmt.Sprintf(`"text":%q`, strings.Repeat("t", 120)), `"width":300`, fmt.Sprintf(`"x":%d`, i), `"y":-7.25`)
	}
	return list
}

// BenchmarkSnapshotEncoding: 2,000 elements, what the first one to join at a revision pays.
func BenchmarkSnapshotEncoding(b *testing.B) {
	w := newWorld(b)
	list := drawing(b, 2000)
	b.ReportAllocs()
	for range b.N {
		v := &commands.View{Revision: 9, Elements: list}
		s := w.hub.encoder.SnapshotOf(context.Background(), v)
		b.SetBytes(int64(len(s.Parts[0])))
	}
}

// BenchmarkJoin: a whole join of a room of 2,000 elements, at an unchanged revision.
func BenchmarkJoin(b *testing.B) {
	w := newWorld(b, limits(unlimited))
	room := w.room(domain.Public)
	list := drawing(b, 2000)
	for i := 0; i < len(list); i += 500 {
		cs := make([]domain.Command, 500)
		for k := range cs {
			cs[k] = domain.AddElement{Element: list[i+k]}
		}
		w.do(room, "owner", cs...)
	}
	address := strings.TrimPrefix(w.server.URL, "http://")
	b.ResetTimer()
	for range b.N {
		rawJoin(b, address, room)
	}
}

// rawJoin joins with as little client as possible and reads up to the end of the snapshot.
func rawJoin(b testing.TB, address, room string) {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "GET /%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", room, address)
	hello := `{"type":"hello","token":"owner","client":""}`
	frame := append([]byte{opText, 0x80 | byte(len(hello)), 0, 0, 0, 0}, hello...) // masked with zeros
	if _, err := nc.Write(frame); err != nil {
		b.Fatal(err)
	}
	r := bufio.NewReaderSize(nc, 64<<10)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
	}
	for {
		head, err := r.Peek(10)
		if err != nil {
			b.Fatal(err)
		}
		n, skip := int(head[1]), 2
		switch n {
		case 126:
			n, skip = int(head[2])<<8|int(head[3]), 4
		case 127:
			n, skip = int(head[6])<<24|int(head[7])<<16|int(head[8])<<8|int(head[9]), 10
		}
		r.Discard(skip)
		what, err := r.Peek(min(n, 20))
		if err != nil {
			b.Fatal(err)
		}
		snapshot := strings.HasPrefix(string(what), `{"type":"snapshot"`)
		if _, err := r.Discard(n); err != nil {
			b.Fatal(err)
		}
		if snapshot {
			return
		}
	}
}

// TestIdleSocketsAreSmall: memory of a socket that do nothing, goroutines' stacks and the HTTP server's share included.
func TestIdleSocketsAreSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("opens hundreds of sockets")
	}
	w := newWorld(t, limits(unlimited))
	room := w.room(domain.Public)
	w.do(room, "owner", domain.AddElement{Element: element(t, "e")})
	w.crowd(room, 20, 0)
	const n = 400
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	before := heap()
	w.crowd(room, n+20, 0) // users of the first are among them
	w.settle()
	each := (heap() - before) / n
	t.Logf("%d KiB each", each>>10)
	if each > 40<<10 {
		t.Errorf("%d bytes a socket, more than 40 KiB", each)
	}
}

// settle waits until nothing has been written for a while: everybody knows of everybody.
func (w *world) settle() {
	last, since := -1.0, time.Now()
	w.eventually("it is quiet", func() bool {
		if n := testCounter(w.t, w.reg, "kanvas_realtime_writes_total"); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	})
}
