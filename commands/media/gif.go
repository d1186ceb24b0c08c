package media

import "encoding/binary"

// Blocks of GIF.
const (
	gifImage     = 0x2c
	gifExtension = 0x21
	gifEnd       = 0x3b
	gifControl   = 0xf9
	gifApp       = 0xff
)

// gifApps are the extensions for applications that have to do with how the picture looks.
var gifApps = map[string]bool{"NETSCAPE2.0": true, "ANIMEXTS1.0": true, "ICCRGBG1012": true}

func (s *scanner) gif() error {
	head, err := s.bytes(13)
	if err != nil {
		return err
	}
	if err := s.shown(int(binary.LittleEndian.Uint16(head[6:])), int(binary.LittleEndian.Uint16(head[8:]))); err != nil {
		return err
	}
	if err := s.gifTable(head[10]); err != nil {
		return err
	}
	s.keep(0, s.at)
	for images := 0; ; {
		start := s.at
		kind, err := s.bytes(1)
		if err != nil {
			return err
		}
		keep := true
		switch kind[0] {
		case gifEnd:
			if images == 0 {
				return s.broken("it has no frame")
			}
			s.keep(start, s.at)
			return nil
		case gifImage:
			images++
			s.Animated = images > 1
			err = s.gifFrame()
		case gifExtension:
			keep, err = s.gifExtension()
		default:
			return s.broken("a block of no known kind")
		}
		if err != nil {
			return err
		}
		if keep {
			s.keep(start, s.at)
		} else {
			s.changed = true
		}
	}
}

// gifTable passes a table of colours.
func (s *scanner) gifTable(flags byte) error {
	if flags&0x80 == 0 {
		return nil
	}
	return s.skip(3 << (flags&7 + 1))
}

func (s *scanner) gifFrame() error {
	b, err := s.bytes(9)
	if err != nil {
		return err
	}
	at := func(i int) int { return int(binary.LittleEndian.Uint16(b[i:])) }
	if at(0)+at(4) > s.Width || at(2)+at(6) > s.Height {
		return s.broken("a frame reaches beyond it")
	}
	if err := s.gifTable(b[8]); err != nil {
		return err
	}
	if err := s.skip(1); err != nil {
		return err
	}
	return s.gifBlocks()
}

func (s *scanner) gifExtension() (keep bool, err error) {
	label, err := s.bytes(1)
	if err != nil {
		return false, err
	}
	switch label[0] {
	case gifControl:
		keep = true
	case gifApp:
		b, err := s.bytes(1)
		if err != nil {
			return false, err
		}
		name, err := s.bytes(int(b[0]))
		if err != nil {
			return false, err
		}
		keep = gifApps[string(name)]
	}
	return keep, s.gifBlocks()
}

// gifBlocks passes blocks up to the empty one.
func (s *scanner) gifBlocks() error {
	for {
		n, err := s.r.ReadByte()
		if err != nil {
			return err
		}
		s.at++
		if n == 0 {
			return nil
		}
		if err := s.skip(int64(n)); err != nil {
			return err
		}
	}
}
