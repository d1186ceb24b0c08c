package projections

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
)

// visibilityPublic is that of rooms that everybody may see.
const visibilityPublic = "public"

// Peers are the other nodes that could write to the same cache. They are asked in every round of the list of active rooms.
type Peers interface {
	// Exchange tells the others what this node knows, and returns what each of them told last. first is true on one node alone: the one that writes.
	Exchange(mine []byte) (others [][]byte, first bool, err error)
}

// registry makes the list of active rooms, of all nodes where there are several. ok is false where another node writes it.
func (c *Caches) registry(ctx context.Context) (list []byte, ok bool) {
	rooms := c.cfg.Active.ActiveRooms()
	if rooms == nil {
		rooms = []ActiveRoom{}
	}
	mine, err := json.Marshal(rooms)
	if err != nil { // structs of strings and numbers always encode
		return []byte("[]"), true
	}
	if c.cfg.Peers == nil {
		return mine, true
	}
	others, first, err := c.cfg.Peers.Exchange(mine)
	c.lead(first)
	if err != nil {
		c.failed(ctx, err)
	}
	if !first || len(others) == 0 {
		return mine, first
	}
	lists := [][]ActiveRoom{rooms}
	for _, b := range others {
		var theirs []ActiveRoom
		if err := json.Unmarshal(b, &theirs); err != nil {
			c.failed(ctx, err)
			continue
		}
		lists = append(lists, theirs)
	}
	rooms, err = c.public(ctx, mergeRooms(lists))
	if err == nil {
		list, err = json.Marshal(rooms)
	}
	if err != nil {
		c.failed(ctx, err)
	}
	return list, err == nil
}

// mergeRooms counts people together, and takes the rest from whoever saw the room last. Newest rooms come first.
func mergeRooms(lists [][]ActiveRoom) []ActiveRoom {
	byID := map[string]ActiveRoom{}
	for _, list := range lists {
		for _, r := range list {
			if was, ok := byID[r.ID]; ok {
				people := was.UserCount + r.UserCount
				if was.LastActivity > r.LastActivity {
					r = was
				}
				r.UserCount = people
			}
			byID[r.ID] = r
		}
	}
	all := make([]ActiveRoom, 0, len(byID))
	for _, r := range byID {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b ActiveRoom) int {
		return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// public leaves out what the tables say is not public (any more), and takes names from there: a node where nobody has a room open need not have heard.
func (c *Caches) public(ctx context.Context, rooms []ActiveRoom) ([]ActiveRoom, error) {
	kept := rooms[:0]
	for _, r := range rooms {
		row, err := c.cfg.Queries.RoomByID(ctx, r.ID)
		switch {
		case errors.Is(err, ErrNotFound): // not here yet: a later round has it
			continue
		case err != nil:
			return nil, err
		case row.Visibility != visibilityPublic || row.DeletedAt != 0:
			continue
		}
		r.Name = row.Name
		kept = append(kept, r)
	}
	return kept, nil
}
