package domain

import (
	"encoding/json"
	"fmt"

	"github.com/infinite-kanvas/kanvas/events"
)

type snapshotForm struct {
	V           int              `json:"v"`
	ID          string           `json:"id"`
	Head        headForm         `json:"head"`
	Actors      []string         `json:"actors"`
	People      []personForm     `json:"people"`
	Invites     []inviteForm     `json:"invites"`
	Generations []generationForm `json:"generations"`
	Chat        []chatForm       `json:"chat"`
	Comments    []commentForm    `json:"comments"`
	Elements    []elementForm    `json:"-"` // see readForms: they are nearly all of a snapshot
	Stacks      []stacksForm     `json:"stacks"`
	Change      *changeForm      `json:"change"`
	Once        onceForm         `json:"once"`
}

// maxSnapshotDepth is that of an element in a step in a stack.
const maxSnapshotDepth = MaxJSONDepth + 16

type (
	elementForm struct {
		E json.RawMessage `json:"e"`
		P []uint64        `json:"p"`
		G []goneForm      `json:"g"`
	}
	goneForm struct {
		K string   `json:"k"`
		P []uint64 `json:"p"`
	}
	stacksForm struct {
		User string     `json:"user"`
		Undo []stepForm `json:"undo"`
		Redo []stepForm `json:"redo"`
	}
	stepForm struct {
		First   uint64      `json:"first"`
		Pushed  uint64      `json:"pushed"`
		Entries []entryForm `json:"entries"`
	}
	entryForm struct {
		ID      string       `json:"id"`
		Added   uint64       `json:"added"`
		Base    *elementForm `json:"base"`
		Removed *elementForm `json:"removed"`
		Members []revertForm `json:"members"`
	}
	revertForm struct {
		K string          `json:"k"`
		O json.RawMessage `json:"o"`
		P []uint64        `json:"p"`
	}
	changeForm struct {
		Actor     string    `json:"actor"`
		Cause     string    `json:"cause"`
		Source    uint64    `json:"source"`
		Doing     *stepForm `json:"doing"`
		Recording bool      `json:"recording"`
		Lost      bool      `json:"lost"`
	}
)

// DecodeSnapshot reads what EncodeSnapshot wrote. b is not kept. It refuses, and never panics on, anything that no room can be:
// the room then has to come from the log.
func DecodeSnapshot(b []byte) (*Room, error) {
	if err := events.CheckJSON(b, maxSnapshotDepth); err != nil {
		return nil, fmt.Errorf("domain: snapshot: %w", err)
	}
	b = events.Compact(make([]byte, 0, len(b)), b) // what follows relies on it
	var f snapshotForm
	if err := f.read(b); err != nil {
		return nil, fmt.Errorf("domain: snapshot: %w", err)
	}
	if f.V < 1 || f.V > snapshotVersion {
		return nil, fmt.Errorf("domain: snapshot: version %d; this program reads 1 to %d", f.V, snapshotVersion)
	}
	r := NewRoom(f.ID)
	for _, part := range [...]struct {
		name string
		read func(*snapshotForm) error
	}{
		{"head", r.readHead}, {"actors", r.readActors}, {"people", r.readPeople}, {"invites", r.readInvites}, {"generations", r.readGenerations}, {"comments", r.readComments},
		{"elements", r.readElements}, {"stacks", r.readStacks}, {"change", r.readChange}, {"once", r.readOnce},
	} {
		if err := part.read(&f); err != nil {
			return nil, fmt.Errorf("domain: snapshot of room %s: %s: %w", f.ID, part.name, err)
		}
	}
	return r, nil
}

func (r *Room) readHead(f *snapshotForm) error {
	h := &f.Head
	if h.Exists != (h.Revision > 0) || h.Deleted && !h.Exists {
		return fmt.Errorf("revision %d of a room that exists: %t", h.Revision, h.Exists)
	}
	if h.Exists && (!ValidVisibility(h.Visibility) || !validDefaultRole(h.DefaultRole)) {
		return fmt.Errorf("visibility or default role unknown")
	}
	r.head = head{exists: h.Exists, deleted: h.Deleted, checkpointed: h.Checkpointed, name: h.Name, description: h.Description,
		visibility: h.Visibility, defaultRole: h.DefaultRole, owner: h.Owner, key: h.Key, created: h.Created, updated: h.Updated,
		revision: h.Revision, sum: h.Sum, at: h.At, seq: h.Seq}
	return nil
}

func (r *Room) readActors(f *snapshotForm) error {
	for _, name := range f.Actors {
		if _, twice := r.actors.number[name]; twice || !(Actor{name}).person() {
			return fmt.Errorf("an actor twice, or no person")
		}
		r.actors.number[name] = uint32(len(r.actors.names))
		r.actors.names = append(r.actors.names, name)
	}
	return nil
}

func (r *Room) readPeople(f *snapshotForm) error {
	for _, p := range f.People {
		if r.people[p.User] != nil || !ValidRole(p.Role) || p.Joined > r.revision {
			return fmt.Errorf("a participant twice, without a role or from the future")
		}
		r.people[p.User] = &person{p.User, p.Role, p.JoinedAt, p.Joined, p.Removed}
	}
	return nil
}

