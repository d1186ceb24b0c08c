package wire

import (
	"context"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// PartBytes is about how large one part of a snapshot is.
const PartBytes = 1 << 20

// Snapshot is a room's snapshot but for what differs between callers: shared by all who join at its revision. Immutable.
type Snapshot struct {
	// Parts are the ends of the frames, after the head that AppendHead makes: `"elements":[…],…}`.
	Parts [][]byte
	view  *commands.View
}

type snapshotKey struct{ epoch uint64 }

// SnapshotOf returns the encoded snapshot of a view, made once per view, and again once somebody was forgotten. The first caller's ctx bounds the look-ups of names.
func (e Encoder) SnapshotOf(ctx context.Context, v *commands.View) *Snapshot {
	return v.Cached.Get(snapshotKey{e.Users.Epoch()}, func() any { return e.encodeSnapshot(ctx, v) }).(*Snapshot)
}

// AppendHead appends the beginning of part i for a caller: with the same part of Parts it is one whole frame.
// reset says that the client's own revision is not in this room's past.
func (s *Snapshot) AppendHead(dst []byte, i int, role domain.Role, online int, reset bool) []byte {
	dst = appendUint(append(dst, `{"type":"snapshot",`...), "revision", s.view.Revision)
	if reset {
		dst = append(dst, `,"reset":true`...)
	}
	if i < len(s.Parts)-1 {
		dst = append(dst, `,"more":true`...)
	}
	dst = AppendRoom(append(dst, `,"room":`...), s.view, role, online)
	return append(dst, ',')
}

func (e Encoder) encodeSnapshot(ctx context.Context, v *commands.View) *Snapshot {
	s := &Snapshot{view: v}
	rest := v.Elements
	for {
		part, left := partOf(rest)
		s.Parts = append(s.Parts, part)
		if rest = left; len(rest) == 0 {
			break
		}
	}
	for i, part := range s.Parts[:len(s.Parts)-1] {
		s.Parts[i] = append(part, `,"chat":[],"comments":[],"participants":[]}`...)
	}
	last := s.Parts[len(s.Parts)-1]
	tail := e.AppendChat(ctx, []byte(`,"chat":`), v.Chat)
	tail = e.AppendComments(ctx, append(tail, `,"comments":`...), v.Comments)
	tail = e.AppendParticipants(ctx, append(tail, `,"participants":`...), v.Participants)
	s.Parts[len(s.Parts)-1] = append(append(last, tail...), '}')
	return s
}

// partOf encodes elements from the front of list, about PartBytes of them, and returns those left.
func partOf(list []*domain.Element) (part []byte, left []*domain.Element) {
	n, size := 0, 0
	for n < len(list) && (n == 0 || size+len(list[n].JSON()) <= PartBytes) {
		size += len(list[n].JSON()) + 8
		n++
	}
	part = make([]byte, 0, size+512)
	return AppendElements(append(part, `"elements":`...), list[:n]), list[n:]
}
