package realtime

import (
	"bytes"
	"testing"
)

// readFrame takes one server frame apart, as RFC 6455 has it.
func readFrame(t *testing.T, b []byte) (op byte, payload, rest []byte) {
	t.Helper()
	op, n, head := b[0], int(b[1]), 2
	switch n {
	case 126:
		n, head = int(b[2])<<8|int(b[3]), 4
		if n < 126 {
			t.Fatalf("length %d not in the shortest form", n)
		}
	case 127:
		n, head = 0, 10
		for _, c := range b[2:10] {
			n = n<<8 | int(c)
		}
		if n < 1<<16 {
			t.Fatalf("length %d not in the shortest form", n)
		}
	}
	return op, b[head : head+n], b[head+n:]
}

func TestFramesHaveTheShortestHeader(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 20} {
		message := bytes.Repeat([]byte{'x'}, n)
		one := finishFrame(append(newFrame(n), message...))
		op, payload, rest := readFrame(t, one)
		if op != opText || !bytes.Equal(payload, message) || len(rest) != 0 {
			t.Fatalf("%d bytes: op %x, %d bytes, %d left", n, op, len(payload), len(rest))
		}
		if again := appendFrame(nil, message); !bytes.Equal(again, one) {
			t.Fatalf("%d bytes: appendFrame makes another frame", n)
		}
		half := n / 2
		split := append(finishSplit(append(newFrame(0), message[:half]...), n-half), message[half:]...)
		if !bytes.Equal(split, one) {
			t.Fatalf("%d bytes: finishSplit makes another frame", n)
		}
	}
}

func TestCloseFrameIsCutToAControlFrame(t *testing.T) {
	b := closeFrame(CloseTooSlow, string(bytes.Repeat([]byte{'y'}, 300)))
	op, payload, rest := readFrame(t, b)
	if op != opClose || len(payload) != maxControl || len(rest) != 0 || int(payload[0])<<8|int(payload[1]) != int(CloseTooSlow) {
		t.Fatalf("op %x, %d bytes", op, len(payload))
	}
}