func (r *Room) readInvites(f *snapshotForm) error {
	for i := range f.Invites {
		form := &f.Invites[i]
		v := invite{Invite{form.ID, form.Role, form.By, form.At, form.ExpiresAt, form.Uses, form.Used}, form.Hash}
		if !validDefaultRole(v.Role) || v.ID == "" || len(v.hash) != hashBytes || v.Uses < 0 || v.Used < 0 ||
			r.findInvite(func(w *invite) bool { return w.ID == v.ID || w.hash == v.hash }) >= 0 {
			return fmt.Errorf("an invite twice, or out of form")
		}
		r.invites = append(r.invites, &v)
	}
	return nil
}

func (r *Room) readGenerations(f *snapshotForm) error {
	for i := range f.Generations {
		g := Generation(f.Generations[i])
		switch g.Status {
		case GenerationQueued, GenerationSubmitting, GenerationSubmitted, GenerationRunning, GenerationUnknown, GenerationCanceled:
		default:
			return fmt.Errorf("a generation that is %q", g.Status)
		}
		if g.ID == "" || g.Revision > r.revision || FindGeneration(r.generations, g.ID) != nil {
			return fmt.Errorf("a generation twice, or from the future")
		}
		r.generations = append(r.generations, &g)
	}
	return nil
}

func (r *Room) readComments(f *snapshotForm) error {
	if len(f.Chat) > ChatKept {
		return fmt.Errorf("%d chat messages", len(f.Chat))
	}
	for _, m := range f.Chat {
		r.chat = append(r.chat, ChatMessage(m))
	}
	for _, c := range f.Comments {
		if _, twice := r.byID[c.ID]; twice {
			return fmt.Errorf("a comment twice")
		}
		r.byID[c.ID] = len(r.comments)
		is := Comment(c)
		r.comments = append(r.comments, &is)
	}
	return nil
}

func (r *Room) readElements(f *snapshotForm) error {
	for i := range f.Elements {
		e, err := r.readElement(&f.Elements[i])
		if err != nil {
			return err
		}
		if n := len(r.canvas.order); n > 0 && comparePaint(r.canvas.order[n-1], e) >= 0 || r.canvas.byID[e.id] != nil {
			return fmt.Errorf("elements twice or out of order")
		}
		r.canvas.order = append(r.canvas.order, e)
		r.canvas.byID[e.id] = e
		r.canvas.bytes += len(e.json)
	}
	return nil
}

func (r *Room) readElement(f *elementForm) (*Element, error) {
	e, err := ParseElement(f.E)
	if err != nil {
		return nil, err
	}
	if e.z == "" {
		return nil, fmt.Errorf("an element without z")
	}
	if len(f.P) != 2 && len(f.P) != 2*len(e.members) {
		return nil, fmt.Errorf("an element with %d members and %d provenances", len(e.members), len(f.P)/2)
	}
	for i := range e.members {
		if e.members[i].by, err = r.readBy(f.P, min(2*i, len(f.P)-2)); err != nil {
			return nil, err
		}
	}
	for i, g := range f.G {
		by, err := r.readBy(g.P, 0)
		if err != nil {
			return nil, err
		}
		if _, there := e.find(g.K); there || i >= maxGone || i > 0 && e.gone[i-1].key >= g.K {
			return nil, fmt.Errorf("unset members twice, too many or there")
		}
		e.gone = append(e.gone, tombstone{g.K, by})
	}
	return e, nil
}

// readBy reads the provenance at list[i:i+2].
func (r *Room) readBy(list []uint64, i int) (provenance, error) {
	if len(list) < i+2 || list[i] > r.revision || list[i+1] >= uint64(len(r.actors.names)) {
		return provenance{}, fmt.Errorf("a provenance of nobody or from the future")
	}
	return provenance{list[i], uint32(list[i+1])}, nil
}

func (r *Room) readStacks(f *snapshotForm) (err error) {
	for _, s := range f.Stacks {
		if r.stacks[s.User] != nil || !(Actor{s.User}).person() {
			return fmt.Errorf("stacks twice, or of no person")
		}
		is := &stacks{}
		if is.undo, err = r.readSteps(s.Undo); err != nil {
			return err
		}
		if is.redo, err = r.readSteps(s.Redo); err != nil {
			return err
		}
		r.stacks[s.User] = is
	}
	if r.undoBytes > MaxUndoBytes {
		return fmt.Errorf("%d bytes of steps", r.undoBytes)
	}
	return nil
}

func (r *Room) readSteps(list []stepForm) ([]*step, error) {
	if len(list) > MaxUndoSteps {
		return nil, fmt.Errorf("%d steps", len(list))
	}
	var out []*step
	for i := range list {
		s, err := r.readStep(&list[i])
		if err != nil {
			return nil, err
		}
		if i > 0 && out[i-1].pushed >= s.pushed {
			return nil, fmt.Errorf("steps out of order")
		}
		r.undoBytes += s.bytes
		out = append(out, s)
	}
	return out, nil
}

