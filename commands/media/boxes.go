package media

import (
	"encoding/binary"
	"io"
)

const boxesAtMost = 100_000

func (s *scanner) mp4() error {
	if err := s.boxes("moov"); err != nil {
		return err
	}
	s.keep(0, s.size)
	return nil
}

// boxes walks the boxes of ISO base media, which must end where the file ends. One of the boxes must be the one needed.
func (s *scanner) boxes(needed string) error {
	found := false
	for n := 0; s.left() > 0; n++ {
		if n > boxesAtMost {
			return s.broken("too many boxes")
		}
		name, size, err := s.box(s.size)
		if err != nil {
			return err
		}
		found = found || name == needed
		end := s.at + size
		switch {
		case name == "moov":
			err = s.movie(end)
		case name == "meta" && s.meta != nil:
			err = s.meta(size)
		case name == "mdat" && s.mdat != nil:
			s.mdat(s.at, end)
		}
		if err != nil {
			return err
		}
		if err := s.skip(end - s.at); err != nil {
			return err
		}
	}
	if !found {
		return s.broken("it has no " + needed)
	}
	return nil
}

// box reads a box's header and returns how much of it follows.
func (s *scanner) box(end int64) (name string, size int64, err error) {
	start := s.at
	b, err := s.bytes(8)
	if err != nil {
		return "", 0, err
	}
	size, name = int64(binary.BigEndian.Uint32(b)), string(b[4:])
	switch size {
	case 0:
		size = end - start
	case 1:
		if b, err = s.bytes(8); err != nil {
			return "", 0, err
		}
		size = int64(binary.BigEndian.Uint64(b))
	}
	for _, c := range []byte(name) {
		if (c < 0x20 || c > 0x7e) && c != 0xa9 {
			return "", 0, s.broken("a box without a name")
		}
	}
	if size < s.at-start || size > end-start {
		if size > end-start && size > 0 {
			return "", 0, io.ErrUnexpectedEOF
		}
		return "", 0, s.broken("a box of no size")
	}
	return name, size - (s.at - start), nil
}

// movie looks for the size in the headers of tracks: the largest is the video's.
func (s *scanner) movie(end int64) error {
	for s.at < end {
		name, size, err := s.box(end)
		if err != nil {
			return err
		}
		next := s.at + size
		switch {
		case name == "trak":
			if err := s.movie(next); err != nil {
				return err
			}
		case name == "tkhd" && size >= 84 && size <= 256:
			b, err := s.bytes(int(size))
			if err != nil {
				return err
			}
			w, h := int(binary.BigEndian.Uint32(b[size-8:])>>16), int(binary.BigEndian.Uint32(b[size-4:])>>16)
			if w*h > s.Width*s.Height {
				if err := s.shown(w, h); err != nil {
					return err
				}
			}
		}
		if err := s.skip(next - s.at); err != nil {
			return err
		}
	}
	return nil
}

// Elements of Matroska.
const (
	ebmlHeader  = 0x1a45dfa3
	ebmlSegment = 0x18538067
)

// webm walks the two elements that such a file is made of. The second's size is not known where it was recorded live.
func (s *scanner) webm() error {
	for _, want := range []uint32{ebmlHeader, ebmlSegment} {
		b, err := s.bytes(4)
		if err != nil {
			return err
		}
		if binary.BigEndian.Uint32(b) != want {
			return s.broken("it has no segment")
		}
		size, err := s.ebmlSize()
		if err != nil {
			return err
		}
		if size < 0 {
			size = s.left()
		}
		if err := s.skip(size); err != nil {
			return err
		}
	}
	s.keep(0, s.at)
	return nil
}

// ebmlSize reads a size of 1 to 8 bytes; -1 is unknown.
func (s *scanner) ebmlSize() (int64, error) {
	first, err := s.r.ReadByte()
	if err != nil {
		return 0, err
	}
	s.at++
	n := 0
	for mask := byte(0x80); mask != 0 && first&mask == 0; mask >>= 1 {
		n++
	}
	if n > 7 {
		return 0, s.broken("a size that can't be read")
	}
	rest, err := s.bytes(n)
	if err != nil {
		return 0, err
	}
	size, all := int64(first)&(1<<(7-n)-1), int64(1)<<(7-n)-1
	for _, b := range rest {
		size, all = size<<8|int64(b), all<<8|0xff
	}
	if size == all {
		return -1, nil
	}
	return size, nil
}
