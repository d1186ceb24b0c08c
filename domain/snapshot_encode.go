package domain

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/infinite-kanvas/kanvas/events"
)

// snapshotVersion is that of the encoding; 1 had no invites, 2 no generations and no key. Newer ones are not read: the room then comes from the log.
const snapshotVersion = 3

// EncodeSnapshot writes everything the room is, as JSON. Equal rooms give equal bytes.
func (r *Room) EncodeSnapshot() []byte {
	w := writer{b: make([]byte, 0, 4096+r.canvas.bytes+64*len(r.canvas.order)+2*r.undoBytes)}
	w.raw(`{"v":`).uint(snapshotVersion)
	w.raw(`,"id":`).str(r.id)
	w.raw(`,"head":`).json(r.headForm())
	w.raw(`,"actors":`).json(r.actors.names[1:])
	w.raw(`,"people":`).json(r.peopleForm())
	w.raw(`,"invites":`).json(r.invitesForm())
	w.raw(`,"generations":`).json(r.generationsForm())
	w.raw(`,"chat":`).json(r.chatForm())
	w.raw(`,"comments":`).json(r.commentsForm())
	w.raw(`,"elements":[`)
	for i, e := range r.canvas.order {
		w.comma(i).element(e)
	}
	w.raw(`],"stacks":[`)
	n := 0
	for _, user := range slices.Sorted(maps.Keys(r.stacks)) {
		if s := r.stacks[user]; len(s.undo)+len(s.redo) > 0 {
			w.comma(n).raw(`{"user":`).str(user).raw(`,"undo":`).steps(s.undo).raw(`,"redo":`).steps(s.redo).raw("}")
			n++
		}
	}
	w.raw(`],"change":`).change(&r.change)
	w.raw(`,"once":`).once(&r.once)
	return append(w.b, '}')
}

// The forms are the parts of a snapshot that encoding/json writes and reads.
type (
	headForm struct {
		Exists       bool       `json:"exists"`
		Deleted      bool       `json:"deleted,omitempty"`
		Checkpointed bool       `json:"checkpointed,omitempty"`
		Name         string     `json:"name"`
		Description  string     `json:"description,omitempty"`
		Visibility   Visibility `json:"visibility"`
		DefaultRole  Role       `json:"default_role"`
		Owner        string     `json:"owner,omitempty"`
		Key          uint64     `json:"key,omitempty"`
		Created      int64      `json:"created"`
		Updated      int64      `json:"updated"`
		Revision     uint64     `json:"revision"`
		Sum          string     `json:"sum"`
		At           int64      `json:"at"`
		Seq          uint64     `json:"seq"`
	}
	personForm struct {
		User     string `json:"user"`
		Role     Role   `json:"role"`
		JoinedAt int64  `json:"at"`
		Joined   uint64 `json:"rev"`
		Removed  bool   `json:"removed,omitempty"`
	}
	inviteForm struct {
		ID        string `json:"id"`
		Hash      string `json:"hash"`
		Role      Role   `json:"role"`
		By        string `json:"by"`
		At        int64  `json:"at"`
		ExpiresAt int64  `json:"expires,omitempty"`
		Uses      int    `json:"uses,omitempty"`
		Used      int    `json:"used,omitempty"`
	}
	generationForm struct {
		ID           string           `json:"id"`
		User         string           `json:"user"`
		Model        string           `json:"model"`
		Result       string           `json:"result"`
		ElementID    string           `json:"element"`
		Status       GenerationStatus `json:"status"`
		Revision     uint64           `json:"rev"`
		Attempt      int              `json:"attempt,omitempty"`
		Estimate     int64            `json:"estimate"`
		RequestID    string           `json:"request_id,omitempty"`
		StatusURL    string           `json:"status_url,omitempty"`
		ResponseURL  string           `json:"response_url,omitempty"`
		CancelURL    string           `json:"cancel_url,omitempty"`
		RequestedAt  int64            `json:"requested"`
		SubmittingAt int64            `json:"submitting,omitempty"`
		SubmittedAt  int64            `json:"submitted,omitempty"`
	}
	chatForm struct {
		ID       string        `json:"id"`
		Revision uint64        `json:"rev"`
		User     string        `json:"user"`
		At       int64         `json:"at"`
		Text     events.Sealed `json:"text"`
		Name     events.Sealed `json:"name,omitempty"`
		Color    string        `json:"color,omitempty"`
		UserID   string        `json:"user_id,omitempty"`
	}
	commentForm struct {
		ID         string        `json:"id"`
		ElementID  string        `json:"element,omitempty"`
		X          *float64      `json:"x,omitempty"`
		Y          *float64      `json:"y,omitempty"`
		User       string        `json:"user"`
		At         int64         `json:"at"`
		Text       events.Sealed `json:"text"`
		Resolved   bool          `json:"resolved,omitempty"`
		ResolvedBy string        `json:"by,omitempty"`
		ResolvedAt int64         `json:"resolved_at,omitempty"`
	}
	onceForm struct {
		Clients []clientForm `json:"clients"`
		Keys    []keyForm    `json:"keys"`
		Swept   int64        `json:"swept"`
	}
	clientForm struct {
		User    string        `json:"user"`
		Client  string        `json:"client"`
		Floor   uint64        `json:"floor"`
		At      int64         `json:"at"`
		Done    []uint64      `json:"done"` // seq, first and last of each
		Dropped []droppedForm `json:"dropped,omitempty"`
	}
	droppedForm struct {
		Seq uint64   `json:"seq"`
		IDs []string `json:"ids"`
	}
	keyForm struct {
		User    string   `json:"user"`
		Key     string   `json:"key"`
		Hash    string   `json:"hash"`
		First   uint64   `json:"first"`
		Last    uint64   `json:"last"`
		At      int64    `json:"at"`
		Dropped []string `json:"dropped,omitempty"`
	}
)

