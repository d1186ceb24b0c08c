package commands

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Kinds of people.
const (
	KindGuest = "guest"
	KindLocal = "local" // made by `kanvas token`
	KindClerk = "clerk"
)

// DeletedName is what others see in place of the name of a person who was deleted.
const DeletedName = "Deleted user"

// guestPrefix begins the ids of guests; nobody else's do.
const guestPrefix = "guest_"

// Bounds of the profiles kept in memory.
const (
	profilesKept    = 8192
	profileFreshFor = 30 * time.Second // then the stream is read again: another node may have changed it
	profileTimeout  = 2 * time.Second
)

// palette is the original's: a person keeps one of these colours, by the id.
var palette = [...]string{"#FF6B6B", "#4ECDC4", "#45B7D1", "#96CEB4", "#FECA57", "#FF9FF3", "#54A0FF", "#48DBFB"}

// ColorOf is the colour of a person who has chosen none.
func ColorOf(id string) string {
	h := fnv.New32a()
	h.Write([]byte(id))
	return palette[h.Sum32()%uint32(len(palette))]
}

// People implements Users.
type People struct {
	streams  *Streams
	sealer   *Sealer
	logger   *slog.Logger
	profiles *lru[string, Profile]
	dropped  atomic.Uint64 // profiles that were dropped: one read before must not be kept after
	epoch    atomic.Uint64
}

// NewPeople returns the road to the streams of people. logger may be nil.
func NewPeople(streams *Streams, sealer *Sealer, logger *slog.Logger) *People {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &People{streams: streams, sealer: sealer, logger: logger, profiles: newLRU[string, Profile](profilesKept, profileFreshFor)}
}

// CreateGuest implements Users.
func (p *People) CreateGuest(ctx context.Context, name string) (Profile, error) {
	u, err := uuid.NewRandom()
	if err != nil {
		return Profile{}, fmt.Errorf("id of a guest: %w", err)
	}
	return p.Ensure(ctx, guestPrefix+hex.EncodeToString(u[:]), KindGuest, name)
}

// Ensure implements Users. A person that is known keeps its name. Forgotten people (their key destroyed, or their stream ended by
// user.deleted) are not made again: CodeForbidden.
func (p *People) Ensure(ctx context.Context, id, kind, name string) (Profile, error) {
	if prof, ok := p.profiles.get(id); ok && prof.Name != "" && !prof.Deleted {
		return prof, nil
	}
	if !events.ValidStreamID(id) || id == domain.SystemID || (domain.Actor{ID: id}).Anonymous() {
		return Profile{}, domain.Errorf(domain.CodeBadRequest, "this can't be a user id")
	}
	name, err := personName(name)
	if err != nil {
		return Profile{}, err
	}
	var state person
	dropped := p.dropped.Load()
	err = p.streams.change(ctx, events.User(id), func(cs []*events.Commit) ([]events.Event, error) {
		if state = foldPerson(cs); state.known || state.deleted {
			return nil, nil
		}
		sealed, err := p.sealer.Seal(ctx, id, name)
		if err != nil {
			return nil, err
		}
		d := &events.UserCreatedData{Kind: kind, Name: sealed, Color: ColorOf(id)}
		state = person{known: true, name: sealed, color: d.Color}
		return []events.Event{{Type: events.UserCreated, Actor: id, Payload: d}}, nil
	})
	switch {
	case err != nil:
		return Profile{}, err
	case state.deleted:
		return Profile{}, domain.Errorf(domain.CodeForbidden, "this user was deleted")
	}
	prof := p.profile(ctx, id, state)
	p.keep(prof, dropped)
	return prof, nil
}

// keep remembers a profile that was read when so many had been dropped.
func (p *People) keep(prof Profile, dropped uint64) {
	p.profiles.put(prof.ID, prof)
	if p.dropped.Load() != dropped {
		p.profiles.drop(prof.ID)
	}
}

// Profile implements Users.
func (p *People) Profile(ctx context.Context, id string) Profile {
	if prof, ok := p.profiles.get(id); ok {
		return prof
	}
	prof := Profile{ID: id, Color: ColorOf(id)}
	if !events.ValidStreamID(id) || id == domain.SystemID || (domain.Actor{ID: id}).Anonymous() {
		return prof
	}
	found, err := p.load(ctx, id)
	if err != nil {
		p.logger.Warn("user can't be read", slog.String("event", "user_unreadable"), slog.String("userId", id), slog.Any("error", err))
		return prof
	}
	return found
}

