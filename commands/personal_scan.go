package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// personal is one archive in the making.
type personal struct {
	cfg      PersonalConfig
	id       string
	mine     map[string]bool // ids: the person's, and their guests'
	activity *json.Encoder

	people      map[string]*personAt
	rooms       map[string]*personalRoom // all rooms; Mine says whether they were in it
	chat        []personalText
	comments    []personalText
	generations map[string]*personalGeneration // by room/id
	made        map[string][]string            // ids of elements that they added, by room
	assets      map[string][]*events.Commit
}

// personAt is the person, or a guest of theirs.
type personAt struct {
	person
	created int64 // Unix ms
}

type personalRoom struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Role    string `json:"role"` // "" where they are in it no more
	Owner   bool   `json:"owner"`
	Since   string `json:"since,omitempty"`
	Deleted bool   `json:"deleted,omitempty"`
	mine    bool
	owner   string
}

type personalText struct {
	Room     string `json:"room_id"`
	Revision uint64 `json:"revision"`
	At       string `json:"at"`
	As       string `json:"as"` // which id wrote it
	ID       string `json:"id"`
	Text     string `json:"text"`
}

type personalGeneration struct {
	Room    string          `json:"room_id"`
	ID      string          `json:"id"`
	At      string          `json:"at"`
	As      string          `json:"as"`
	Model   string          `json:"model"`
	Request json.RawMessage `json:"request,omitempty"`
	Status  events.Type     `json:"status"` // the newest event
	Assets  []string        `json:"assets,omitempty"`
	Seed    string          `json:"seed,omitempty"`
	Cost    int64           `json:"cost"`
	Failure string          `json:"failure,omitempty"`
}

