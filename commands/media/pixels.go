package media

import (
	"encoding/binary"
	"errors"
)

var errPicture = errors.New("the picture can't be read")

// webpPixels reads the first chunk's header: VP8X (extended), VP8L (lossless) or VP8 (lossy).
func webpPixels(b []byte) (width, height int, err error) {
	if len(b) < 30 {
		return 0, 0, errPicture
	}
	switch d := b[20:]; string(b[12:16]) {
	case "VP8X":
		return 1 + int(uint24(d[4:])), 1 + int(uint24(d[7:])), nil
	case "VP8L":
		if d[0] != 0x2f {
			return 0, 0, errPicture
		}
		bits := binary.LittleEndian.Uint32(d[1:])
		return 1 + int(bits&0x3fff), 1 + int(bits>>14&0x3fff), nil
	case "VP8 ":
		if d[3] != 0x9d || d[4] != 0x01 || d[5] != 0x2a {
			return 0, 0, errPicture
		}
		return int(binary.LittleEndian.Uint16(d[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(d[8:]) & 0x3fff), nil
	}
	return 0, 0, errPicture
}

func uint24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }
