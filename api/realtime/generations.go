package realtime

import (
	"strconv"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// ShowProgress tells everybody who has the room open here, by v1, how a generation stands. It may be dropped, and is not repeated: what counts is in
// commits. Any goroutine; it does not block.
func (h *Hub) ShowProgress(p commands.GenerationProgress) {
	h.mu.Lock()
	r := h.rooms[p.Room]
	h.mu.Unlock()
	if r == nil {
		return
	}
	r.post(funcMail(func(r *room) {
		frame := progressFrame(p)
		for _, peer := range r.peers {
			if x := v1Of(peer); x != nil && x.live && peer.ending == nil && peer.conn.sendEphemeral(frame, new(receipt)) {
				peer.touch()
			}
		}
	}))
}

// progressFrame is `{"type":"generation","id","status","position"?}`.
func progressFrame(p commands.GenerationProgress) []byte {
	b := events.AppendString(append(newFrame(96), `{"type":"generation","id":`...), p.ID)
	b = events.AppendString(append(b, `,"status":`...), string(p.Status))
	if p.Position > 0 {
		b = strconv.AppendInt(append(b, `,"position":`...), int64(p.Position), 10)
	}
	return finishFrame(append(b, '}'))
}

// Old clients are told which pictures are being made, by the messages with which they tell each other.

// fillWaiting takes from a view which elements wait for a generation.
func (h *partiesHalf) fillWaiting(v *commands.View) {
	h.waiting = make(map[string]string, len(v.Generations))
	for _, g := range v.Generations {
		if g.Status != domain.GenerationUnknown && g.Status != domain.GenerationCanceled {
			h.waiting[g.ID] = g.ElementID
		}
	}
}

// sendWaiting tells a newcomer which pictures are being made.
func (h *partiesHalf) sendWaiting(p *peer) {
	for _, element := range h.waiting {
		p.send(imageFrame("generation:start", element))
	}
}

// generation takes in an event of a generation; what is said of it comes after what the commit does to elements.
func (d *delta) generation(payload any) {
	switch data := payload.(type) {
	case *events.GenerationRequestedData:
		d.h.waiting[data.ID] = data.Element
		d.said = append(d.said, imageFrame("generation:start", data.Element))
	case *events.GenerationSucceededData:
		d.complete(data.ID)
	case *events.GenerationFailedData:
		d.complete(data.ID)
	case *events.GenerationCanceledData:
		d.complete(data.ID)
	case *events.GenerationUnknownData:
		d.complete(data.ID)
	}
}

func (d *delta) complete(id string) {
	if element, ok := d.h.waiting[id]; ok {
		delete(d.h.waiting, id)
		d.said = append(d.said, imageFrame("generation:complete", element))
	}
}
