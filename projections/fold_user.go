package projections

import "github.com/infinite-kanvas/kanvas/events"

// userDelta is what a batch does to one row of users. With created set, all columns are; nil columns are left as they are otherwise.
type userDelta struct {
	created                    bool
	email, name, avatar, color *string
	kind, at                   string
	deleted                    any // time; the rest is purged then
	claimedBy                  any // of a guest: the user that it turned out to be
	revision                   uint64
}

func (f *fold) addUser(ch *change) {
	u := f.users.get(ch.stream.ID)
	u.revision = ch.last
	for i := range ch.facts {
		fc := &ch.facts[i]
		switch d := fc.event.Payload.(type) {
		case *events.UserCreatedData:
			*u = userDelta{created: true, kind: d.Kind, at: FormatTime(ch.commit.At), revision: ch.last}
			u.email, u.name, u.avatar = fc.text(&d.Email), fc.text(&d.Name), fc.text(&d.Avatar)
			u.color = &d.Color
		case *events.UserUpdatedData:
			keep(&u.email, fc.text(d.Email))
			keep(&u.name, fc.text(d.Name))
			keep(&u.avatar, fc.text(d.Avatar))
			keep(&u.color, d.Color)
		case *events.UserClaimedData:
			f.userStubs.get(ch.stream.ID)
			u.claimedBy = f.person(d.By)
		case *events.UserLinkedData:
			f.userStubs.get(ch.stream.ID)
		case *events.UserDeletedData:
			f.userStubs.get(ch.stream.ID) // may be all that is ever heard of them
			u.deleted = FormatTime(ch.commit.At)
		}
	}
}

// text is the opened form of sealed, nil where that is.
func (fc *fact) text(sealed *events.Sealed) *string {
	if sealed == nil {
		return nil
	}
	s := fc.opened[*sealed]
	return &s
}
