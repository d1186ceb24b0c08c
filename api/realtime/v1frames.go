package realtime

import (
	"strconv"

	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Frames of the v1 protocol, whole, ready to be queued.

func errorFrame(code domain.Code, detail string) []byte {
	b := append(newFrame(96), `{"type":"error","code":`...)
	b = events.AppendString(b, string(code))
	b = events.AppendString(append(b, `,"detail":`...), detail)
	return finishFrame(append(b, '}'))
}

func rejectFrame(seq uint64, code domain.Code, detail string) []byte {
	b := append(newFrame(96), `{"type":"reject","seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = events.AppendString(append(b, `,"code":`...), string(code))
	b = events.AppendString(append(b, `,"detail":`...), detail)
	return finishFrame(append(b, '}'))
}

func ackFrame(seq, revision uint64, dropped []string) []byte {
	b := append(newFrame(64), `{"type":"ack","seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = strconv.AppendUint(append(b, `,"revision":`...), revision, 10)
	if len(dropped) > 0 {
		b = wire.AppendStrings(append(b, `,"dropped":`...), dropped)
	}
	return finishFrame(append(b, '}'))
}

func pongFrame(t []byte, revision uint64) []byte {
	b := append(newFrame(64), `{"type":"pong"`...)
	if len(t) > 0 {
		b = append(append(b, `,"t":`...), t...)
	}
	b = strconv.AppendUint(append(b, `,"revision":`...), revision, 10)
	return finishFrame(append(b, '}'))
}

func roleFrame(role domain.Role) []byte {
	b := events.AppendString(append(newFrame(48), `{"type":"role","role":`...), string(role))
	return finishFrame(append(b, '}'))
}

func welcomeFrame(p *peer, revision uint64, resume string, l *Limits) []byte {
	b := append(newFrame(512), `{"type":"welcome","user":`...)
	b = append(b, p.user...)
	b = events.AppendString(append(b, `,"role":`...), string(p.Role()))
	b = events.AppendString(append(b, `,"session":`...), p.session)
	b = strconv.AppendUint(append(b, `,"revision":`...), revision, 10)
	b = events.AppendString(append(b, `,"resume":`...), resume)
	b = append(b, `,"limits":{"frame_bytes":`...)
	frame := l.OtherFrame
	if p.mayEdit() {
		frame = l.EditorFrame
	}
	b = strconv.AppendInt(b, int64(frame), 10)
	for _, n := range []struct {
		name string
		v    int
	}{
		{"element_bytes", domain.MaxElementBytes}, {"elements", domain.MaxElements}, {"room_bytes", domain.MaxRoomBytes},
		{"chat_bytes", domain.MaxChatText}, {"commands_per_list", domain.MaxCommandsPerList}, {"in_flight", l.InFlight},
		{"frame_messages", l.FrameMessages},
	} {
		b = append(append(append(b, `,"`...), n.name...), `":`...)
		b = strconv.AppendInt(b, int64(n.v), 10)
	}
	if !l.RatesOff {
		b = strconv.AppendFloat(append(b, `,"commands_per_second":`...), l.CommandRate, 'f', -1, 64)
		b = strconv.AppendInt(append(b, `,"command_burst":`...), int64(l.CommandBurst), 10)
	}
	return finishFrame(append(b, `}}`...))
}

// appendPresent appends {"session","user","role"} of a peer.
func appendPresent(b []byte, p *peer) []byte {
	b = events.AppendString(append(b, `{"session":`...), p.session)
	b = append(append(b, `,"user":`...), p.user...)
	b = events.AppendString(append(b, `,"role":`...), string(p.Role()))
	return append(b, '}')
}

func appendPresents(b []byte, list []*peer) []byte {
	b = append(b, '[')
	for i, p := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPresent(b, p)
	}
	return append(b, ']')
}

func onlineFrame(list []*peer) []byte {
	b := appendPresents(append(newFrame(64+192*len(list)), `{"type":"presence","online":`...), list)
	return finishFrame(append(b, '}'))
}

func presenceFrame(joined, left []*peer) []byte {
	b := appendPresents(append(newFrame(64+192*(len(joined)+len(left))), `{"type":"presence","joined":`...), joined)
	b = appendPresents(append(b, `,"left":`...), left)
	return finishFrame(append(b, '}'))
}

// appendPosition appends an ephemeral message with what p showed after the tick `since`; nothing where there is nothing.
func appendPosition(b []byte, p *peer, since uint64) []byte {
	cursor, viewport := p.changed(since)
	if cursor == nil && viewport == nil {
		return b
	}
	b = events.AppendString(append(b, `{"type":"ephemeral","session":`...), p.session)
	b = append(append(b, `,"user":`...), p.user...)
	if cursor != nil {
		b = append(append(b, `,"cursor":`...), cursor...)
	}
	if viewport != nil {
		b = append(append(b, `,"viewport":`...), viewport...)
	}
	return append(b, `},`...)
}

// appendPreviews appends a preview message for every element p showed values of after the tick `since`.
func appendPreviews(b []byte, p *peer, since uint64) []byte {
	for id, v := range p.previews {
		if v.tick <= since {
			continue
		}
		b = events.AppendString(append(b, `{"type":"preview","session":`...), p.session)
		b = events.AppendString(append(b, `,"id":`...), id)
		b = wire.AppendMembers(append(b, `,"set":`...), v.set)
		b = append(b, `},`...)
	}
	return b
}
