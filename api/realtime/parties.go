package realtime

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

const (
	protocolParties  = "parties"
	protocolRegistry = "registry"

	partyMain = "main"
)

// ServeParties upgrades a request of an old client (the `partysocket` package) and returns; the socket belongs to the hub from then on. party is
// "main", where room is the id of a canvas, or "registry". What is refused for good is refused before the upgrade, with problem details:
// 401 forged token, 403 and 404 no right to the room, 404 unknown party; old clients reconnect after any close code.
func (h *Hub) ServeParties(w http.ResponseWriter, r *http.Request, party, room string) {
	switch {
	case !h.cfg.AllowOrigin(r):
		h.refuse(w, domain.CodeForbidden, "origin", "this origin may not open sockets")
	case !h.held.admits(h.cfg.Address(r)):
		h.refuse(w, domain.CodeRateLimited, "refused_often", "refused too often, slow down")
	case party == protocolRegistry:
		h.registry.serve(w, r)
	case party == partyMain && domain.ValidRoomID(room):
		h.servePartiesMain(w, r, room)
	default:
		h.refuse(w, domain.CodeNotFound, "room", "no such room")
	}
}

func (h *Hub) servePartiesMain(w http.ResponseWriter, r *http.Request, room string) {
	ctx, cancel := context.WithTimeout(r.Context(), watchTimeout)
	defer cancel()
	who, expired, err := h.partiesIdentity(ctx, r)
	if err == nil {
		err = h.mayEnter(ctx, room, who, expired, h.cfg.Address(r))
	}
	if err != nil {
		h.refuseParties(w, r, err)
		return
	}
	s := h.open(w, r, protocolParties)
	if s == nil {
		return
	}
	s.conn.mute = true
	c := &partiesConn{socket: s, roomID: room}
	c.x = &partiesPeer{userID: partiesID(r.URL.Query().Get("_pk"))}
	who = named(who, r.URL.Query().Get("name"), c.x.userID)
	c.x.key = heldKey{room: room, user: who.UserID, pk: c.x.userID}
	if (domain.Actor{ID: who.UserID}).Anonymous() {
		c.x.key.user = ""
	}
	c.peer = newPeer(who, "")
	c.peer.ext = c.x
	c.peer.admit = c.admit
	s.onPong = func(payload []byte) { c.x.pong(c.peer, payload) }
	s.start(c.serve)
}

// refuseParties answers a handshake; who is refused often is answered sooner the next time.
func (h *Hub) refuseParties(w http.ResponseWriter, r *http.Request, err error) {
	code, detail := reason(err)
	if code == domain.CodeInternal {
		h.log.Error("handshake_failed", "error", err.Error())
		code, detail = domain.CodeReadOnly, "this can't be served now"
	}
	h.held.refused(h.cfg.Address(r))
	h.refuse(w, code, "parties_"+string(code), detail)
}

// partiesIdentity says who connects: a token's user, or somebody anonymous for the length of the connection.
func (h *Hub) partiesIdentity(ctx context.Context, r *http.Request) (who Identity, expired bool, err error) {
	token := r.URL.Query().Get("token")
	if token == "" {
		token = h.handshakeToken(r)
	}
	if token != "" {
		ctx, cancel := context.WithTimeout(ctx, authTimeout)
		defer cancel()
		who, err = h.cfg.Authenticator.Authenticate(ctx, token)
		switch {
		case err == nil:
			return who, false, nil
		case errors.Is(err, ErrExpired):
			expired = true
		default:
			return who, false, err
		}
	}
	id := uuid.New()
	user := "anon:" + hex.EncodeToString(id[:])
	return Identity{UserID: user, Color: commands.ColorOf(user)}, expired, nil
}

// mayEnter looks at the room before the upgrade. A room that doesn't exist may be entered: it is made by its first command.
func (h *Hub) mayEnter(ctx context.Context, room string, who Identity, expired bool, address string) error {
	r, err := h.acquire(ctx, room)
	if err != nil {
		return err
	}
	defer r.release()
	type found struct {
		unmade bool
		err    error
	}
	looked := make(chan found, 1)
	r.watch.View(func(v *commands.View) {
		_, _, err := partiesRole(v, who.UserID)
		looked <- found{v.Revision == 0, err}
	})
	var f found
	select {
	case f = <-looked:
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case f.err != nil && expired:
		return domain.Errorf(domain.CodeUnauthenticated, "the token has expired")
	case f.err == nil && f.unmade:
		return h.mayMake(ctx, address)
	}
	return f.err
}

func (h *Hub) mayMake(ctx context.Context, address string) error {
	if h.cfg.MayMake == nil {
		return nil
	}
	return h.cfg.MayMake(ctx, address)
}

// partiesRole is roleIn, and editor of a room that doesn't exist.
func partiesRole(v *commands.View, user string) (role domain.Role, participant bool, err error) {
	if v.Revision == 0 {
		return domain.RoleEditor, false, nil
	}
	return roleIn(v, user)
}

func (c *partiesConn) admit(v *commands.View) (domain.Role, bool, error) {
	return partiesRole(v, c.peer.who.UserID)
}

// maxPartyID bounds _pk in bytes.
const maxPartyID = 128

// partiesID is the client's own id where it is one, else one of ours.
func partiesID(pk string) string {
	if pk == "" || len(pk) > maxPartyID {
		return uuid.NewString()
	}
	for i := 0; i < len(pk); i++ {
		if c := pk[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' {
			return uuid.NewString()
		}
	}
	return pk
}

// named gives somebody without a name the one that the client says, or the original's default.
func named(who Identity, name, id string) Identity {
	name = strings.TrimSpace(name)
	if who.Name == "" && utf8.ValidString(name) && len(name) <= domain.MaxPersonName && !strings.ContainsFunc(name, unicode.IsControl) {
		who.Name = name
	}
	if who.Name == "" {
		who.Name = "User " + id[:min(4, len(id))]
	}
	if who.Color == "" {
		who.Color = commands.ColorOf(who.UserID)
	}
	return who
}
