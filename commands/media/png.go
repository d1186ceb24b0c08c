package media

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// pngKept are the chunks that have to do with how the picture looks; all others are left out.
var pngKept = map[string]bool{
	"IHDR": true, "PLTE": true, "IDAT": true, "IEND": true, "tRNS": true, "cHRM": true, "gAMA": true, "iCCP": true, "sBIT": true, "sRGB": true, "bKGD": true,
	"hIST": true, "pHYs": true, "sPLT": true, "cICP": true, "mDCV": true, "cLLI": true, "acTL": true, "fcTL": true, "fdAT": true,
}

const (
	pngMaxChunks = 1 << 20
	pngMaxExif   = 64 << 10 // of it that is looked at
)

func (s *scanner) png() error {
	if err := s.skip(8); err != nil {
		return err
	}
	s.keep(0, 8)
	data, turned := false, false
	for n := 0; ; n++ {
		start := s.at
		head, err := s.bytes(8)
		if err != nil {
			return err
		}
		size, name := int64(binary.BigEndian.Uint32(head)), string(head[4:])
		switch {
		case n > pngMaxChunks:
			return s.broken("too many chunks")
		case (n == 0) != (name == "IHDR"):
			return s.broken("the header does not stand first, once")
		case name == "IHDR" && size != 13, name == "IEND" && (size != 0 || !data):
			return s.broken(name)
		case size+4 > s.left():
			return io.ErrUnexpectedEOF
		case name == "IDAT" && !turned:
			if s.Orientation > 1 {
				s.put(pngChunk("eXIf", orientationOnly(s.Orientation)))
			}
			data, turned = true, true
		}
		if err := s.pngChunk(head[4:], size); err != nil {
			return err
		}
		s.Animated = s.Animated || name == "acTL"
		if pngKept[name] {
			s.keep(start, s.at)
		} else {
			s.changed = true
		}
		if name == "IEND" {
			return nil
		}
	}
}

// pngChunk reads a chunk's data and checks its sum.
func (s *scanner) pngChunk(name []byte, size int64) error {
	sum := crc32.NewIEEE()
	sum.Write(name)
	var head []byte
	if string(name) == "IHDR" || string(name) == "eXIf" {
		b, err := s.bytes(int(min(size, pngMaxExif)))
		if err != nil {
			return err
		}
		sum.Write(b)
		head = b
	}
	n, err := io.CopyN(sum, s.r, size-int64(len(head)))
	s.at += n
	if err != nil {
		return err
	}
	want, err := s.bytes(4)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(want) != sum.Sum32() {
		return s.broken("the sum of a chunk is wrong")
	}
	switch string(name) {
	case "IHDR":
		w, h := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
		if w > 1<<31-1 || h > 1<<31-1 {
			return s.broken("it has no size")
		}
		return s.shown(int(w), int(h))
	case "eXIf":
		s.Orientation = orientationOf(head)
	}
	return nil
}

func pngChunk(name string, data []byte) []byte {
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), name...)
	b = append(b, data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}
