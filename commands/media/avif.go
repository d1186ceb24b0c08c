package media

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

const (
	avifMaxMeta   = 1 << 20 // bytes of the box that says what is where
	avifMaxExtent = 4096    // pieces in which everything lies
)

// avifShown are the kinds of items that have to do with how the picture looks: coded pictures, and what is put together of such.
var avifShown = map[string]bool{"av01": true, "grid": true, "iovl": true, "iden": true, "tmap": true}

// avif blanks what only describes the picture where it stands: everything in such a file is referred to by its place.
func (s *scanner) avif() error {
	a := &avifBox{}
	s.meta = func(size int64) error { return s.avifMeta(a, size) }
	s.mdat = func(from, to int64) { a.data = append(a.data, [2]int64{from, to}) }
	if err := s.boxes("meta"); err != nil {
		return err
	}
	blanks, err := s.avifBlanks(a)
	if err != nil {
		return err
	}
	at := int64(0)
	for _, b := range blanks {
		s.keep(at, b.at)
		s.put(b.bytes())
		at = b.at + b.size
	}
	s.keep(at, s.size)
	return nil
}

// avifBox is what is known of a file's items.
type avifBox struct {
	described bool
	kinds     map[uint32]string
	extents   []avifExtent
	idat      [2]int64   // where the data within the box lies
	data      [][2]int64 // and that behind it
}

type avifExtent struct {
	item     uint32
	inside   bool // of the box, counted from its data's beginning
	first    bool // of the item's
	at, size int64
}

// avifMeta reads the box that says what is where.
func (s *scanner) avifMeta(a *avifBox, size int64) error {
	if a.described || size > avifMaxMeta {
		return s.broken("it is described twice, or at too great a length")
	}
	start := s.at
	b, err := s.bytes(int(size))
	if err != nil {
		return err
	}
	a.described, a.kinds = true, map[uint32]string{}
	shown := b
	ok := len(b) >= 4 && avifChildren(b[4:], func(name string, body []byte, at int) bool {
		switch at += 4; name {
		case "iinf":
			return a.readKinds(body)
		case "iloc":
			return a.readPlaces(body)
		case "idat":
			a.idat = [2]int64{start + int64(at), start + int64(at+len(body))}
			shown = slices.Concat(b[:at], b[at+len(body):]) // no data is taken for a size
		}
		return true
	})
	if !ok {
		return s.broken("what says where its parts are can't be read")
	}
	return s.shown(avifPixels(shown))
}

// avifChildren walks the boxes that another one is made of.
func avifChildren(b []byte, fn func(name string, body []byte, at int) bool) bool {
	for at := 0; at < len(b); {
		if len(b)-at < 8 {
			return false
		}
		size := int64(binary.BigEndian.Uint32(b[at:]))
		if size == 0 {
			size = int64(len(b) - at)
		}
		if size < 8 || size > int64(len(b)-at) {
			return false
		}
		if !fn(string(b[at+4:at+8]), b[at+8:at+int(size)], at+8) {
			return false
		}
		at += int(size)
	}
	return true
}

// cursor reads numbers until there are none.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) number(size int) (n uint64) {
	if size > len(c.b) || size > 8 {
		c.bad = true
		return 0
	}
	for _, b := range c.b[:size] {
		n = n<<8 | uint64(b)
	}
	c.b = c.b[size:]
	return n
}

// wide is 4 bytes from the version on in which there are more of something, else 2.
func wide(version, since uint64) int {
	if version >= since {
		return 4
	}
	return 2
}

func (a *avifBox) readKinds(b []byte) bool {
	c := &cursor{b: b}
	version := c.number(1)
	c.number(3)
	c.number(wide(version, 1))
	return !c.bad && avifChildren(c.b, func(name string, body []byte, _ int) bool {
		if name != "infe" {
			return true
		}
		e := &cursor{b: body}
		version := e.number(1)
		e.number(3)
		id := e.number(wide(version, 3))
		e.number(2)
		kind := ""
		if version >= 2 { // before, items had no kind: nothing that is shown
			kind = string(binary.BigEndian.AppendUint32(nil, uint32(e.number(4))))
		}
		if _, twice := a.kinds[uint32(id)]; twice {
			return false
		}
		a.kinds[uint32(id)] = kind
		return !e.bad
	})
}

