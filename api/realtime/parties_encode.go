package realtime

import (
	"bytes"
	"context"
	"strconv"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Frames of the old protocol, whole, ready to be queued.

const assetSource = `"asset:` // how a src of ours begins in the log

// shownType reports whether old clients know this type of element.
func shownType(typ string) bool { return typ == "image" || typ == "video" }

// elementFrame is image:add or image:update with the item's live state.
func (h *partiesHalf) elementFrame(kind string, it *item) []byte {
	b := newFrame(64 + len(it.base().JSON()) + 96)
	b = append(append(append(b, `{"type":"`...), kind...), `","data":`...)
	first := true
	it.each(func(key string, value []byte) {
		if first {
			b, first = append(b, '{'), false
		} else {
			b = append(b, ',')
		}
		b = append(events.AppendString(b, key), ':')
		if key == "src" && bytes.HasPrefix(value, []byte(assetSource)) {
			asset := string(value[len(assetSource) : len(value)-1])
			if asset != it.asset || it.key != h.room.key {
				it.asset, it.key, it.url = asset, h.room.key, h.room.assetURL(asset, h.room.key)
			}
			b = events.AppendString(b, it.url)
			return
		}
		b = append(b, value...)
	})
	return finishFrame(append(b, "}}"...))
}

// assetURL is the absolute address of an asset for old clients, under the room's key of that number.
func (r *room) assetURL(asset string, key uint64) string {
	if r.hub.cfg.AssetURL == nil {
		return "/v1/assets/" + asset
	}
	return r.hub.cfg.AssetURL(r.id, asset, key)
}

func imageFrame(kind, id string) []byte {
	b := append(append(append(newFrame(64+len(id)), `{"type":"`...), kind...), `","data":{"imageId":`...)
	return finishFrame(append(events.AppendString(b, id), "}}"...))
}

func presenceJoin(dst []byte, user, color, name string) []byte {
	b := events.AppendString(append(make([]byte, 0, 160), `{"type":"presence:join","data":{"userId":`...), user)
	b = events.AppendString(append(b, `,"cursor":null,"color":`...), color)
	b = events.AppendString(append(b, `,"name":`...), name)
	return appendFrame(dst, append(b, "}}"...))
}

func presenceLeave(user string) []byte {
	b := events.AppendString(append(newFrame(64+len(user)), `{"type":"presence:leave","data":{"userId":`...), user)
	return finishFrame(append(b, "}}"...))
}

func connectionInfo(user, color, name string) []byte {
	b := events.AppendString(append(newFrame(160), `{"type":"connection:info","data":{"userId":`...), user)
	b = events.AppendString(append(b, `,"color":`...), color)
	b = events.AppendString(append(b, `,"name":`...), name)
	return finishFrame(append(b, "}}"...))
}

// appendPositions appends the messages with what p showed after the tick since. scratch is for one message.
func appendOldPositions(dst, scratch []byte, p *peer, since uint64) (_, _ []byte) {
	cursor, viewport := p.changed(since)
	if cursor != nil {
		b := events.AppendString(append(scratch[:0], `{"type":"cursor:move","data":{"userId":`...), shownID(p))
		b = append(append(b, `,"cursor":`...), cursor...)
		b = events.AppendString(append(b, `,"color":`...), p.who.Color)
		b = events.AppendString(append(b, `,"name":`...), p.who.Name)
		scratch = append(b, "}}"...)
		dst = appendFrame(dst, scratch)
	}
	if viewport != nil {
		b := events.AppendString(append(scratch[:0], `{"type":"viewport:change","data":{"userId":`...), shownID(p))
		b = append(append(b, `,"viewport":`...), viewport...)
		scratch = append(b, "}}"...)
		dst = appendFrame(dst, scratch)
	}
	return dst, scratch
}

// fullKey and chatKey are for what is encoded once a view.
type (
	fullKey struct{}
	chatKey struct{ epoch uint64 }
)

// historyKept is how many chat messages a newcomer gets.
const historyKept = 100

// fullFrame is sync:full with what a view shows, encoded once for all who are sent it.
func (r *room) fullFrame(v *commands.View) []byte {
	return v.Cached.Get(fullKey{}, func() any {
		size := 128
		for _, e := range v.Elements {
			size += len(e.JSON()) + 64
		}
		b := append(newFrame(size), `{"type":"sync:full","data":{"images":[`...)
		first := true
		for _, e := range v.Elements {
			if !shownType(e.Type()) {
				continue
			}
			if !first {
				b = append(b, ',')
			}
			first = false
			b = r.appendShown(b, e, v.Room.Key)
		}
		return finishFrame(append(b, `],"viewport":{"x":0,"y":0,"scale":1}}}`...))
	}).([]byte)
}

// appendShown appends a stored element as old clients are shown it, its asset's address under the room's key of that number. Canonical JSON begins with id, type and z, so the rest is copied whole.
func (r *room) appendShown(b []byte, e *domain.Element, under uint64) []byte {
	id, _ := e.Get("id")
	src, _ := e.Get("src")
	b = append(append(b, `{"id":`...), id...)
	all := e.JSON()
	if skip := len(`{"id":,"type":"","z":""`) + len(id) + len(e.Type()) + len(e.Z()); e.Z() != "" && !bytes.HasPrefix(src, []byte(assetSource)) && skip < len(all) {
		return append(b, all[skip:]...)
	}
	for key, value := range e.Members {
		switch key {
		case "id", "type", "z":
			continue
		}
		b = append(events.AppendString(append(b, ','), key), ':')
		if key == "src" && bytes.HasPrefix(value, []byte(assetSource)) {
			b = events.AppendString(b, r.assetURL(string(value[len(assetSource):len(value)-1]), under))
			continue
		}
		b = append(b, value...)
	}
	return append(b, '}')
}

// historyFrame is chat:history of a view, encoded once, and again once somebody was forgotten.
func (r *room) historyFrame(ctx context.Context, v *commands.View) []byte {
	return v.Cached.Get(chatKey{r.hub.cfg.Users.Epoch()}, func() any {
		list := v.Chat[max(0, len(v.Chat)-historyKept):]
		b := append(newFrame(64+256*len(list)), `{"type":"chat:history","data":[`...)
		for i := range list {
			if i > 0 {
				b = append(b, ',')
			}
			b = r.appendChat(ctx, b, &list[i])
		}
		return finishFrame(append(b, "]}"...))
	}).([]byte)
}

// appendChat appends a ChatMessage. A text whose key is gone is empty.
func (r *room) appendChat(ctx context.Context, b []byte, m *domain.ChatMessage) []byte {
	users := r.hub.cfg.Users
	text, _ := users.Open(ctx, m.User, m.Text)
	user, name, color := m.UserID, "", m.Color
	if user == "" {
		who := users.Profile(ctx, m.User)
		user, name, color = m.User, who.Name, who.Color
	} else {
		name = openedName(ctx, users, m)
	}
	b = events.AppendString(append(b, `{"id":`...), m.ID)
	b = events.AppendString(append(b, `,"userId":`...), user)
	b = events.AppendString(append(b, `,"name":`...), name)
	b = events.AppendString(append(b, `,"color":`...), color)
	b = events.AppendString(append(b, `,"text":`...), text)
	b = strconv.AppendInt(append(b, `,"timestamp":`...), m.At, 10)
	return append(b, '}')
}

// openedName is the name that was shown of who wrote a message without a user id.
func openedName(ctx context.Context, users commands.Users, m *domain.ChatMessage) string {
	name, ok := users.Open(ctx, m.User, m.Name)
	if !ok {
		return commands.DeletedName
	}
	return name
}

// chatStream writes chat:new: opening the text may need IO, so the first writer that gets to it encodes it for all.
type chatStream struct {
	make func(ctx context.Context) []byte
	done bool
}

func (s *chatStream) next(ctx context.Context) ([][]byte, error) {
	if s.done {
		return nil, nil
	}
	s.done = true
	return [][]byte{s.make(ctx)}, nil
}

func (s *chatStream) ended(error) {}

// fullStream writes sync:full, and chat:history where chat is set, at the socket's own pace; then the peer is up to date as of the message
// that seq numbers. Without a view it only marks the place in the queue.
type fullStream struct {
	h    *partiesHalf
	p    *peer
	view *commands.View
	chat bool
	seq  uint64
	done bool
}

func (s *fullStream) next(ctx context.Context) ([][]byte, error) {
	if s.done || s.view == nil {
		return nil, nil
	}
	s.done = true
	s.h.room.hub.met.snapshots.Inc()
	parts := [][]byte{s.h.room.fullFrame(s.view)}
	if s.chat {
		parts = append(parts, s.h.room.historyFrame(ctx, s.view))
	}
	return parts, nil
}

func (s *fullStream) ended(err error) {
	if err != nil {
		return // the socket is closing
	}
	s.h.room.post(funcMail(func(*room) { s.h.caughtUp(s.p, s.seq) }))
}
