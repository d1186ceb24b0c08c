package commands

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/infinite-kanvas/kanvas/domain"
)

// The files of the archive that are made of what was found.

type personalProfile struct {
	ID      string            `json:"id"`
	Kind    string            `json:"kind"`
	Name    string            `json:"name"`
	Email   string            `json:"email,omitempty"`
	Avatar  string            `json:"avatar,omitempty"`
	Color   string            `json:"color"`
	Created string            `json:"created_at,omitempty"`
	Guests  []personalProfile `json:"guests,omitempty"`
}

func (x *personal) profile(ctx context.Context) (any, error) {
	p := x.profileOf(ctx, x.id)
	for _, id := range sortedKeys(x.mine) {
		if id != x.id {
			p.Guests = append(p.Guests, x.profileOf(ctx, id))
		}
	}
	return p, nil
}

func (x *personal) profileOf(ctx context.Context, id string) personalProfile {
	p := personalProfile{ID: id, Color: ColorOf(id)}
	u := x.people[id]
	if u == nil {
		return p // known by a connection alone
	}
	p.Kind, p.Created = u.kind, timeText(u.created)
	p.Name, p.Email, p.Avatar = x.open(ctx, id, u.name), x.open(ctx, id, u.email), x.open(ctx, id, u.avatar)
	if u.color != "" {
		p.Color = u.color
	}
	return p
}

func (x *personal) roomList(context.Context) (any, error) {
	list := []personalRoom{}
	for _, id := range sortedKeys(x.rooms) {
		if r := x.rooms[id]; r.mine {
			r.Owner = x.mine[r.owner]
			list = append(list, *r)
		}
	}
	return list, nil
}

// textList is what was written, room after room in the log, by time.
func textList(texts *[]personalText) func(context.Context) (any, error) {
	return func(context.Context) (any, error) {
		list := append([]personalText{}, *texts...)
		byTime(list, func(t *personalText) string { return t.At })
		return list, nil
	}
}

func (x *personal) generationList(context.Context) (any, error) {
	list := []personalGeneration{}
	for _, key := range sortedKeys(x.generations) {
		list = append(list, *x.generations[key])
	}
	byTime(list, func(g *personalGeneration) string { return g.At })
	return list, nil
}

// personalElement is what they put on a canvas, as it is now.
type personalElement struct {
	Room    string          `json:"room_id"`
	Element json.RawMessage `json:"element"`
}

func (x *personal) elementsNow(ctx context.Context) (any, error) {
	list := []personalElement{}
	for _, room := range sortedKeys(x.made) {
		v, err := x.cfg.Rooms.View(ctx, room)
		if isCode(err, domain.CodeNotFound) {
			continue // the room was deleted
		}
		if err != nil {
			return nil, err
		}
		ids := x.made[room]
		slices.Sort(ids)
		for _, e := range v.Elements {
			if _, made := slices.BinarySearch(ids, e.ID()); made {
				list = append(list, personalElement{room, json.RawMessage(e.JSON())})
			}
		}
	}
	return list, nil
}

type personalAsset struct {
	ID          string             `json:"id"`
	Status      domain.AssetStatus `json:"status"`
	ContentType string             `json:"content_type"`
	Bytes       int64              `json:"bytes"`
	Width       int                `json:"width,omitempty"`
	Height      int                `json:"height,omitempty"`
	SHA256      string             `json:"sha256,omitempty"`
	Key         string             `json:"key"`
	Stored      string             `json:"stored_at,omitempty"`
	Rooms       []string           `json:"rooms,omitempty"` // that show or showed it
	File        string             `json:"file,omitempty"`  // in this archive
}

func (x *personal) assetList(context.Context) (any, error) {
	list := []personalAsset{}
	for _, id := range sortedKeys(x.assets) {
		a := domain.FoldAsset(x.assets[id])
		p := personalAsset{ID: id, Status: a.Status, Rooms: a.Rooms}
		switch {
		case a.Stored != nil:
			s := a.Stored
			p.ContentType, p.Bytes, p.Width, p.Height, p.SHA256, p.Key = s.ContentType, s.Size, s.Width, s.Height, s.SHA256, s.Key
			p.Stored = timeText(a.StoredAt)
		case a.Requested != nil:
			p.ContentType, p.Bytes, p.Key = a.Requested.ContentType, a.Requested.Size, a.Requested.Key
		}
		if a.Shown() {
			p.File = assetFile(id, p.Key)
		}
		list = append(list, p)
	}
	return list, nil
}
