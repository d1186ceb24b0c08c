package realtime

import (
	"encoding/binary"
	"errors"
)

var errTooFast = errors.New("realtime: too many frames")

// pace counts the frames that a client sends, of every kind: the reader's.
type pace struct {
	limits *Limits
	now    func() int64 // Unix ms
	head   [14]byte     // of the frame whose header is being read
	had    int          // bytes of it
	skip   uint64       // bytes of a payload yet to come

	second int64 // that frames were counted in
	frames int
	over   int // seconds in a row with too many
}

// tooFast takes note of what was read and reports whether the client sent more than FrameRate frames for FrameSeconds seconds in a row.
func (p *pace) tooFast(b []byte) bool {
	l := p.limits
	if l.RatesOff {
		return false
	}
	n := p.begun(b)
	if n == 0 {
		return false
	}
	if sec := p.now() / 1000; sec != p.second {
		if p.frames <= l.FrameRate || sec != p.second+1 {
			p.over = 0
		}
		p.second, p.frames = sec, 0
	}
	before := p.frames
	if p.frames += n; before <= l.FrameRate && p.frames > l.FrameRate {
		p.over++
	}
	return p.over >= l.FrameSeconds
}

// begun returns how many frames' headers end in b, the connection's next bytes.
func (p *pace) begun(b []byte) (frames int) {
	for len(b) > 0 {
		if p.skip > 0 {
			n := min(p.skip, uint64(len(b)))
			p.skip -= n
			b = b[n:]
			continue
		}
		p.head[p.had] = b[0]
		p.had++
		b = b[1:]
		if size, whole := payloadOf(p.head[:p.had]); whole {
			p.skip, p.had = size, 0
			frames++
		}
	}
	return frames
}

// payloadOf reads a frame's header; whole is false where there is more of it to come.
func payloadOf(head []byte) (size uint64, whole bool) {
	if len(head) < 2 {
		return 0, false
	}
	const masked = 0x80
	size = uint64(head[1] &^ masked)
	need := 2
	switch size {
	case 126:
		need = 4
	case 127:
		need = 10
	}
	if head[1]&masked != 0 {
		need += 4
	}
	switch {
	case len(head) < need:
		return 0, false
	case size == 126:
		size = uint64(binary.BigEndian.Uint16(head[2:]))
	case size == 127:
		size = binary.BigEndian.Uint64(head[2:])
	}
	return size, true
}
