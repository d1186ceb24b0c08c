package realtime

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// pipeConn is a conn over loopback TCP; far is the client's end. Its writer runs from start on.
func pipeConn(t *testing.T, l Limits) (c *conn, far net.Conn, start func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	far, err = net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l = l.filled()
	c = newConn(near, nil, &l, newMetrics(nil), func() int64 { return 0 })
	started := false
	start = func() { started = true; go c.run(context.Background()) }
	t.Cleanup(func() {
		far.Close()
		if !started {
			start()
		}
		c.cut()
	})
	return c, far, start
}

func text(n int) []byte { return finishFrame(append(newFrame(n), bytes.Repeat([]byte{'t'}, n)...)) }

func readN(t *testing.T, r io.Reader, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnEmptyQueueTakesAnySize(t *testing.T) {
	c, _, _ := pipeConn(t, Limits{QueueBytes: 1000, LargeBytes: 2000})
	if !c.send(text(5000)) {
		t.Fatal("an empty queue refused a frame")
	}
	if c.send(text(1001)) {
		t.Fatal("a full queue took a large frame")
	}
	if c.open() {
		t.Fatal("the socket is still open")
	}
	if CloseCode(c.code.Load()) != CloseTooSlow {
		t.Fatalf("closed with %d", c.code.Load())
	}
}

// A commit beyond QueueBytes comes with its ack, and maybe with others: all of them are written.
func TestALargeFrameTakesNoRoomOfSmallOnes(t *testing.T) {
	small, large := text(100), text(5000)
	c, far, start := pipeConn(t, Limits{QueueBytes: 2 * len(small), LargeBytes: 2 * len(large)})
	want := bytes.Join([][]byte{small, large, large, small}, nil)
	if !c.sendOwn(small) || !c.send(large) || !c.send(large) || !c.sendOwn(small) {
		t.Fatal("refused")
	}
	var r receipt
	if c.sendEphemeral(text(10), &r); r.state.Load() != receiptDropped {
		t.Fatal("an ephemeral frame went into a full queue")
	}
	start()
	c.flush()
	if got := readN(t, far, len(want)); !bytes.Equal(got, want) {
		t.Fatal("other bytes came")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes != 0 || c.largeBytes != 0 {
		t.Fatalf("%d and %d bytes counted in an empty queue", c.bytes, c.largeBytes)
	}
}

func TestTheQueueTakesExactlyItsBound(t *testing.T) {
	f := text(100)
	c, far, start := pipeConn(t, Limits{QueueBytes: 3 * len(f)})
	for i := 0; i < 3; i++ {
		if !c.send(f) {
			t.Fatalf("frame %d refused", i)
		}
	}
	start()
	c.flush()
	if got := readN(t, far, 3*len(f)); !bytes.Equal(got, bytes.Repeat(f, 3)) {
		t.Fatal("other bytes came")
	}
}

func TestEphemeralGoesFirstUnderPressure(t *testing.T) {
	c, far, start := pipeConn(t, Limits{QueueBytes: 1000})
	var r receipt
	c.send(text(300))
	c.sendEphemeral(text(500), &r)
	if r.state.Load() != receiptWaiting {
		t.Fatal("not queued")
	}
	if !c.send(text(400)) {
		t.Fatal("a durable frame did not push the ephemeral one out")
	}
	if !c.withdraw(&r) {
		t.Fatal("the dropped frame says it was written")
	}
	var full receipt
	c.sendEphemeral(text(900), &full)
	if full.state.Load() != receiptDropped {
		t.Fatal("an ephemeral frame went into a full queue")
	}
	start()
	c.flush()
	want := append(text(300), text(400)...)
	if got := readN(t, far, len(want)); !bytes.Equal(got, want) {
		t.Fatal("other bytes came")
	}
}

func TestWithdrawTakesBackWhatWaitsAndNothingElse(t *testing.T) {
	c, far, start := pipeConn(t, Limits{})
	var r receipt
	c.send(text(1))
	c.sendEphemeral(text(2), &r)
	c.send(text(3))
	if !c.withdraw(&r) || c.withdraw(&r) {
		t.Fatal("withdraw is wrong about a frame that waits")
	}
	c.sendEphemeral(text(4), &r)
	start()
	c.flush()
	want := bytes.Join([][]byte{text(1), text(3), text(4)}, nil)
	if got := readN(t, far, len(want)); !bytes.Equal(got, want) {
		t.Fatal("other bytes came")
	}
	if c.withdraw(&r) {
		t.Fatal("took back what was written")
	}
}

// A pong of the library and the close go through while a write is blocked, without waiting for it, and frames are never mixed up.
func TestControlFramesNeverWaitForABlockedWrite(t *testing.T) {
	c, far, start := pipeConn(t, Limits{})
	big := text(32 << 20) // more than the kernel takes
	c.send(big)
	start()
	c.flush()
	buf := readN(t, far, 1) // the write has begun
	pong := controlFrame(0x8a, []byte("p"))
	began := time.Now()
	if _, err := c.Write(pong); err != nil {
		t.Fatal(err)
	}
	c.send(text(7))
	c.finish(CloseDone, "bye", false, nil)
	if d := time.Since(began); d > 2*time.Second {
		t.Fatalf("waited %v for a blocked write", d)
	}
	rest, err := io.ReadAll(io.LimitReader(far, int64(len(big)-1+len(pong)+len(text(7))+len(closeFrame(CloseDone, "bye")))))
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Join([][]byte{big, pong, text(7), closeFrame(CloseDone, "bye")}, nil)
	if !bytes.Equal(append(buf, rest...), want) {
		t.Fatal("frames were mixed up")
	}
}

type failingStream struct{ told chan error }

func (s *failingStream) next(context.Context) ([][]byte, error) { return nil, io.ErrUnexpectedEOF }
func (s *failingStream) ended(err error)                        { s.told <- err }

func TestAStreamThatFailsClosesTheSocketForLater(t *testing.T) {
	c, far, start := pipeConn(t, Limits{})
	s := &failingStream{make(chan error, 2)}
	c.sendStream(s)
	start()
	c.flush()
	if err := <-s.told; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	e := errorFrame(byeReadOnly.code, byeReadOnly.detail)
	want := append(e, closeFrame(CloseReadOnly, byeReadOnly.detail)...)
	if got := readN(t, far, len(want)); !bytes.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
	select {
	case err := <-s.told:
		t.Fatalf("told twice: %v", err)
	default:
	}
}
