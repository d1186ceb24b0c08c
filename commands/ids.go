package commands

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
)

// idSource makes UUIDv7 that rise strictly within this process, also within a millisecond and where the clock runs backwards.
// Safe for concurrent use.
type idSource struct {
	clock Clock

	mu      sync.Mutex
	ms      uint64 // time part of the last id
	counter uint16 // 12 bits: rises within ms
	random  *bufio.Reader
	id      [16]byte // the one in the making
}

func newIDSource(clock Clock) *idSource {
	return &idSource{clock: clock, random: bufio.NewReaderSize(rand.Reader, 4096)}
}

// next returns a new id in its text form.
func (s *idSource) next() string {
	s.mu.Lock()
	b := &s.id
	ms := uint64(max(s.clock(), 0))
	switch {
	case ms > s.ms:
		s.ms, s.counter = ms, 0
	case s.counter == 0xfff:
		s.ms++ // 4,096 ids in a millisecond: the next ones borrow from the future
		s.counter = 0
	default:
		s.counter++
	}
	binary.BigEndian.PutUint64(b[0:8], s.ms<<16|0x7000|uint64(s.counter))
	// crypto/rand never fails on the systems we run on; it ends the process where it does.
	if _, err := io.ReadFull(s.random, b[8:]); err != nil {
		panic(fmt.Sprintf("commands: no randomness: %v", err))
	}
	b[8] = b[8]&0x3f | 0x80
	text := formatUUID(b)
	s.mu.Unlock()
	return text
}

func formatUUID(b *[16]byte) string {
	var t [36]byte
	hex.Encode(t[0:8], b[0:4])
	hex.Encode(t[9:13], b[4:6])
	hex.Encode(t[14:18], b[6:8])
	hex.Encode(t[19:23], b[8:10])
	hex.Encode(t[24:36], b[10:16])
	t[8], t[13], t[18], t[23] = '-', '-', '-', '-'
	return string(t[:])
}
