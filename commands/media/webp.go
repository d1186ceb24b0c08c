package media

import (
	"encoding/binary"
	"io"
)

// Flags of WebP's extended header.
const (
	webpHasExif = 0x08
	webpHasXMP  = 0x04
)

// webpKept are the chunks that have to do with how the picture looks.
var webpKept = map[string]bool{"VP8 ": true, "VP8L": true, "VP8X": true, "ALPH": true, "ANIM": true, "ANMF": true, "ICCP": true}

func (s *scanner) webp() error {
	head, err := s.bytes(12)
	if err != nil {
		return err
	}
	end := int64(binary.LittleEndian.Uint32(head[4:])) + 8
	end += end & 1
	if end > s.size {
		return io.ErrUnexpectedEOF
	}
	extended := -1 // where the extended header's data stands in pieces
	s.pieces = append(s.pieces, piece{literal: head})
	for n := 0; s.at < end; n++ {
		if extended, err = s.webpChunk(n, end, extended); err != nil {
			return err
		}
	}
	if s.Width == 0 {
		return s.broken("it has no frame")
	}
	if s.Orientation > 1 && extended >= 0 {
		tiff := orientationOnly(s.Orientation)
		s.put(append(binary.LittleEndian.AppendUint32([]byte("EXIF"), uint32(len(tiff))), tiff...))
		s.pieces[extended].literal[8] |= webpHasExif
	}
	var size int64
	for _, p := range s.pieces {
		size += p.to - p.from + int64(len(p.literal))
	}
	binary.LittleEndian.PutUint32(head[4:], uint32(size-8))
	return nil
}

func (s *scanner) webpChunk(n int, end int64, extended int) (int, error) {
	start := s.at
	head, err := s.bytes(8)
	if err != nil {
		return extended, err
	}
	name, size := string(head[:4]), int64(binary.LittleEndian.Uint32(head[4:]))
	padded := size + size&1
	if s.at+padded > end {
		return extended, io.ErrUnexpectedEOF
	}
	first, err := s.bytes(int(min(size, 10)))
	if err != nil {
		return extended, err
	}
	switch {
	case n > 0 && name == "VP8X":
		return extended, s.broken("the header does not stand first")
	case n == 0 || name == "VP8 " || name == "VP8L":
		b := append(make([]byte, 12, 64), append(head, first...)...)
		w, h, err := webpPixels(append(b, make([]byte, 30)...))
		if err != nil {
			return extended, s.broken("its header can't be read")
		}
		if n > 0 && (w != s.Width || h != s.Height) {
			return extended, s.broken("its frame is not of its size")
		}
		if err := s.shown(w, h); err != nil {
			return extended, err
		}
	case name == "EXIF" && size <= pngMaxExif:
		rest, err := s.bytes(int(size) - len(first))
		if err != nil {
			return extended, err
		}
		tiff := append(first, rest...)
		if len(tiff) > 6 && string(tiff[:6]) == string(exifHead) {
			tiff = tiff[6:]
		}
		s.Orientation = orientationOf(tiff)
	}
	s.Animated = s.Animated || name == "ANIM"
	if err := s.skip(start + 8 + padded - s.at); err != nil {
		return extended, err
	}
	switch {
	case name == "VP8X" && size == 10:
		first[0] &^= webpHasExif | webpHasXMP
		extended = len(s.pieces)
		s.pieces = append(s.pieces, piece{literal: append(head, first...)})
	case webpKept[name]:
		s.keep(start, s.at)
	default:
		s.changed = true
	}
	return extended, nil
}