func (r *Room) headForm() headForm {
	return headForm{r.exists, r.deleted, r.checkpointed, r.name, r.description, r.visibility, r.defaultRole, r.owner, r.key,
		r.created, r.updated, r.revision, r.sum, r.at, r.seq}
}

func (r *Room) peopleForm() []personForm {
	out := make([]personForm, 0, len(r.people))
	for _, p := range r.people {
		out = append(out, personForm{p.user, p.role, p.joinedAt, p.joinedRev, p.removed})
	}
	slices.SortFunc(out, func(a, b personForm) int { return cmp.Compare(a.User, b.User) })
	return out
}

func (r *Room) invitesForm() []inviteForm {
	out := make([]inviteForm, len(r.invites))
	for i, v := range r.invites {
		out[i] = inviteForm{v.ID, v.hash, v.Role, v.By, v.At, v.ExpiresAt, v.Uses, v.Used}
	}
	return out
}

func (r *Room) generationsForm() []generationForm {
	out := make([]generationForm, len(r.generations))
	for i, g := range r.generations {
		out[i] = generationForm(*g)
	}
	return out
}

func (r *Room) chatForm() []chatForm {
	out := make([]chatForm, len(r.chat))
	for i, m := range r.chat {
		out[i] = chatForm(m)
	}
	return out
}

func (r *Room) commentsForm() []commentForm {
	out := make([]commentForm, len(r.comments))
	for i, c := range r.comments {
		out[i] = commentForm(*c)
	}
	return out
}

// writer appends JSON. Its methods return it, so that calls may be chained.
type writer struct{ b []byte }

func (w *writer) raw(s string) *writer  { w.b = append(w.b, s...); return w }
func (w *writer) str(s string) *writer  { w.b = events.AppendString(w.b, s); return w }
func (w *writer) uint(n uint64) *writer { w.b = strconv.AppendUint(w.b, n, 10); return w }
func (w *writer) int(n int64) *writer   { w.b = strconv.AppendInt(w.b, n, 10); return w }

func (w *writer) comma(i int) *writer {
	if i > 0 {
		w.b = append(w.b, ',')
	}
	return w
}

// json writes a form. Forms can't fail: they hold no floats but finite ones.
func (w *writer) json(form any) *writer {
	b, err := json.Marshal(form)
	if err != nil {
		panic("domain: snapshot: " + err.Error())
	}
	w.b = append(w.b, b...)
	return w
}

func (w *writer) by(p provenance) *writer {
	return w.uint(p.rev).raw(",").uint(uint64(p.actor))
}

