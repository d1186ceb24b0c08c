package realtime

import (
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// Durable messages of old clients but image:update. The reader has prepared their commands and counted them in the peer's flight.

// addMail is an image:add on its way to the room.
type addMail struct {
	p    *peer
	cmd  domain.AddElement
	m    *updateMail // for an element that exists
	size int
}

func (m *addMail) deliver(*room) {
	p := m.p
	h, ok := p.half.(*partiesHalf)
	if !ok || p.gone || h.items == nil {
		p.flight.release(m.size)
		return
	}
	id := m.cmd.Element.ID()
	if it := h.items[id]; it != nil {
		// It is there already: sent twice after a reconnect, or somebody else's. With the same content nothing is to be done; otherwise it is
		// taken as an update, as what the client knew of the element tells what it meant by it; and the sender learns what there is.
		if it.el == nil || !domain.SameContent(it.base(), m.cmd.Element) {
			m.m.answer = true
			h.update(p, partiesOf(p), m.m)
		}
		p.flight.release(m.size)
		return
	}
	h.items[id] = &item{id: id, adding: &adding{p: p, el: m.cmd.Element}}
	early := partiesOf(p).early()
	h.submit(p, m.size, m.cmd, func(err error) {
		it := h.items[id]
		mine := it != nil && it.el == nil && it.adding.p == p
		if mine {
			h.drop(it) // refused, or an element that old clients aren't shown has this id
		}
		if err != nil {
			h.refuse(p, "image:add", id, err)
		} else if mine {
			h.refuse(p, "image:add", id, domain.Errorf(domain.CodeConflict, "the id is another element's"))
		} else if early {
			h.syncAgain(p)
		}
	})
}

// remove asks for an element's removal.
func (h *partiesHalf) remove(p *peer, id string, size int) {
	it := h.items[id]
	if it == nil {
		p.flight.release(size) // gone already: done
		return
	}
	h.flushItem(it)
	it.gone = p
	early := partiesOf(p).early()
	h.submit(p, size, domain.RemoveElements{IDs: []string{id}}, func(err error) {
		if it := h.items[id]; it != nil && it.gone == p {
			it.gone = nil
		}
		if err != nil {
			h.refuse(p, "image:remove", id, err)
		} else if early {
			h.syncAgain(p)
		}
	})
}

// flushItem has an item's pending values stored before a command that comes now, so that undoing it brings them back.
func (h *partiesHalf) flushItem(it *item) {
	if it.pending() {
		h.flush(true)
	}
}

// submit hands in one command. Where the room doesn't exist, the first one makes it. answer runs in the room's goroutine, after the
// commit; size bytes of the peer's flight are given back then.
func (h *partiesHalf) submit(p *peer, size int, c domain.Command, answer func(err error)) {
	list := []domain.Command{c}
	birth := h.room.head == 0 && !h.creating
	if birth {
		h.creating = true
		list = append([]domain.Command{birthOf(h.room.id)}, list...)
	}
	r := h.room
	r.watch.Submit(commands.Request{Actor: domain.Actor{ID: p.who.UserID}, Commands: list}, func(_ commands.Result, err error) {
		r.post(funcMail(func(*room) {
			if birth {
				h.creating = false
			}
			if code, _ := reason(err); err != nil && birth && code == domain.CodeConflict && r.head > 0 {
				h.submit(p, size, c, answer) // somebody else has made the room meanwhile
				return
			}
			p.flight.release(size)
			answer(err)
			p.settled()
		}))
	})
}

// birthOf makes a room that is born by connecting to it: unlisted, everybody who knows its id may edit.
func birthOf(id string) domain.CreateRoom {
	return domain.CreateRoom{Name: "Room " + id[:min(4, len(id))], Visibility: domain.Unlisted, DefaultRole: domain.RoleEditor}
}

// refuse sends p the truth about an element in place of what it asked for. The reason goes to the log and the metrics.
func (h *partiesHalf) refuse(p *peer, kind, id string, err error) {
	code, detail := reason(err)
	h.room.hub.refusedFrame(h.room.id, p.who.UserID, kind, code, detail)
	x := partiesOf(p)
	if p.gone || x == nil || id == "" || h.items == nil {
		return
	}
	h.seq++
	frame := []byte(nil)
	switch it := h.items[id]; {
	case it == nil || it.el == nil:
		frame = imageFrame("image:remove", id)
	case kind == "image:remove":
		it.heard.note(h.seq, 0)
		frame = h.elementFrame("image:add", it)
	default:
		it.heard.note(h.seq, 0)
		frame = h.elementFrame("image:update", it)
	}
	x.told = h.seq
	if x.live {
		h.tell(p, x, frame)
	} else {
		p.send(frame) // behind the stream under way
	}
	h.askLater()
}

// refusedFrame notes a frame of an old client that was not taken: its client can't be told why.
func (h *Hub) refusedFrame(room, user, kind string, code domain.Code, detail string) {
	h.met.refusals.WithLabelValues(string(code)).Inc()
	h.log.Info("frame_refused", "roomId", room, "userId", user, "kind", kind, "code", string(code), "detail", detail)
}
