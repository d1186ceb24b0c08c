package wire

import (
	"context"
	"encoding/json"

	"github.com/infinite-kanvas/kanvas/events"
)

// AppendCommit appends the frame `{"type":"commit","first","last","events":[…]}` with the commit's events after revision `after`
// (0: all of them).
func (e Encoder) AppendCommit(ctx context.Context, dst []byte, c *events.Commit, after uint64) []byte {
	first := max(c.First, after+1)
	dst = appendUint(append(dst, `{"type":"commit",`...), "first", first)
	dst = appendUint(append(dst, ','), "last", c.Last())
	dst = append(dst, `,"events":`...)
	return append(e.AppendEvents(ctx, dst, c, after), '}')
}

// AppendEvents appends a JSON array of the commit's events after revision `after`.
func (e Encoder) AppendEvents(ctx context.Context, dst []byte, c *events.Commit, after uint64) []byte {
	p := e.people(ctx)
	dst = append(dst, '[')
	some := false
	for i := range c.Events {
		rev := c.First + uint64(i)
		if rev <= after {
			continue
		}
		if some {
			dst = append(dst, ',')
		}
		some = true
		dst = p.appendEvent(dst, &c.Events[i], rev, c.At)
	}
	return append(dst, ']')
}

// AppendEvent appends one event: revision is its number in the room, at the commit's time in Unix milliseconds.
func (e Encoder) AppendEvent(ctx context.Context, dst []byte, ev *events.Event, revision uint64, at int64) []byte {
	return e.people(ctx).appendEvent(dst, ev, revision, at)
}

func (p *people) appendEvent(dst []byte, ev *events.Event, revision uint64, at int64) []byte {
	dst = appendUint(append(dst, '{'), "revision", revision)
	dst = appendString(append(dst, ','), "id", ev.ID)
	dst = appendString(append(dst, ','), "type", string(ev.Type))
	dst = appendUint(append(dst, ','), "v", uint64(max(ev.V, 1)))
	dst = appendTime(append(dst, ','), "at", at)
	dst = appendString(append(dst, `,"actor":{`...), "id", ev.Actor)
	dst = appendString(append(dst, ','), "name", p.profile(ev.Actor).Name)
	dst = append(dst, '}')
	if ev.Client != "" {
		dst = appendString(append(dst, ','), "client", ev.Client)
		dst = appendUint(append(dst, ','), "seq", ev.Seq)
	}
	if ev.Cause != "" {
		dst = appendString(append(dst, ','), "cause", string(ev.Cause))
	}
	dst = append(dst, `,"data":`...)
	return append(p.appendData(dst, ev), '}')
}

// appendData appends what clients may see of an event's payload.
func (p *people) appendData(dst []byte, ev *events.Event) []byte {
	payload := ev.Payload
	if payload == nil {
		var err error
		if payload, err = events.DecodePayload(ev.Type, ev.V, ev.Data); err != nil {
			return append(dst, '{', '}') // not known here: it might hold sealed text
		}
	}
	switch d := payload.(type) {
	case *events.ElementAddedData:
		return append(appendElement(append(dst, `{"element":`...), d.Element), '}')
	case *events.ElementPatchedData:
		return appendPatched(dst, d)
	case *events.ElementRemovedData:
		return append(appendStrings(append(dst, `{"ids":`...), d.IDs), '}')
	case *events.ChatPostedData:
		return p.appendChatData(dst, ev.Actor, d)
	case *events.CommentAddedData:
		return p.appendCommentData(dst, ev.Actor, d)
	case *events.InviteCreatedData:
		return append(appendTerms(append(dst, '{'), d.ID, d.Role, d.ExpiresAt, d.Uses), '}') // not the hash
	}
	if dst, ok := p.appendGenerationData(dst, ev.Actor, payload); ok {
		return dst
	}
	return appendPlain(dst, payload)
}

func appendPatched(dst []byte, d *events.ElementPatchedData) []byte {
	dst = appendString(append(dst, '{'), "id", d.ID)
	if len(d.Set) > 0 {
		dst = AppendMembers(append(dst, `,"set":`...), d.Set)
	}
	if len(d.Unset) > 0 {
		dst = appendStrings(append(dst, `,"unset":`...), d.Unset)
	}
	return append(dst, '}')
}

// AppendMembers appends properties as a JSON object, src as clients see it.
func AppendMembers(dst []byte, m events.Members) []byte {
	dst = append(dst, '{')
	for i := range m {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(events.AppendString(dst, m[i].Key), ':')
		dst = appendValue(dst, m[i].Key, m[i].Value)
	}
	return append(dst, '}')
}

func (p *people) appendChatData(dst []byte, actor string, d *events.ChatPostedData) []byte {
	dst = p.appendOpened(append(dst, '{'), "text", actor, d.Text)
	who := p.profile(actor)
	user, name, color := actor, who.Name, who.Color
	if d.UserID != "" { // nobody's stream: what the others were shown
		user, name, color = d.UserID, p.openedName(actor, d.Name), d.Color
	}
	dst = appendString(append(dst, ','), "user_id", user)
	dst = appendString(append(dst, ','), "name", name)
	return append(appendString(append(dst, ','), "color", color), '}')
}

func (p *people) appendCommentData(dst []byte, actor string, d *events.CommentAddedData) []byte {
	dst = appendString(append(dst, '{'), "id", d.ID)
	if d.ElementID != "" {
		dst = appendString(append(dst, ','), "element_id", d.ElementID)
	}
	dst = appendPoint(dst, d.X, d.Y)
	return append(p.appendOpened(append(dst, ','), "text", actor, d.Text), '}')
}

// appendPoint appends `,"x":…,"y":…` where they are given.
func appendPoint(dst []byte, x, y *float64) []byte {
	if x != nil {
		dst = appendFloat(append(dst, `,"x":`...), *x)
	}
	if y != nil {
		dst = appendFloat(append(dst, `,"y":`...), *y)
	}
	return dst
}

// appendPlain appends payloads that hold nothing sealed (TestNothingSealedLeaves keeps it so).
func appendPlain(dst []byte, payload any) []byte {
	b, err := json.Marshal(payload)
	if err != nil {
		return append(dst, '{', '}')
	}
	return append(dst, b...)
}

func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = events.AppendString(dst, s)
	}
	return append(dst, ']')
}

// AppendStrings appends a JSON array of strings.
func AppendStrings(dst []byte, list []string) []byte { return appendStrings(dst, list) }
