package commands

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Longest texts that are taken over from a directory, in bytes; longer ones are left out.
const (
	maxEmail  = 320
	maxAvatar = 2048
)

// DirectoryUser is a person as the directory that they sign in at has them (Clerk).
type DirectoryUser struct {
	ID                  string
	Name, Email, Avatar string // "" where there is none
	AsOf                int64  // when the directory last changed them, Unix ms by its clock
}

// DirectoryChange is what a directory tells of one person.
type DirectoryChange struct {
	User    DirectoryUser
	Deleted bool
	// Delivery is the id of the message that told it: the same one again changes nothing. Empty for what was asked for.
	Delivery string
}

// ApplyDirectory takes over what the directory says: the person is made where it is unknown, and changed where the news are newer than what is known.
// Messages may come again and in any order: an older one never wins, and nobody comes back from having been deleted.
func (p *People) ApplyDirectory(ctx context.Context, c DirectoryChange) error {
	id := c.User.ID
	if !ValidDirectoryID(id) {
		return domain.Errorf(domain.CodeBadRequest, "this can't be a user id of a directory")
	}
	u := c.User.cleaned()
	done := events.Done{User: id, Key: c.Delivery}
	err := p.streams.changeOnce(ctx, events.User(id), done, func(cs []*events.Commit) ([]events.Event, error) {
		s := foldPerson(cs)
		switch {
		case s.deleted:
			return nil, nil
		case c.Deleted:
			return []events.Event{{Type: events.UserDeleted, Actor: id, Payload: &events.UserDeletedData{}}}, nil
		case !s.known:
			return p.directoryCreates(ctx, u)
		case u.AsOf <= s.asOf:
			return nil, nil
		}
		return p.directoryUpdates(ctx, &s, u)
	})
	p.Forget(id)
	return err
}

// ValidDirectoryID reports whether a directory may call a person so: it can't speak for guests, nobody or the system.
func ValidDirectoryID(id string) bool {
	return events.ValidStreamID(id) && id != domain.SystemID && !(domain.Actor{ID: id}).Anonymous() && !strings.HasPrefix(id, guestPrefix)
}

func (p *People) directoryCreates(ctx context.Context, u DirectoryUser) ([]events.Event, error) {
	d := &events.UserCreatedData{Kind: KindClerk, Color: ColorOf(u.ID), AsOf: u.AsOf}
	for _, part := range []struct {
		to   *events.Sealed
		text string
	}{{&d.Name, u.Name}, {&d.Email, u.Email}, {&d.Avatar, u.Avatar}} {
		sealed, err := p.sealer.Seal(ctx, u.ID, part.text)
		if err != nil {
			return nil, err
		}
		*part.to = sealed
	}
	return []events.Event{{Type: events.UserCreated, Actor: u.ID, Payload: d}}, nil
}

// directoryUpdates notes the time also where nothing else changed: what is older than it must not win later.
func (p *People) directoryUpdates(ctx context.Context, s *person, u DirectoryUser) ([]events.Event, error) {
	d := &events.UserUpdatedData{AsOf: u.AsOf}
	for _, part := range []struct {
		to   **events.Sealed
		was  events.Sealed
		text string
	}{{&d.Name, s.name, u.Name}, {&d.Email, s.email, u.Email}, {&d.Avatar, s.avatar, u.Avatar}} {
		if text, ok := p.sealer.Open(ctx, u.ID, part.was); ok && text == part.text {
			continue
		}
		sealed, err := p.sealer.Seal(ctx, u.ID, part.text)
		if err != nil {
			return nil, err
		}
		*part.to = &sealed
	}
	return []events.Event{{Type: events.UserUpdated, Actor: u.ID, Payload: d}}, nil
}

// cleaned makes of a directory's user what we would take from anybody: people are named elsewhere, so nothing is refused, but shortened or left out.
func (u DirectoryUser) cleaned() DirectoryUser {
	u.Name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return -1
		}
		return r
	}, u.Name))
	for len(u.Name) > domain.MaxPersonName {
		_, size := utf8.DecodeLastRuneInString(u.Name)
		u.Name = u.Name[:len(u.Name)-size]
	}
	if u.Name == "" {
		u.Name = NameOf(u.ID)
	}
	if len(u.Email) > maxEmail || !utf8.ValidString(u.Email) {
		u.Email = ""
	}
	if len(u.Avatar) > maxAvatar || !strings.HasPrefix(u.Avatar, "https://") || !utf8.ValidString(u.Avatar) {
		u.Avatar = ""
	}
	return u
}

// NameOf is what a person is called who gives no name.
func NameOf(id string) string { return "User " + id[max(len(id)-4, 0):] }
