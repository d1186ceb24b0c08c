package realtime

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"
)

// Frames of all sizes, written by the room's goroutine and by the writer in turns to a client that reads late: the client gets exactly the
// bytes that were queued, in order.
func TestDirectWritesKeepTheOrderWhenTheKernelIsFull(t *testing.T) {
	c, far, start := pipeConn(t, Limits{QueueBytes: 64 << 20})
	start()
	var want bytes.Buffer
	for i := range 4000 { // about 14 MB: more than the kernel takes
		frame := text(1 + i*7919%7000)
		want.Write(frame)
		c.send(frame)
		if i%3 == 0 {
			c.flushDirect()
		}
		if i%97 == 0 {
			pong := controlFrame(0x8a, []byte{byte(i)})
			if _, err := c.Write(pong); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.finish(CloseDone, "", false, nil)
	_ = far.SetReadDeadline(time.Now().Add(patience))
	var got bytes.Buffer
	for !bytes.HasSuffix(got.Bytes(), closeFrame(CloseDone, "")) {
		readSome(t, far, &got)
	}
	var text bytes.Buffer
	for rest := got.Bytes(); len(rest) > 0; {
		op, payload, left := readFrame(t, rest)
		if op == opText {
			text.Write(rest[:len(rest)-len(left)])
		} else if op != opClose && op != 0x8a {
			t.Fatalf("op %x of %d bytes after %d bytes of text", op, len(payload), text.Len())
		}
		rest = left
	}
	if !bytes.Equal(text.Bytes(), want.Bytes()) {
		t.Fatal("the frames are not those that were queued")
	}
}

func readSome(t *testing.T, far net.Conn, got *bytes.Buffer) {
	t.Helper()
	b := make([]byte, 256<<10)
	n, err := far.Read(b)
	if err != nil {
		t.Fatalf("after %d bytes: %v", got.Len(), err)
	}
	got.Write(b[:n])
}

// A busy client is read ahead; the bytes are the same, and an idle socket holds no buffer.
func TestReadingAheadLosesNothing(t *testing.T) {
	c, far, start := pipeConn(t, Limits{})
	start()
	var sent bytes.Buffer
	for i := range 50_000 {
		fmt.Fprintf(&sent, "%d,", i)
	}
	want := append([]byte(nil), sent.Bytes()...)
	wrote := make(chan error, 1)
	go func() {
		_, err := far.Write(want)
		wrote <- err
	}()
	ahead := false
	var got []byte
	p := make([]byte, readBuffer)
	for len(got) < len(want) {
		n, err := c.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
		ahead = ahead || c.in.buffer != nil
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("other bytes were read")
	}
	if !ahead {
		t.Fatal("nothing was read ahead")
	}
	if c.in.buffer != nil {
		t.Fatal("an idle socket holds a buffer")
	}
}
