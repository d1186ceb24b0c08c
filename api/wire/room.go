package wire

import (
	"context"
	"strconv"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// AppendRoom appends a Room: role is the caller's, online how many people have it open.
func AppendRoom(dst []byte, v *commands.View, role domain.Role, online int) []byte {
	r := &v.Room
	dst = appendString(append(dst, '{'), "id", r.ID)
	dst = appendString(append(dst, ','), "name", r.Name)
	dst = appendString(append(dst, ','), "description", r.Description)
	dst = appendString(append(dst, ','), "visibility", string(r.Visibility))
	dst = appendString(append(dst, ','), "default_role", string(r.DefaultRole))
	dst = appendString(append(dst, ','), "owner_id", r.OwnerID)
	dst = appendTime(append(dst, ','), "created_at", r.CreatedAt)
	dst = appendTime(append(dst, ','), "updated_at", r.UpdatedAt)
	dst = appendUint(append(dst, ','), "revision", v.Revision)
	dst = appendString(append(dst, ','), "role", string(role))
	dst = strconv.AppendInt(append(dst, `,"online":`...), int64(online), 10)
	return append(dst, '}')
}

// AppendUser appends `{"id","name","color"}`.
func AppendUser(dst []byte, id, name, color string) []byte {
	dst = appendString(append(dst, '{'), "id", id)
	dst = appendString(append(dst, ','), "name", name)
	return append(appendString(append(dst, ','), "color", color), '}')
}

// AppendParticipants appends a JSON array of `{"user_id","name","color","role","claimed_by"?,"joined_at"?}`.
func (e Encoder) AppendParticipants(ctx context.Context, dst []byte, list []domain.Participant) []byte {
	p := e.people(ctx)
	dst = append(dst, '[')
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.appendParticipant(dst, &list[i])
	}
	return append(dst, ']')
}

// AppendParticipant appends one participant.
func (e Encoder) AppendParticipant(ctx context.Context, dst []byte, d domain.Participant) []byte {
	return e.people(ctx).appendParticipant(dst, &d)
}

func (p *people) appendParticipant(dst []byte, d *domain.Participant) []byte {
	who := p.users.Profile(p.ctx, d.User)
	dst = appendString(append(dst, '{'), "user_id", d.User)
	dst = appendString(append(dst, ','), "name", who.Name)
	dst = appendString(append(dst, ','), "color", who.Color)
	dst = appendString(append(dst, ','), "role", string(d.Role))
	if who.ClaimedBy != "" {
		dst = appendString(append(dst, ','), "claimed_by", who.ClaimedBy)
	}
	if d.JoinedAt > 0 {
		dst = appendTime(append(dst, ','), "joined_at", d.JoinedAt)
	}
	return append(dst, '}')
}

// AppendChat appends a JSON array of `{"id","revision","at","user_id","name","color","text"}`, oldest first.
func (e Encoder) AppendChat(ctx context.Context, dst []byte, list []domain.ChatMessage) []byte {
	p := e.people(ctx)
	dst = append(dst, '[')
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.appendChat(dst, &list[i])
	}
	return append(dst, ']')
}

func (p *people) appendChat(dst []byte, m *domain.ChatMessage) []byte {
	dst = appendString(append(dst, '{'), "id", m.ID)
	dst = appendUint(append(dst, ','), "revision", m.Revision)
	dst = appendTime(append(dst, ','), "at", m.At)
	who := p.profile(m.User)
	user, name, color := m.User, who.Name, who.Color
	if m.UserID != "" {
		user, name, color = m.UserID, p.openedName(m.User, m.Name), m.Color
	}
	dst = appendString(append(dst, ','), "user_id", user)
	dst = appendString(append(dst, ','), "name", name)
	dst = appendString(append(dst, ','), "color", color)
	return append(p.appendOpened(append(dst, ','), "text", m.User, m.Text), '}')
}

// AppendComments appends a JSON array of `{"id","element_id"?,"x"?,"y"?,"user_id","name","at","text","resolved",…}`.
func (e Encoder) AppendComments(ctx context.Context, dst []byte, list []domain.Comment) []byte {
	p := e.people(ctx)
	dst = append(dst, '[')
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.appendComment(dst, &list[i])
	}
	return append(dst, ']')
}

func (p *people) appendComment(dst []byte, c *domain.Comment) []byte {
	dst = appendString(append(dst, '{'), "id", c.ID)
	if c.ElementID != "" {
		dst = appendString(append(dst, ','), "element_id", c.ElementID)
	}
	dst = appendPoint(dst, c.X, c.Y)
	dst = appendString(append(dst, ','), "user_id", c.User)
	dst = appendString(append(dst, ','), "name", p.profile(c.User).Name)
	dst = appendTime(append(dst, ','), "at", c.At)
	dst = p.appendOpened(append(dst, ','), "text", c.User, c.Text)
	dst = strconv.AppendBool(append(dst, `,"resolved":`...), c.Resolved)
	if c.Resolved {
		dst = appendString(append(dst, ','), "resolved_by", c.ResolvedBy)
		dst = appendTime(append(dst, ','), "resolved_at", c.ResolvedAt)
	}
	return append(dst, '}')
}
