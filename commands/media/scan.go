package media

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/infinite-kanvas/kanvas/domain"
)

// Limits of what is taken.
const (
	MaxPixels     = 64_000_000 // width × height, where they can be read
	MaxImageBytes = 100 << 20
	MaxVideoBytes = 500 << 20

	sniffed   = 1024 // bytes from which a type is told
	readAhead = 256 << 10
)

// MaxBytes is how large a file of the type may be.
func (t Type) MaxBytes() int64 {
	if t.Video() {
		return MaxVideoBytes
	}
	return MaxImageBytes
}

// Found is what Scan found.
type Found struct {
	Type
	Width, Height int   // pixels as they are shown, after turning; 0 unknown (some video)
	Orientation   int   // 1 to 8 as in EXIF; 1 where nothing is said
	Animated      bool  // a picture that moves
	Progressive   bool  // a JPEG that must be held in whole while it is decoded
	Size          int64 // bytes of what Edited gives
	pieces        []piece
	changed       bool
}

// piece is bytes of the file, or bytes of ours where literal is not nil.
type piece struct {
	from, to int64
	literal  []byte
}

// Changed reports whether anything was left out: if not, Edited gives what Scan read.
func (f *Found) Changed() bool { return f.changed }

// Edited gives the file without what is nobody's business; r gives the same bytes that Scan read.
func (f *Found) Edited(r io.Reader) io.Reader { return &edited{r: r, pieces: f.pieces} }

type edited struct {
	r      io.Reader
	at     int64
	pieces []piece
	now    io.Reader
}

func (e *edited) Read(p []byte) (int, error) {
	for {
		if e.now == nil {
			if len(e.pieces) == 0 {
				return 0, io.EOF
			}
			if err := e.next(); err != nil {
				return 0, err
			}
		}
		n, err := e.now.Read(p)
		if errors.Is(err, io.EOF) {
			if l, ok := e.now.(*io.LimitedReader); ok && l.N > 0 {
				return n, io.ErrUnexpectedEOF
			}
			e.now, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (e *edited) next() error {
	p := e.pieces[0]
	e.pieces = e.pieces[1:]
	if p.literal != nil {
		e.now = &literalReader{p.literal}
		return nil
	}
	if skip := p.from - e.at; skip > 0 {
		if _, err := io.CopyN(io.Discard, e.r, skip); err != nil {
			return err
		}
	}
	e.now, e.at = &io.LimitedReader{R: e.r, N: p.to - p.from}, p.to
	return nil
}

type literalReader struct{ b []byte }

func (l *literalReader) Read(p []byte) (int, error) {
	if len(l.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, l.b)
	l.b = l.b[n:]
	return n, nil
}

// Scan reads a file of size bytes to its end; what it may skip it does not read where r is an io.Seeker at the file's start. Errors have CodeBadRequest (not one of Types, broken, cut, or with something behind its end) or
// CodeTooLarge; others are r's.
func Scan(r io.Reader, size int64) (*Found, error) {
	s := &scanner{r: bufio.NewReaderSize(r, readAhead), src: r, size: size}
	head, err := s.r.Peek(int(min(size, sniffed)))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	t, ok := Sniff(head)
	if !ok {
		return nil, domain.Errorf(domain.CodeBadRequest, "this is no png, jpeg, webp, gif, avif, mp4 or webm")
	}
	if size > t.MaxBytes() {
		return nil, domain.Errorf(domain.CodeTooLarge, "a file of type %s has at most %d bytes", t.ContentType, t.MaxBytes())
	}
	s.Type, s.Orientation = t, 1
	walk := map[Type]func(*scanner) error{typePNG: (*scanner).png, typeJPEG: (*scanner).jpeg, typeGIF: (*scanner).gif, typeWebP: (*scanner).webp, typeAVIF: (*scanner).avif, typeMP4: (*scanner).mp4, typeWebM: (*scanner).webm}[t]
	switch err := walk(s); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, domain.Errorf(domain.CodeBadRequest, "the %s ends in the middle", t.ContentType)
	case err != nil:
		return nil, err
	}
	if s.at != size {
		return nil, domain.Errorf(domain.CodeBadRequest, "the %s has something else behind its end", t.ContentType)
	}
	if _, err := s.r.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("media: more than %d bytes came: %w", size, errors.Join(err, io.ErrShortBuffer))
	}
	return s.found(), nil
}

// scanner walks a file and notes what of it is kept.
type scanner struct {
	Found
	r    *bufio.Reader
	src  io.Reader // below r
	at   int64
	size int64

	pending bool // the byte at at is read already (JPEG)

	meta func(size int64) error // reads a box of that name, and
	mdat func(from, to int64)   // takes note of one, where they are set (AVIF)
}

func (s *scanner) found() *Found {
	f := s.Found
	if f.Orientation >= 5 {
		f.Width, f.Height = f.Height, f.Width
	}
	for _, p := range f.pieces {
		f.Size += p.to - p.from + int64(len(p.literal))
	}
	return &f
}

func (s *scanner) broken(why string) error {
	return domain.Errorf(domain.CodeBadRequest, "the %s is broken: %s", s.ContentType, why)
}

// shown takes the size of the picture, before anything is made of it.
func (s *scanner) shown(width, height int) error {
	if width <= 0 || height <= 0 {
		return s.broken("it has no size")
	}
	if int64(width)*int64(height) > MaxPixels {
		return domain.Errorf(domain.CodeTooLarge, "a picture has at most %d pixels, this one has %d × %d", MaxPixels, width, height)
	}
	s.Width, s.Height = width, height
	return nil
}

// keep notes that the bytes are kept; neighbours become one piece.
func (s *scanner) keep(from, to int64) {
	if n := len(s.pieces); n > 0 && s.pieces[n-1].literal == nil && s.pieces[n-1].to == from {
		s.pieces[n-1].to = to
		return
	}
	if from < to {
		s.pieces = append(s.pieces, piece{from: from, to: to})
	}
}

func (s *scanner) put(literal []byte) {
	s.pieces, s.changed = append(s.pieces, piece{literal: literal}), true
}

func (s *scanner) left() int64 { return s.size - s.at }

// bytes reads n bytes; the slice is the caller's. n must be small.
func (s *scanner) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	got, err := io.ReadFull(s.r, b)
	s.at += int64(got)
	return b, err
}

func (s *scanner) skip(n int64) error {
	if n > s.left() {
		return io.ErrUnexpectedEOF
	}
	if seeker, ok := s.src.(io.Seeker); ok && n > readAhead { // a film, of a file that is at hand
		ahead := int64(s.r.Buffered())
		if _, err := seeker.Seek(n-ahead, io.SeekCurrent); err != nil {
			return err
		}
		s.r.Reset(s.src)
		s.at += n
		return nil
	}
	for n > 0 {
		step := int(min(n, 1<<30))
		got, err := s.r.Discard(step)
		s.at += int64(got)
		n -= int64(got)
		if err != nil {
			return err
		}
	}
	return nil
}
