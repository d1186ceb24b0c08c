package commands

import (
	"context"

	"github.com/infinite-kanvas/kanvas/domain"
)

// view returns the room now. The actor's goroutine calls it between two commits, where the state is durable; one View is made a revision.
func (a *actor) view() *View {
	if v := a.viewNow.Load(); v != nil {
		return v
	}
	if a.people == nil {
		a.people = peopleOf(a.room)
	}
	v := newView(a.room, a.people)
	a.viewNow.Store(v)
	return v
}

// current returns the room at a revision that is not below any that was answered before the call.
func (a *actor) current(ctx context.Context) (*View, error) {
	if v := a.viewNow.Load(); v != nil && v.Revision == a.revLast.Load() {
		return v, nil
	}
	ch := make(chan *View, 1)
	if !a.box.task(func() { ch <- a.view() }) {
		return nil, a.box.stopped()
	}
	select {
	case v := <-ch:
		return v, nil
	case <-a.done:
		select {
		case v := <-ch:
			return v, nil
		default:
			return nil, a.box.stopped()
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// people is the part of a View that changes seldom: it is made again only after events that are about people or the room itself.
type people struct {
	roles        func(string) (domain.Role, error)
	participants []domain.Participant
	invites      []domain.Invite
}

func peopleOf(r *domain.Room) *people {
	return &people{roles: r.Roles(), participants: r.Participants(), invites: r.Invites()}
}

func newView(r *domain.Room, p *people) *View {
	return &View{
		Room:         infoOf(r),
		Revision:     r.Revision(),
		Deleted:      r.Deleted(),
		At:           r.At(),
		Seq:          r.Seq(),
		Elements:     r.Elements(),
		Chat:         r.Chat(),
		Comments:     r.Comments(),
		Participants: p.participants,
		Invites:      p.invites,
		Generations:  r.Generations(),
		RoleOf:       p.roles,
	}
}

func infoOf(r *domain.Room) RoomInfo {
	return RoomInfo{
		ID: r.ID(), Name: r.Name(), Description: r.Description(),
		Visibility: r.Visibility(), DefaultRole: r.DefaultRole(), OwnerID: r.OwnerID(), Key: r.Key(),
		CreatedAt: r.CreatedAt(), UpdatedAt: r.UpdatedAt(),
	}
}