func (a *avifBox) readPlaces(b []byte) bool {
	c := &cursor{b: b}
	version := c.number(1)
	c.number(3)
	sizes := c.number(2)
	offsets, lengths, bases, indexes := int(sizes>>12), int(sizes>>8&15), int(sizes>>4&15), int(sizes&15)
	if version == 0 {
		indexes = 0
	}
	for n := c.number(wide(version, 2)); n > 0 && !c.bad; n-- {
		e := avifExtent{item: uint32(c.number(wide(version, 2))), first: true}
		if version > 0 {
			switch c.number(2) & 15 {
			case 0:
			case 1:
				e.inside = true
			default:
				return false // within another item
			}
		}
		if c.number(2) != 0 {
			return false // in another file
		}
		base := c.number(bases)
		for left := c.number(2); left > 0 && !c.bad; left-- {
			c.number(indexes)
			at, size := base+c.number(offsets), c.number(lengths)
			if at > 1<<40 || size == 0 || size > 1<<40 || len(a.extents) >= avifMaxExtent {
				return false
			}
			e.at, e.size = int64(at), int64(size)
			a.extents = append(a.extents, e)
			e.first = false
		}
	}
	return !c.bad
}

// blank is a place in the file that is overwritten.
type blank struct {
	at, size int64
	kind     string // of the item that begins there; "" in its middle
}

func (b blank) over(other blank) bool { return b.at < other.at+other.size && other.at < b.at+b.size }

// bytes are EXIF that says nothing, or zeros.
func (b blank) bytes() []byte {
	out := make([]byte, b.size)
	if b.kind == "Exif" {
		empty := []byte{0, 0, 0, 0, 'M', 'M', 0, '*', 0, 0, 0, 8, 0, 0, 0, 0, 0, 0}
		if len(out) >= len(empty) {
			copy(out, empty)
		}
	}
	return out
}

// avifBlanks are the places of what only describes, in order. All items must lie in data, and those apart from what is shown.
func (s *scanner) avifBlanks(a *avifBox) ([]blank, error) {
	var blanks, kept []blank
	total := int64(0)
	for _, e := range a.extents {
		b := blank{at: e.at, size: e.size}
		in := slices.ContainsFunc(a.data, func(d [2]int64) bool { return b.at >= d[0] && b.at+b.size <= d[1] })
		if e.inside {
			b.at += a.idat[0]
			in = b.at+b.size <= a.idat[1]
		}
		if !in {
			return nil, s.broken("a part of it is not in the file")
		}
		switch kind := a.kinds[e.item]; {
		case avifShown[kind]:
			kept = append(kept, b)
		default:
			if e.first {
				b.kind = kind
			}
			blanks = append(blanks, b)
			total += b.size
		}
	}
	if total > avifMaxMeta {
		return nil, s.broken("it is described at too great a length")
	}
	slices.SortFunc(blanks, func(x, y blank) int { return cmp.Compare(x.at, y.at) })
	for i, b := range blanks {
		if i > 0 && b.over(blanks[i-1]) || slices.ContainsFunc(kept, b.over) {
			return nil, s.broken("its parts lie on each other")
		}
	}
	return blanks, nil
}

// avifPixels takes the largest image spatial extents property ("ispe"): the picture's own, as tiles and thumbnails are smaller.
func avifPixels(b []byte) (width, height int) {
	for {
		i := bytes.Index(b, []byte("ispe"))
		if i < 0 || i+16 > len(b) {
			return width, height
		}
		w, h := int(binary.BigEndian.Uint32(b[i+8:])), int(binary.BigEndian.Uint32(b[i+12:]))
		if w > 0 && h > 0 && w <= 1<<20 && h <= 1<<20 && w*h > width*height {
			width, height = w, h
		}
		b = b[i+4:]
	}
}
