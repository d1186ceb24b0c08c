package realtime

import "encoding/binary"

// Frames are built here, header and all, so that the same bytes go to every socket of a protocol; the library below only reads,
// and writes its own control frames through conn.Write.

const (
	opText  = 0x81 // FIN and opcode
	opClose = 0x88
	opPing  = 0x89

	frameHead  = 10  // room for the longest header of a server's frame
	maxControl = 125 // bytes of a control frame's payload
)

// newFrame returns a buffer to append a text message to; finishFrame makes a frame of it. size is a guess.
func newFrame(size int) []byte { return make([]byte, frameHead, frameHead+size) }

// finishFrame puts the header before the message in b (made by newFrame) and returns the whole frame.
func finishFrame(b []byte) []byte { return finishSplit(b, 0) }

// finishSplit does the same for a message that goes on for tail more bytes in another slice.
func finishSplit(b []byte, tail int) []byte {
	n := len(b) - frameHead + tail
	switch {
	case n < 126:
		b = b[frameHead-2:]
		b[1] = byte(n)
	case n < 1<<16:
		b = b[frameHead-4:]
		b[1] = 126
		binary.BigEndian.PutUint16(b[2:], uint16(n))
	default:
		b = b[frameHead-10:]
		b[1] = 127
		binary.BigEndian.PutUint64(b[2:], uint64(n))
	}
	b[0] = opText
	return b
}

// headLength is how many bytes of a frame that finishFrame made come before its message.
func headLength(frame []byte) int {
	switch frame[1] {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

// appendFrame appends message as a whole text frame: several in one slice are written as one.
func appendFrame(dst, message []byte) []byte {
	switch n := len(message); {
	case n < 126:
		dst = append(dst, opText, byte(n))
	case n < 1<<16:
		dst = append(dst, opText, 126, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, opText, 127), uint64(n))
	}
	return append(dst, message...)
}

// controlFrame makes a ping or close frame; payload is cut to what a control frame may hold.
func controlFrame(op byte, payload []byte) []byte {
	payload = payload[:min(len(payload), maxControl)]
	return append([]byte{op, byte(len(payload))}, payload...)
}

func closeFrame(code CloseCode, reason string) []byte {
	return controlFrame(opClose, append([]byte{byte(code >> 8), byte(code)}, reason...))
}