// element writes {"e":element,"p":[revision, actor, … of each member],"g":[[name,revision,actor], …]}. Where all members have one
// provenance p holds that alone.
func (w *writer) element(e *Element) *writer {
	w.raw(`{"e":`)
	w.b = append(w.b, e.json...)
	w.raw(`,"p":[`)
	ms := e.members
	if !slices.ContainsFunc(ms, func(m member) bool { return m.by != ms[0].by }) {
		ms = ms[:1]
	}
	for i := range ms {
		w.comma(i).by(ms[i].by)
	}
	w.raw("]")
	if len(e.gone) > 0 {
		w.raw(`,"g":[`)
		for i, t := range e.gone {
			w.comma(i).raw(`{"k":`).str(t.key).raw(`,"p":[`).by(t.by).raw("]}")
		}
		w.raw("]")
	}
	return w.raw("}")
}

func (w *writer) steps(list []*step) *writer {
	w.raw("[")
	for i, s := range list {
		w.comma(i).step(s)
	}
	return w.raw("]")
}

func (w *writer) step(s *step) *writer {
	w.raw(`{"first":`).uint(s.first).raw(`,"pushed":`).uint(s.pushed).raw(`,"entries":[`)
	for i := range s.entries {
		w.comma(i).entry(&s.entries[i])
	}
	return w.raw("]}")
}

func (w *writer) entry(en *entry) *writer {
	w.raw(`{"id":`).str(en.id)
	switch {
	case en.removed != nil:
		w.raw(`,"removed":`).element(en.removed)
	case en.members != nil:
		w.raw(`,"members":[`)
		for i := range en.members {
			m := &en.members[i]
			w.comma(i).raw(`{"k":`).str(m.key)
			if m.old != nil {
				w.raw(`,"o":`)
				w.b = append(w.b, m.old...)
			}
			w.raw(`,"p":[`).by(m.before).raw(",").by(m.after).raw("]}")
		}
		w.raw("]")
	default:
		w.raw(`,"added":`).uint(en.added)
		if en.base != nil {
			w.raw(`,"base":`).element(en.base)
		}
	}
	return w.raw("}")
}

func (w *writer) change(c *change) *writer {
	if !c.open {
		return w.raw("null")
	}
	w.raw(`{"actor":`).str(c.actor).raw(`,"cause":`).str(string(c.cause)).raw(`,"source":`).uint(c.source)
	if c.doing != nil {
		w.raw(`,"doing":`).step(c.doing.step)
	}
	if c.step != nil {
		w.raw(`,"recording":true`)
	}
	if c.lost {
		w.raw(`,"lost":true`)
	}
	return w.raw("}")
}

func (w *writer) once(o *onceState) *writer {
	form := onceForm{Keys: []keyForm{}, Swept: o.swept}
	for _, q := range o.queue {
		if k, ok := o.keys[q.id]; ok && k.at == q.at {
			form.Keys = append(form.Keys, keyForm{q.id.user, q.id.key, k.hash, k.first, k.last, k.at, k.dropped})
		}
	}
	w.raw(`{"clients":[`)
	ids := slices.SortedFunc(maps.Keys(o.clients), func(a, b clientID) int {
		return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.client, b.client))
	})
	for i, id := range ids {
		w.comma(i).client(id, o.clients[id])
	}
	return w.raw(`],"keys":`).json(form.Keys).raw(`,"swept":`).int(o.swept).raw("}")
}

func (w *writer) client(id clientID, c *clientOnce) *writer {
	w.raw(`{"user":`).str(id.user).raw(`,"client":`).str(id.client).raw(`,"floor":`).uint(c.floor).raw(`,"at":`).int(c.at).raw(`,"done":[`)
	var dropped []droppedForm
	for i := range c.done {
		d := &c.done[i]
		w.comma(i).uint(d.seq).raw(",").uint(d.first).raw(",").uint(d.last)
		if len(d.dropped) > 0 {
			dropped = append(dropped, droppedForm{d.seq, d.dropped})
		}
	}
	w.raw("]")
	if dropped != nil {
		w.raw(`,"dropped":`).json(dropped)
	}
	return w.raw("}")
}
