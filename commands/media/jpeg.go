package media

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/infinite-kanvas/kanvas/domain"
)

// Markers of JPEG, after 0xFF.
const (
	jpegSOI  = 0xd8
	jpegEOI  = 0xd9
	jpegSOS  = 0xda
	jpegAPP0 = 0xe0
	jpegCOM  = 0xfe

	jpegHeads = 4096 // segments before the picture: more are nobody's camera
)

var (
	exifHead = []byte("Exif\x00\x00")
	iccHead  = []byte("ICC_PROFILE\x00")
)

// jpeg keeps what is needed to show the picture: JFIF, Adobe's transform and the colour profile of the segments for applications, and all of the others
// but comments.
func (s *scanner) jpeg() error {
	if err := s.skip(2); err != nil {
		return err
	}
	s.keep(0, 2)
	turned := false // the orientation is written
	for n := 0; ; n++ {
		if n > jpegHeads {
			return s.broken("too many segments")
		}
		start := s.at
		marker, err := s.jpegMarker()
		if err != nil {
			return err
		}
		if !turned && (marker < jpegAPP0 || marker > jpegAPP0+15) && marker != jpegCOM {
			s.jpegTurn()
			turned = true
		}
		switch {
		case marker == jpegEOI:
			if s.Width == 0 {
				return s.broken("it has no frame")
			}
			s.keep(start, s.at)
			return s.jpegRest()
		case marker == jpegSOI:
			return s.broken("a picture begins within it")
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd7:
			s.keep(start, s.at)
			continue
		}
		if err := s.jpegSegment(start, marker); err != nil {
			return err
		}
	}
}

// jpegMarker reads 0xFF, however often, and the marker's byte.
func (s *scanner) jpegMarker() (byte, error) {
	first := !s.pending
	if s.pending {
		s.at++
		s.pending = false
	}
	for ; ; first = false {
		b, err := s.r.ReadByte()
		if err != nil {
			return 0, err
		}
		s.at++
		switch {
		case first && b != 0xff:
			return 0, s.broken("a marker is missing")
		case !first && b == 0:
			return 0, s.broken("a marker is missing")
		case b != 0xff:
			return b, nil
		}
	}
}

func (s *scanner) jpegSegment(start int64, marker byte) error {
	b, err := s.bytes(2)
	if err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint16(b)) - 2
	if size < 0 {
		return s.broken("a segment has no length")
	}
	if b, err = s.bytes(size); err != nil {
		return err
	}
	switch {
	case marker == jpegAPP0+1 && bytes.HasPrefix(b, exifHead):
		if o := orientationOf(b[len(exifHead):]); s.Orientation == 1 {
			s.Orientation = o
		}
		s.changed = true
		return nil
	case marker == jpegAPP0 && !bytes.HasPrefix(b, []byte("JFIF\x00")), marker == jpegAPP0+2 && !bytes.HasPrefix(b, iccHead),
		marker > jpegAPP0 && marker < jpegAPP0+16 && marker != jpegAPP0+2 && marker != jpegAPP0+14, marker == jpegCOM:
		s.changed = true
		return nil
	case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc:
		if len(b) < 6 {
			return s.broken("the frame's header is cut")
		}
		s.Progressive = s.Progressive || marker == 0xc2
		if err := s.shown(int(binary.BigEndian.Uint16(b[3:])), int(binary.BigEndian.Uint16(b[1:]))); err != nil {
			return err
		}
	case marker == jpegSOS:
		if s.Width == 0 {
			return s.broken("it has no frame")
		}
		if err := s.jpegEntropy(); err != nil {
			return err
		}
	}
	s.keep(start, s.at)
	return nil
}

// jpegTurn writes the orientation down, where there is one, in EXIF of its own.
func (s *scanner) jpegTurn() {
	if s.Orientation == 1 {
		return
	}
	tiff := orientationOnly(s.Orientation)
	segment := binary.BigEndian.AppendUint16([]byte{0xff, jpegAPP0 + 1}, uint16(2+len(exifHead)+len(tiff)))
	s.put(append(append(segment, exifHead...), tiff...))
}

// jpegEntropy passes what stands between a scan's header and the next marker.
func (s *scanner) jpegEntropy() error {
	for {
		b, err := s.r.ReadSlice(0xff)
		s.at += int64(len(b))
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return err
		}
		next, err := s.r.Peek(1)
		if err != nil {
			return err
		}
		if c := next[0]; c == 0 || c >= 0xd0 && c <= 0xd7 {
			if err := s.skip(1); err != nil {
				return err
			}
			continue
		}
		s.at-- // the marker's 0xFF, or the first of several, belongs to what follows
		s.pending = true
		return nil
	}
}

// jpegRest leaves out what cameras put behind a picture: further pictures, a short film, zeros. Anything else makes two files of one.
func (s *scanner) jpegRest() error {
	if s.left() == 0 {
		return nil
	}
	head, err := s.r.Peek(int(min(s.left(), 16)))
	if err != nil {
		return err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0xff, jpegSOI}), len(head) >= 8 && string(head[4:8]) == "ftyp":
		s.changed = true
		return s.skip(s.left())
	}
	for s.left() > 0 {
		b, err := s.r.ReadByte()
		if err != nil {
			return err
		}
		s.at++
		if b != 0 {
			return domain.Errorf(domain.CodeBadRequest, "the %s has something else behind its end", s.ContentType)
		}
	}
	s.changed = true
	return nil
}
