package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Claim implements Users. The guest's own stream decides it once and for all; what follows from it, the link in the user's stream and the rooms, is
// Claims' work, which is finished after a crash.
func (p *People) Claim(ctx context.Context, guest, user string) error {
	err := p.streams.change(ctx, events.User(guest), func(cs []*events.Commit) ([]events.Event, error) {
		s := foldPerson(cs)
		switch {
		case !s.known || s.deleted || s.kind != KindGuest:
			return nil, domain.Errorf(domain.CodeNotFound, "there is no such guest")
		case s.claimedBy == user:
			return nil, nil
		case s.claimedBy != "":
			return nil, domain.Errorf(domain.CodeConflict, "the guest is somebody else already")
		case user == guest:
			return nil, domain.Errorf(domain.CodeBadRequest, "a guest can't claim itself")
		}
		return []events.Event{{Type: events.UserClaimed, Actor: user, Payload: &events.UserClaimedData{By: user}}}, nil
	})
	p.Forget(guest)
	return err
}

// link notes in the user's stream that a guest is theirs.
func (p *People) link(ctx context.Context, user, guest string) error {
	return p.streams.change(ctx, events.User(user), func(cs []*events.Commit) ([]events.Event, error) {
		s := foldPerson(cs)
		for _, g := range s.guests {
			if g == guest {
				return nil, nil
			}
		}
		if s.deleted {
			return nil, nil
		}
		return []events.Event{{Type: events.UserLinked, Actor: user, Payload: &events.UserLinkedData{Guest: guest}}}, nil
	})
}

// Guests implements Users.
func (p *People) Guests(ctx context.Context, user string) ([]string, error) {
	cs, err := p.streams.read(ctx, events.User(user))
	return foldPerson(cs).guests, err
}

// RoomsOfUser yields the rooms that a person is a participant of, at least all that the log held at the time of the call.
type RoomsOfUser func(ctx context.Context, user string, yield func(room string) bool) error

// Claims gives a user what their guest has: the link in the user's stream, and the guest's role in each of its rooms. Elements stay blamed on the
// guest. All of it may be done again.
type Claims struct {
	people *People
	rooms  Rooms
	list   RoomsOfUser
}

// NewClaims returns the work that follows a claim.
func NewClaims(people *People, rooms Rooms, list RoomsOfUser) *Claims {
	return &Claims{people, rooms, list}
}

// Finish does what a claim asks for. It waits until the lists hold what the log does.
func (c *Claims) Finish(ctx context.Context, guest, user string) error {
	if err := c.people.link(ctx, user, guest); err != nil {
		return fmt.Errorf("link %s to %s: %w", guest, user, err)
	}
	var failed error
	err := c.list(ctx, guest, func(room string) bool {
		_, err := c.rooms.Do(ctx, room, Request{Actor: domain.Actor{ID: guest}, Commands: []domain.Command{domain.ClaimParticipant{User: user}}})
		var refused *domain.Error
		if errors.As(err, &refused) && (refused.Code == domain.CodeNotFound || refused.Code == domain.CodeForbidden || refused.Code == domain.CodeRoomFull) {
			return true // deleted, removed from, or no place in it: nothing to be had there
		}
		if err != nil {
			failed = fmt.Errorf("claim %s's role in %s: %w", guest, room, err)
		}
		return failed == nil
	})
	return errors.Join(failed, err)
}

// AboutClaims reports whether a record may claim a guest: what Claims' Handle wants.
func AboutClaims(rec events.Record) bool { return mentions(rec.Payload, `"user.claimed"`) }

// Handle finishes claims that a crash left half done. It is a Handler.
func (c *Claims) Handle(ctx context.Context, rec events.Record) error {
	if rec.Stream.Kind != events.KindUser || !AboutClaims(rec) {
		return nil
	}
	commit, err := decode(rec)
	if err != nil {
		return fmt.Errorf("%s: sequence %d: %w", rec.Stream, rec.Seq, err)
	}
	for i := range commit.Events {
		if d, ok := commit.Events[i].Payload.(*events.UserClaimedData); ok {
			if err := c.Finish(ctx, rec.Stream.ID, d.By); err != nil {
				return err
			}
		}
	}
	return nil
}
