package events

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"
)

const (
	sumHexLen = 2 * sha256.Size
	sumName   = `,"sum":"`
	// tailLen is the length of what follows the summed bytes but for the closing brace: `,"sum":"…"}`.
	tailLen = len(sumName) + sumHexLen + len(`"}`)
)

// summer is a SHA-256 with its buffers, pooled so that a commit costs no allocation for its sum.
type summer struct {
	h   hash.Hash
	raw [sha256.Size]byte
	hex [sumHexLen]byte
	in  [sumHexLen]byte
}

var summers = sync.Pool{New: func() any { return &summer{h: sha256.New()} }}

var brace = []byte("}")

// sum computes the hex sum over prev, body and a closing brace. The result is valid until the summer is put back.
func (s *summer) sum(prev, body []byte) []byte {
	s.h.Reset()
	s.h.Write(prev)
	s.h.Write(body)
	s.h.Write(brace)
	hex.Encode(s.hex[:], s.h.Sum(s.raw[:0]))
	return s.hex[:]
}

// appendSum ends a commit whose bytes are body, but for the closing brace, with its sum.
func appendSum(body []byte, prev string) []byte {
	s := summers.Get().(*summer)
	sum := s.sum(s.in[:copy(s.in[:], prev)], body)
	body = append(append(append(body, sumName...), sum...), `"}`...)
	summers.Put(s)
	return body
}

// splitTail splits payload into the summed bytes without closing brace, and the sum.
func splitTail(payload []byte) (body, sum []byte, ok bool) {
	n := len(payload) - tailLen
	if n < 0 {
		return nil, nil, false
	}
	tail := payload[n:]
	sum = tail[len(sumName) : tailLen-2]
	return payload[:n], sum, string(tail[:len(sumName)]) == sumName && string(tail[tailLen-2:]) == `"}` && isSum(sum)
}

// isSum reports whether b is a sum as we write it: lower-case hex.
func isSum[T string | []byte](b T) bool {
	if len(b) != sumHexLen {
		return false
	}
	for i := 0; i < len(b); i++ {
		if ch := b[i]; (ch < '0' || ch > '9') && (ch < 'a' || ch > 'f') {
			return false
		}
	}
	return true
}

// checkSum verifies that sum is the sum of prev and body. prev and body are parts of a payload.
func checkSum(prev, body, sum []byte) bool {
	s := summers.Get().(*summer)
	ok := string(s.sum(prev, body)) == string(sum)
	summers.Put(s)
	return ok
}

// VerifyLink checks that c follows prev in their stream: the sum, the revision without a gap, and a time that doesn't run backwards.
// A nil prev means that c must be the stream's first. Sums are compared, not computed: Decode has done that. Errors wrap ErrLink.
func VerifyLink(prev, c *Commit) error {
	if prev == nil {
		prev = &Commit{}
		if c.First != 1 {
			return fmt.Errorf("%w: first commit starts at revision %d", ErrLink, c.First)
		}
	} else if c.First != prev.Last()+1 {
		return fmt.Errorf("%w: revision %d follows %d", ErrLink, c.First, prev.Last())
	}
	if c.Prev != prev.Sum {
		return fmt.Errorf("%w: commit at revision %d has prev %.64q, the commit before has sum %.64q", ErrLink, c.First, c.Prev, prev.Sum)
	}
	if c.At < prev.At {
		return fmt.Errorf("%w: commit at revision %d is %d ms older than the commit before", ErrLink, c.First, prev.At-c.At)
	}
	return nil
}