// load reads a profile from the person's stream and keeps it.
func (p *People) load(ctx context.Context, id string) (Profile, error) {
	ctx, cancel := context.WithTimeout(ctx, profileTimeout)
	defer cancel()
	dropped := p.dropped.Load()
	cs, err := p.streams.read(ctx, events.User(id))
	if err != nil {
		return Profile{}, err
	}
	prof := p.profile(ctx, id, foldPerson(cs))
	p.keep(prof, dropped)
	return prof, nil
}

// Known reports whether there is, or was, a person of the id.
func (p *People) Known(ctx context.Context, id string) (bool, error) {
	if prof, ok := p.profiles.get(id); ok && prof.Name != "" {
		return true, nil
	}
	if !events.ValidStreamID(id) || id == domain.SystemID || (domain.Actor{ID: id}).Anonymous() {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, profileTimeout)
	defer cancel()
	cs, err := p.streams.read(ctx, events.User(id))
	return err == nil && foldPerson(cs).known, err
}

// Open implements Users.
func (p *People) Open(ctx context.Context, person string, sealed events.Sealed) (string, bool) {
	return p.sealer.Open(ctx, person, sealed)
}

// Sum implements Users.
func (p *People) Sum(ctx context.Context, person string, data []byte) (string, error) {
	return p.sealer.Sum(ctx, person, data)
}

// Forget drops the profile kept in memory, after a change; other nodes follow within 30 s.
func (p *People) Forget(id string) {
	p.dropped.Add(1)
	p.profiles.drop(id)
}

// person is the state of a user stream.
type person struct {
	known, deleted      bool
	kind                string
	name, email, avatar events.Sealed
	color               string
	asOf                int64    // when the directory last changed what is known of them, Unix ms by its clock; 0: not known
	claimedBy           string   // of a guest: the user that it turned out to be
	guests              []string // that the user claimed, in order
}

func foldPerson(cs []*events.Commit) (s person) {
	for _, c := range cs {
		for i := range c.Events {
			s.fold(c.Events[i].Payload)
		}
	}
	return s
}

func (s *person) fold(payload any) {
	switch d := payload.(type) {
	case *events.UserCreatedData:
		s.known, s.kind, s.asOf = true, d.Kind, d.AsOf
		s.name, s.email, s.avatar, s.color = d.Name, d.Email, d.Avatar, d.Color
	case *events.UserUpdatedData:
		setWhere(&s.name, d.Name)
		setWhere(&s.email, d.Email)
		setWhere(&s.avatar, d.Avatar)
		setWhere(&s.color, d.Color)
		s.asOf = max(s.asOf, d.AsOf)
	case *events.UserClaimedData:
		s.claimedBy = d.By
	case *events.UserLinkedData:
		s.guests = append(s.guests, d.Guest)
	case *events.UserDeletedData:
		s.deleted, s.name, s.email, s.avatar = true, "", "", ""
	}
}

func setWhere[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func (p *People) profile(ctx context.Context, id string, s person) Profile {
	prof := Profile{ID: id, Color: s.color, ClaimedBy: s.claimedBy, Deleted: s.deleted}
	if prof.Color == "" || s.deleted { // who is gone keeps the colour of their id alone
		prof.Color = ColorOf(id)
	}
	if s.deleted {
		prof.Name = DeletedName
		return prof
	}
	if name, ok := p.sealer.Open(ctx, id, s.name); ok {
		prof.Name = name
	}
	return prof
}

// personName trims and checks a name; the empty one is "Guest".
func personName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", domain.Errorf(domain.CodeBadRequest, "the name is not valid UTF-8")
	}
	name = strings.TrimSpace(name)
	if strings.ContainsFunc(name, unicode.IsControl) {
		return "", domain.Errorf(domain.CodeBadRequest, "the name has control characters")
	}
	if len(name) > domain.MaxPersonName {
		return "", domain.Errorf(domain.CodeTooLarge, "the name has more than %d bytes", domain.MaxPersonName)
	}
	if name == "" {
		return "Guest", nil
	}
	return name, nil
}
