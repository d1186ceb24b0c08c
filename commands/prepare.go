package commands

import (
	"context"
	"encoding/json"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// PrepareConfig is what a Preparation needs.
type PrepareConfig struct {
	Rooms  Rooms   // for canvas.restore
	People *People // for participant.set_role; nil: everybody is known
	Sealer *Sealer
	Assets *Assets
	// PublicURLs are the addresses under which this server is known, without a trailing slash ("https://kanvas.example"): an asset's URL below
	// one of them is ours.
	PublicURLs []string
}

// Preparation implements Preparer. Methods may be called concurrently.
type Preparation struct{ cfg PrepareConfig }

// NewPreparer returns a Preparer.
func NewPreparer(cfg PrepareConfig) *Preparation { return &Preparation{cfg: cfg} }

// Plain reports whether commands are ready as they are: nothing to seal, no picture, nothing to look up. Prepare need not be asked then. What is not
// known here is not plain.
func Plain(cs []domain.Command) bool {
	for _, c := range cs {
		switch c := c.(type) {
		case domain.PatchElement:
			for i := range c.Set {
				if c.Set[i].Key == "src" {
					return false
				}
			}
		case domain.AddElement:
			if c.Element == nil {
				continue
			}
			if _, has := c.Element.Get("src"); has {
				return false
			}
		case domain.RemoveElements, domain.ReorderElements, domain.Undo, domain.Redo:
		default:
			return false
		}
	}
	return true
}

// Prepare implements Preparer. The commands given are not modified. Errors are *domain.Error where the client is to blame; then nothing of the list
// may be submitted, though pictures before the bad command may have been stored (the same picture sent again is the same asset).
func (p *Preparation) Prepare(ctx context.Context, roomID string, a domain.Actor, role domain.Role, cs []domain.Command) ([]domain.Command, error) {
	if Plain(cs) {
		return cs, nil
	}
	out := make([]domain.Command, len(cs))
	for i, c := range cs {
		ready, err := p.one(ctx, by{roomID, a, role}, c)
		if err != nil {
			return nil, err
		}
		out[i] = ready
	}
	return out, nil
}

// by is who asks, where.
type by struct {
	room  string
	actor domain.Actor
	role  domain.Role
}

func (p *Preparation) one(ctx context.Context, b by, c domain.Command) (domain.Command, error) {
	switch c := c.(type) {
	case domain.AddElement:
		if c.Element == nil {
			return c, nil
		}
		value, ok := c.Element.Get("src")
		if !ok {
			return c, nil
		}
		src, err := p.source(ctx, b, c.CommandName(), value)
		if err == nil && src != nil {
			c.Element = c.Element.With(events.Members{{Key: "src", Value: src}}, nil, 0)
		}
		return c, err
	case domain.PatchElement:
		return p.patch(ctx, b, c)
	case domain.PostChat:
		return p.chat(ctx, b, c)
	case domain.AddComment:
		if len(c.Text) > domain.MaxCommentText {
			return nil, domain.Errorf(domain.CodeTooLarge, "a comment has at most %d bytes", domain.MaxCommentText)
		}
		var err error
		c.Sealed, err = p.seal(ctx, b, c, c.Text)
		return c, err
	case domain.Restore:
		return p.restore(ctx, b, c)
	case domain.SetRole:
		return c, p.known(ctx, b, c)
	default:
		return c, nil
	}
}

func (p *Preparation) patch(ctx context.Context, b by, c domain.PatchElement) (domain.Command, error) {
	for i, m := range c.Set {
		if m.Key != "src" {
			continue
		}
		src, err := p.source(ctx, b, c.CommandName(), m.Value)
		if err != nil {
			return nil, err
		}
		if src != nil {
			c.Set = append(events.Members(nil), c.Set...)
			c.Set[i].Value = src
		}
	}
	return c, nil
}

func (p *Preparation) chat(ctx context.Context, b by, c domain.PostChat) (domain.Command, error) {
	if len(c.Text) > domain.MaxChatText {
		return nil, domain.Errorf(domain.CodeTooLarge, "a message has at most %d bytes", domain.MaxChatText)
	}
	if len(c.Name) > domain.MaxPersonName {
		return nil, domain.Errorf(domain.CodeTooLarge, "a name has at most %d bytes", domain.MaxPersonName)
	}
	var err error
	if c.Sealed, err = p.seal(ctx, b, c, c.Text); err != nil {
		return nil, err
	}
	c.SealedName, err = p.seal(ctx, b, c, c.Name)
	return c, err
}

// seal makes no key for who may not write anyway: Decide will refuse the command.
func (p *Preparation) seal(ctx context.Context, b by, c domain.Command, text string) (events.Sealed, error) {
	if !domain.Allowed(b.role, c.CommandName()) {
		return "", domain.Errorf(domain.CodeForbidden, "a %s may not do this", roleName(b.role))
	}
	return p.cfg.Sealer.Seal(ctx, b.actor.ID, text)
}

func (p *Preparation) restore(ctx context.Context, b by, c domain.Restore) (domain.Command, error) {
	if !domain.Allowed(b.role, c.CommandName()) {
		return nil, domain.Errorf(domain.CodeForbidden, "a %s may not do this", roleName(b.role))
	}
	v, err := p.cfg.Rooms.ViewAt(ctx, b.room, c.Revision)
	if err != nil {
		return nil, err
	}
	c.Elements = v.Elements
	return c, nil
}

// known refuses a role for somebody this server has never seen: a mistyped id would be a participant for ever. Whoever is to come for the first time
// gets an invitation instead. Nobody but who may set roles learns which ids are known.
func (p *Preparation) known(ctx context.Context, b by, c domain.SetRole) error {
	if p.cfg.People == nil || !domain.Allowed(b.role, c.CommandName()) {
		return nil
	}
	known, err := p.cfg.People.Known(ctx, c.User)
	if err != nil || known {
		return err
	}
	v, err := p.cfg.Rooms.View(ctx, b.room)
	if err != nil {
		return err
	}
	if _, err := v.RoleOf(c.User); isCode(err, domain.CodeForbidden) {
		return nil // was a participant once
	}
	for i := range v.Participants {
		if v.Participants[i].User == c.User {
			return nil
		}
	}
	return domain.Errorf(domain.CodeNotFound, "user_id: nobody of this id has ever been here")
}

// source returns what is to stand in place of a src, or nil where it may stay.
func (p *Preparation) source(ctx context.Context, b by, command string, value json.RawMessage) (json.RawMessage, error) {
	src, err := p.readSource(value)
	if err != nil || src.kind == foreignSource {
		return nil, err
	}
	id := src.asset
	if src.kind == dataSource {
		if !domain.Allowed(b.role, command) {
			return nil, domain.Errorf(domain.CodeForbidden, "a %s may not do this", roleName(b.role))
		}
		id, err = p.cfg.Assets.Store(ctx, b.room, b.actor, src.data)
	} else {
		err = p.mayShow(ctx, b, id)
	}
	if err != nil {
		return nil, err
	}
	p.cfg.Assets.willShow(id, b.room)
	return events.AppendString(nil, assetScheme+id), nil
}

func roleName(r domain.Role) string {
	if r == "" {
		return "stranger"
	}
	return string(r)
}