func (r *Room) readStep(f *stepForm) (*step, error) {
	s := &step{first: f.First, pushed: f.Pushed}
	if s.first > s.pushed || s.pushed > r.revision || len(f.Entries) == 0 {
		return nil, fmt.Errorf("a step that is empty or from the future")
	}
	for i := range f.Entries {
		en, err := r.readEntry(&f.Entries[i])
		if err != nil {
			return nil, err
		}
		s.entries = append(s.entries, en)
		s.bytes += entryBytes(&en)
	}
	return s, nil
}

func (r *Room) readEntry(f *entryForm) (en entry, err error) {
	en = entry{id: f.ID, added: f.Added}
	switch {
	case f.Removed != nil && f.Members == nil && f.Added == 0:
		en.removed, err = r.readElement(f.Removed)
	case f.Removed == nil && f.Members != nil && f.Added == 0:
		en.members, err = r.readReverts(f.Members)
	case f.Removed == nil && f.Members == nil && f.Added != 0 && f.Added <= r.revision:
		if f.Base != nil {
			en.base, err = r.readElement(f.Base)
		}
	default:
		err = fmt.Errorf("an entry that is neither added, removed nor patched")
	}
	if e := en.removed; err == nil && e != nil && e.id != en.id {
		err = fmt.Errorf("an entry with another element")
	}
	return en, err
}

func (r *Room) readReverts(list []revertForm) ([]revert, error) {
	out := make([]revert, 0, len(list))
	for _, m := range list {
		before, err := r.readBy(m.P, 0)
		if err != nil {
			return nil, err
		}
		after, err := r.readBy(m.P, 2)
		if err != nil {
			return nil, err
		}
		rv := revert{key: m.K, before: before, after: after}
		if m.O != nil {
			if rv.old, err = compactJSON(m.O); err != nil {
				return nil, err
			}
		}
		if m.K == "id" || m.K == "type" || m.K == "z" && (rv.old == nil || rv.old[0] != '"' || !ValidZ(unquote(rv.old))) {
			return nil, fmt.Errorf("a step that changes %s", m.K)
		}
		out = append(out, rv)
	}
	for i := 1; i < len(out); i++ { // parts were sorted when the event was folded
		if compareKeys(out[i-1].key, out[i].key) >= 0 {
			return nil, fmt.Errorf("members twice or out of order")
		}
	}
	return out, nil
}

func (r *Room) readChange(f *snapshotForm) error {
	c := f.Change
	if c == nil {
		return nil
	}
	is := change{open: true, actor: c.Actor, cause: events.Cause(c.Cause), source: c.Source, lost: c.Lost}
	if is.cause != "" && is.cause != events.CauseUndo && is.cause != events.CauseRedo {
		return fmt.Errorf("unknown cause")
	}
	if c.Doing != nil {
		s, err := r.readStep(c.Doing)
		if err != nil {
			return err
		}
		is.doing = newReplay(s)
	}
	if c.Recording {
		var list []*step
		if s := r.stacks[c.Actor]; s != nil {
			list = *s.recording(is.cause)
		}
		if len(list) == 0 {
			return fmt.Errorf("no step to record")
		}
		is.step = list[len(list)-1]
	}
	r.change = is
	return nil
}

func (r *Room) readOnce(f *snapshotForm) error {
	r.once.swept = f.Once.Swept
	for i := range f.Once.Clients {
		if err := r.readClient(&f.Once.Clients[i]); err != nil {
			return err
		}
	}
	for _, k := range f.Once.Keys {
		id := keyID{k.User, k.Key}
		if _, twice := r.once.keys[id]; twice {
			return fmt.Errorf("a key twice")
		}
		r.once.keys[id] = keyOnce{k.Hash, k.First, k.Last, k.Dropped, k.At}
		r.once.queue = append(r.once.queue, queuedKey{id, k.At})
	}
	return nil
}

func (r *Room) readClient(f *clientForm) error {
	id := clientID{f.User, f.Client}
	if r.once.clients[id] != nil || len(f.Done)%3 != 0 || len(f.Done)/3 > OncePerClient {
		return fmt.Errorf("a client twice, or with %d numbers", len(f.Done))
	}
	c := &clientOnce{floor: f.Floor, at: f.At}
	for i := 0; i < len(f.Done); i += 3 {
		d := doneSeq{seq: f.Done[i], first: f.Done[i+1], last: f.Done[i+2]}
		if d.seq <= c.floor || i > 0 && d.seq <= f.Done[i-3] {
			return fmt.Errorf("seqs out of order")
		}
		c.done = append(c.done, d)
	}
	for _, x := range f.Dropped {
		i, ok := findSeq(c.done, x.Seq)
		if !ok {
			return fmt.Errorf("dropped ids of an unknown seq")
		}
		c.done[i].dropped = x.IDs
	}
	r.once.clients[id] = c
	return nil
}
