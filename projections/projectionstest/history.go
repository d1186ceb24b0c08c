package projectionstest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/infinite-kanvas/kanvas/events"
)

// Start is the time of the first commit of a history, Unix milliseconds: 2026-01-01T00:00:00Z.
const Start = 1767225600000

// History makes random commits of every event type that follow the rules of the domain, all from one seed.
type History struct {
	Log   *Log
	Rooms []*room
	Users []string
	rand  *rand.Rand
	at    int64
	n     int
}

type room struct {
	id                 string
	elements, comments int
	invites            int
	generations        []generation
	members            []string
	deleted            bool
}

// NewHistory makes people, so that Step has somebody to act.
func NewHistory(log *Log, seed uint64) *History {
	h := &History{Log: log, rand: rand.New(rand.NewPCG(seed, 7)), at: Start}
	for range 4 {
		h.newUser()
	}
	return h
}

func (h *History) tick() int64 {
	h.at += h.rand.Int64N(5000)
	return h.at
}

// Time is that of the newest commit, Unix milliseconds.
func (h *History) Time() int64 { return h.at }

func (h *History) user() string { return h.Users[h.rand.IntN(len(h.Users))] }

func (h *History) newUser() {
	h.n++
	id := fmt.Sprintf("user-%d", h.n)
	h.Users = append(h.Users, id)
	if h.rand.IntN(4) > 0 { // the others are known by reference alone so far
		h.createUser(id)
	}
}

func (h *History) createUser(id string) {
	h.Log.Append(events.User(id), h.tick(), id, &events.UserCreatedData{Kind: "guest", Name: Seal("Name of " + id), Color: "#a0b0c0"})
}

// NewRoom makes one and returns its id.
func (h *History) NewRoom() string {
	h.n++
	id := fmt.Sprintf("room-%d", h.n)
	r := &room{id: id}
	owner := ""
	if h.rand.IntN(5) > 0 {
		owner = h.user()
	}
	visibility := []string{"public", "public", "unlisted", "private"}[h.rand.IntN(4)]
	payloads := []any{&events.RoomCreatedData{Name: "Room " + id, Visibility: visibility, DefaultRole: "editor", Owner: owner}}
	for range h.rand.IntN(3) {
		payloads = append(payloads, r.add())
	}
	h.Log.Append(events.Room(id), h.tick(), "user-1", payloads...)
	h.Rooms = append(h.Rooms, r)
	return id
}

func (r *room) add() any {
	r.elements++
	return &events.ElementAddedData{Element: json.RawMessage(fmt.Sprintf(`{"id":"e%d","type":"shape","x":%d,"z":"a%d"}`, r.elements, r.elements*7, r.elements))}
}

// Step appends one commit, sometimes two.
func (h *History) Step() {
	switch n := h.rand.IntN(40); {
	case n == 0 || len(h.Rooms) < 2:
		h.NewRoom()
	case n == 1:
		h.newUser()
	case n < 5:
		h.stepUser()
	case n < 9:
		h.stepAsset()
	case n < 11:
		h.stepSpending()
	default:
		h.stepRoom()
	}
}

func (h *History) stepUser() {
	id := h.user()
	s := events.User(id)
	if h.Log.last[s] == nil {
		h.createUser(id)
		return
	}
	name, color := Seal(fmt.Sprintf("Name %d", h.at)), "#102030"
	switch h.rand.IntN(8) {
	case 0:
		if len(h.Users) > 4 {
			h.Log.Append(s, h.tick(), id, &events.UserUpdatedData{Name: &name}, &events.UserDeletedData{})
			h.forgetUser(id)
		}
	case 1:
		h.Log.Append(s, h.tick(), id, &events.UserUpdatedData{Color: &color})
	case 2:
		other := h.user()
		h.Log.Append(s, h.tick(), id, &events.UserClaimedData{By: other})
		h.Log.Append(events.User(other), h.tick(), other, &events.UserLinkedData{Guest: id})
	default:
		avatar := Seal([]string{"", "https://a.example/1.png"}[h.rand.IntN(2)])
		h.Log.Append(s, h.tick(), id, &events.UserUpdatedData{Name: &name, Avatar: &avatar})
	}
}

func (h *History) forgetUser(id string) {
	for i, u := range h.Users {
		if u == id {
			h.Users = append(h.Users[:i:i], h.Users[i+1:]...)
			return
		}
	}
}

func (h *History) stepAsset() {
	r := h.Rooms[h.rand.IntN(len(h.Rooms))]
	h.n++
	id := fmt.Sprintf("asset-%d", h.n)
	s := events.Asset(id)
	user := h.user()
	if h.rand.IntN(2) > 0 {
		h.Log.Append(s, h.tick(), user, &events.AssetUploadRequestedData{User: user, Room: []string{"", r.id}[h.rand.IntN(2)], Key: "images/" + id, ContentType: "image/png",
			Size: h.rand.Int64N(1 << 30), ExpiresAt: h.at + 1000})
		switch h.rand.IntN(4) {
		case 0:
			h.Log.Append(s, h.tick(), user, &events.AssetFailedData{Code: "bad_request", Detail: "it is broken"})
			return
		case 1:
			return
		}
	}
	h.Log.Append(s, h.tick(), user, &events.AssetStoredData{User: user, Room: []string{"", r.id}[h.rand.IntN(2)], Key: "images/" + id, ContentType: "image/png",
		Size: h.rand.Int64N(1 << 30), SHA256: fmt.Sprintf("%064x", h.n), Width: h.rand.IntN(2) * 640, Height: h.rand.IntN(2) * 480})
	for range h.rand.IntN(3) {
		r := h.Rooms[h.rand.IntN(len(h.Rooms))]
		h.Log.Append(s, h.tick(), user, &events.AssetAttachedData{Room: r.id, Revision: h.rand.Uint64N(100) + 1})
	}
	for range h.rand.IntN(3) {
		switch h.rand.IntN(4) {
		case 0:
			h.Log.Append(s, h.tick(), "system", &events.AssetProcessedData{Variants: []events.AssetVariant{{Size: 256, Key: "variants/" + id, ContentType: "image/png", Width: 256, Height: 9, Bytes: 77}}, Placeholder: "data:x"})
		case 1:
			h.Log.Append(s, h.tick(), "system", &events.AssetMarkedUnusedData{DeleteAfter: h.at + 5000})
		case 2:
			h.Log.Append(s, h.tick(), "system", &events.AssetMarkedUnusedData{DeleteAfter: h.at + 6000}, &events.AssetUsedAgainData{})
		case 3:
			h.Log.Append(s, h.tick(), "system", &events.AssetDeletedData{})
		}
	}
}