// personalEvent is a line of activity.jsonl.
type personalEvent struct {
	Stream   string      `json:"stream"`
	Revision uint64      `json:"revision"`
	At       string      `json:"at"`
	Type     events.Type `json:"type"`
	Actor    string      `json:"actor"`
	Data     any         `json:"data"`
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func timeText(ms int64) string { return string(events.AppendTime(nil, ms)) }

// record takes one commit of the log.
func (x *personal) record(ctx context.Context, rec events.Record) error {
	c, err := decode(rec)
	if err != nil {
		return fmt.Errorf("%s: sequence %d: %w", rec.Stream, rec.Seq, err)
	}
	switch rec.Stream.Kind {
	case events.KindUser:
		x.user(rec.Stream.ID, c)
	case events.KindAsset:
		x.asset(rec.Stream.ID, c)
	}
	for i := range c.Events {
		e, revision := &c.Events[i], c.First+uint64(i)
		if rec.Stream.Kind == events.KindRoom {
			x.room(ctx, rec.Stream.ID, e, revision, c.At)
		}
		if !x.mine[e.Actor] && !x.spent(e) {
			continue
		}
		err := x.activity.Encode(personalEvent{rec.Stream.String(), revision, timeText(c.At), e.Type, e.Actor, x.opened(ctx, e)})
		if err != nil {
			return err
		}
	}
	return nil
}

// spent reports whether the event is of money that they spent: the server writes it down.
func (x *personal) spent(e *events.Event) bool {
	d, ok := e.Payload.(*events.SpendingRecordedData)
	return ok && x.mine[d.User]
}

func (x *personal) user(id string, c *events.Commit) {
	if !x.mine[id] {
		return
	}
	u := x.people[id]
	if u == nil {
		u = &personAt{created: c.At}
		x.people[id] = u
	}
	for i := range c.Events {
		u.fold(c.Events[i].Payload)
	}
}

// asset keeps the stream of an asset that is theirs: its first event says whose it is.
func (x *personal) asset(id string, c *events.Commit) {
	if c.First == 1 {
		a := domain.FoldAsset([]*events.Commit{c})
		if owner := ownerOf(&a); owner == "" || !x.mine[owner] {
			return
		}
	} else if x.assets[id] == nil {
		return
	}
	x.assets[id] = append(x.assets[id], c)
}

// open is the text of what they wrote; "" where it can't be opened.
func (x *personal) open(ctx context.Context, by string, sealed events.Sealed) string {
	text, _ := x.cfg.Sealer.Open(ctx, by, sealed)
	return text
}

// opened is an event's payload with what is sealed in it opened.
func (x *personal) opened(ctx context.Context, e *events.Event) any {
	open := func(s events.Sealed) events.Sealed { return events.Sealed(x.open(ctx, e.Actor, s)) }
	switch d := e.Payload.(type) {
	case *events.ChatPostedData:
		o := *d
		o.Text, o.Name = open(d.Text), open(d.Name)
		return o
	case *events.CommentAddedData:
		o := *d
		o.Text = open(d.Text)
		return o
	case *events.GenerationRequestedData:
		o := *d
		o.Request = open(d.Request)
		return o
	case *events.UserCreatedData:
		o := *d
		o.Name, o.Email, o.Avatar = open(d.Name), open(d.Email), open(d.Avatar)
		return o
	case *events.UserUpdatedData:
		o := *d
		for _, s := range []**events.Sealed{&o.Name, &o.Email, &o.Avatar} {
			if *s != nil {
				text := open(**s)
				*s = &text
			}
		}
		return o
	}
	return e.Payload
}

// room takes an event of a room.
func (x *personal) room(ctx context.Context, id string, e *events.Event, revision uint64, at int64) {
	r := x.rooms[id]
	if r == nil {
		r = &personalRoom{ID: id}
		x.rooms[id] = r
	}
	r.fold(e, at, x.mine)
	if x.generation(ctx, id, e, at) || !x.mine[e.Actor] {
		return
	}
	text := personalText{Room: id, Revision: revision, At: timeText(at), As: e.Actor}
	switch d := e.Payload.(type) {
	case *events.ChatPostedData:
		text.ID, text.Text = e.ID, x.open(ctx, e.Actor, d.Text)
		x.chat = append(x.chat, text)
	case *events.CommentAddedData:
		text.ID, text.Text = d.ID, x.open(ctx, e.Actor, d.Text)
		x.comments = append(x.comments, text)
	case *events.ElementAddedData:
		var element struct{ ID string }
		if json.Unmarshal(d.Element, &element) == nil {
			x.made[id] = append(x.made[id], element.ID)
		}
	}
}

func (r *personalRoom) fold(e *events.Event, at int64, mine map[string]bool) {
	enter := func(user, role string) {
		if mine[user] {
			if r.Role == "" {
				r.Since = timeText(at)
			}
			r.mine, r.Role = true, role
		}
	}
	switch d := e.Payload.(type) {
	case *events.RoomCreatedData:
		r.Name, r.owner = d.Name, d.Owner
		enter(d.Owner, string(domain.RoleOwner))
	case *events.RoomUpdatedData:
		setWhere(&r.Name, d.Name)
	case *events.RoomTransferredData:
		r.owner = d.Owner
	case *events.RoomDeletedData:
		r.Deleted = true
	case *events.ParticipantJoinedData:
		enter(d.User, d.Role)
	case *events.ParticipantRoleChangedData:
		enter(d.User, d.Role)
	case *events.ParticipantRemovedData:
		if mine[d.User] {
			r.Role = ""
		}
	}
	r.mine = r.mine || mine[e.Actor]
}

// generation takes an event of a generation that is theirs.
func (x *personal) generation(ctx context.Context, room string, e *events.Event, at int64) bool {
	if d, ok := e.Payload.(*events.GenerationRequestedData); ok {
		if x.mine[e.Actor] {
			g := &personalGeneration{Room: room, ID: d.ID, At: timeText(at), As: e.Actor, Model: d.Model, Status: e.Type}
			if text := x.open(ctx, e.Actor, d.Request); json.Valid([]byte(text)) {
				g.Request = json.RawMessage(text)
			}
			x.generations[room+"/"+d.ID] = g
		}
		return true
	}
	find := func(id string) *personalGeneration {
		g := x.generations[room+"/"+id]
		if g != nil {
			g.Status = e.Type
		}
		return g
	}
	switch d := e.Payload.(type) {
	case *events.GenerationSubmittingData:
		find(d.ID)
	case *events.GenerationSubmittedData:
		find(d.ID)
	case *events.GenerationStartedData:
		find(d.ID)
	case *events.GenerationCanceledData:
		find(d.ID)
	case *events.GenerationSucceededData:
		if g := find(d.ID); g != nil {
			g.Assets, g.Seed, g.Cost = d.Assets, d.Seed, d.Cost
		}
	case *events.GenerationSettledData:
		if g := find(d.ID); g != nil {
			g.Assets, g.Seed, g.Cost = d.Assets, d.Seed, d.Cost
		}
	case *events.GenerationUnknownData:
		if g := find(d.ID); g != nil {
			g.Cost = d.Cost
		}
	case *events.GenerationFailedData:
		if g := find(d.ID); g != nil {
			g.Cost, g.Failure = d.Cost, d.Detail
			if said := x.open(ctx, g.As, d.Said); said != "" {
				g.Failure += ": " + said
			}
		}
	default:
		return false
	}
	return true
}

// byTime sorts what was found stream by stream.
func byTime[T any](list []T, at func(*T) string) {
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(at(&a), at(&b)) })
}