// stepSpending writes down a call, and some again with another cost.
func (h *History) stepSpending() {
	h.n++
	user := []string{"", h.user()}[h.rand.IntN(2)]
	d := events.SpendingRecordedData{ID: fmt.Sprintf("call-%d", h.n), User: user, Model: "fal-ai/evf-sam", Estimate: 10_000, Cost: h.rand.Int64N(10_000),
		At: h.tick(), Outcome: "done", DurationMS: h.rand.Int64N(2) * 700, Job: []string{"", fmt.Sprintf("job-%d", h.n)}[h.rand.IntN(2)]}
	s := events.Spending(user + ":2026-01")
	h.Log.Append(s, h.tick(), "system", &d)
	if h.rand.IntN(4) == 0 {
		again := d
		again.Cost, again.Outcome = 0, "refused"
		h.Log.Append(s, h.tick(), "system", &again)
	}
}

func (h *History) stepRoom() {
	r := h.Rooms[h.rand.IntN(len(h.Rooms))]
	if r.deleted {
		return
	}
	s := events.Room(r.id)
	actor := h.user()
	var payloads []any
	for range 1 + h.rand.IntN(4) {
		payloads = append(payloads, h.roomPayload(r, actor)...)
	}
	if h.rand.IntN(60) == 0 {
		payloads = append(payloads, &events.RoomDeletedData{})
		r.deleted = true
	}
	h.Log.Append(s, h.tick(), actor, payloads...)
	if !r.deleted && h.rand.IntN(6) == 0 {
		h.Log.Append(s, h.tick(), "system", &events.RoomCheckpointedData{Revision: h.Log.last[s].Last()})
	}
}

// invite makes one, or lets somebody in by it, or revokes it.
func (h *History) invite(r *room) []any {
	id := fmt.Sprintf("invite-%d", r.invites)
	switch n := h.rand.IntN(4); {
	case r.invites == 0 || n == 0:
		r.invites++
		return []any{&events.InviteCreatedData{ID: fmt.Sprintf("invite-%d", r.invites), Hash: fmt.Sprintf("%064x", r.invites), Role: "viewer",
			ExpiresAt: h.rand.Int64N(2) * (h.at + 1000), Uses: h.rand.IntN(3)}}
	case n == 1:
		return []any{&events.InviteRevokedData{ID: id}}
	}
	return []any{&events.InviteRedeemedData{ID: id, User: h.user()}}
}

func (h *History) roomPayload(r *room, actor string) []any {
	switch h.rand.IntN(25) {
	case 19, 20, 21, 22, 23, 24:
		return h.generate(r)
	case 18:
		return []any{&events.RoomKeyRotatedData{Key: h.rand.Uint64N(9)}}
	case 16:
		return []any{&events.RoomTransferredData{Owner: h.user()}}
	case 17:
		return h.invite(r)
	case 0:
		r.members = append(r.members, actor)
		return []any{&events.ParticipantJoinedData{User: actor, Role: "editor"}}
	case 1:
		return []any{&events.ParticipantRoleChangedData{User: h.user(), Role: []string{"viewer", "owner", "commenter"}[h.rand.IntN(3)]}}
	case 2:
		if len(r.members) > 0 {
			return []any{&events.ParticipantRemovedData{User: r.members[h.rand.IntN(len(r.members))]}}
		}
	case 3:
		text := fmt.Sprintf("Renamed %d", h.at)
		visibility := []string{"public", "unlisted", "private"}[h.rand.IntN(3)]
		return []any{&events.RoomUpdatedData{Name: &text, Visibility: &visibility}}
	case 4:
		text := fmt.Sprintf("Described %d", h.at)
		return []any{&events.RoomUpdatedData{Description: &text}}
	case 5, 6:
		return []any{&events.ChatPostedData{Text: Seal("hello")}}
	case 7:
		r.comments++
		x := float64(r.comments) / 3
		return []any{&events.CommentAddedData{ID: fmt.Sprintf("c%d", r.comments), X: &x, Text: Seal("look")}}
	case 8:
		if r.comments > 0 {
			return []any{&events.CommentResolvedData{ID: fmt.Sprintf("c%d", 1+h.rand.IntN(r.comments))}}
		}
	case 9:
		return []any{&events.ElementRemovedData{IDs: []string{fmt.Sprint(h.rand.IntN(r.elements + 1))}}}
	case 10, 11, 12:
		return []any{&events.ElementPatchedData{ID: "e1", Set: events.Members{{Key: "x", Value: json.RawMessage(`17`)}}}}
	}
	return []any{r.add()}
}

// ID is the room's.
func (r *room) ID() string { return r.id }
