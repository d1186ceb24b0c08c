package projections

// Statements of the tables. Stubs say is_public = 0 and NULL for times, as the columns' defaults depend on the clock.
var (
	userStub = &template{"INSERT INTO {t}users (id, email, created_at) VALUES ", "(?, '', NULL)", " ON CONFLICT (id) DO NOTHING", 1}
	roomStub = &template{"INSERT INTO {t}rooms (id, name, is_public, created_at) VALUES ", "(?, '', 0, NULL)", " ON CONFLICT (id) DO NOTHING", 1}

	userCreatedSQL = &template{
		"INSERT INTO {t}users (id, email, name, avatar_url, created_at, color, kind, revision, deleted_at) VALUES ",
		"(?, ?, ?, ?, ?, ?, ?, ?, NULL)",
		` ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name, avatar_url = excluded.avatar_url,
 created_at = excluded.created_at, color = excluded.color, kind = excluded.kind, revision = excluded.revision, deleted_at = NULL`, 8}
	userUpdatedSQL = &template{"", `UPDATE {t}users SET email = coalesce(?, email), name = coalesce(?, name), avatar_url = nullif(coalesce(?, avatar_url), ''),
 color = coalesce(?, color) WHERE id = ? AND deleted_at IS NULL`, "", 5}
	userProgressSQL = &template{"", "UPDATE {t}users SET revision = ? WHERE id = ?", "", 2}
	userClaimedSQL  = &template{"", "UPDATE {t}users SET claimed_by = ? WHERE id = ?", "", 2}
	userDeletedSQL  = &template{"", `UPDATE {t}users SET email = '', name = NULL, avatar_url = NULL, color = NULL, revision = ?, deleted_at = ? WHERE id = ?`, "", 3}

	roomCreatedSQL = &template{
		`INSERT INTO {t}rooms (id, name, description, is_public, owner_id, created_at, visibility, default_role, updated_at, revision, checkpoint, seq, sum) VALUES `,
		"(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		` ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description, is_public = excluded.is_public,
 owner_id = excluded.owner_id, created_at = excluded.created_at, visibility = excluded.visibility, default_role = excluded.default_role,
 updated_at = excluded.updated_at, revision = excluded.revision, checkpoint = excluded.checkpoint, seq = excluded.seq, sum = excluded.sum`, 13}
	// roomProgressSQL is what edits come to: one row for each room of a batch. The row exists; what is inserted otherwise stays hidden.
	roomProgressSQL = &template{
		"INSERT INTO {t}rooms (id, name, is_public, created_at, updated_at, revision, checkpoint, seq, sum) VALUES ",
		"(?, '', 0, NULL, ?, ?, ?, ?, ?)",
		` ON CONFLICT (id) DO UPDATE SET updated_at = coalesce(excluded.updated_at, updated_at), revision = excluded.revision,
 checkpoint = max(excluded.checkpoint, checkpoint), seq = excluded.seq, sum = excluded.sum`, 6}
	roomUpdatedSQL = &template{"", `UPDATE {t}rooms SET name = coalesce(?, name), description = coalesce(?, description), visibility = coalesce(?, visibility),
 is_public = coalesce(?, is_public), default_role = coalesce(?, default_role) WHERE id = ?`, "", 6}
	roomOwnerSQL   = &template{"", "UPDATE {t}rooms SET owner_id = ? WHERE id = ?", "", 2}
	roomDeletedSQL = &template{"", "UPDATE {t}rooms SET is_public = 0, deleted_at = ? WHERE id = ?", "", 2}

	inviteSQL = &template{"INSERT INTO {t}invites (room_id, id, role, expires_at, uses, used, created_by, created_at, revoked_at) VALUES ",
		"(?, ?, ?, ?, ?, ?, ?, ?, ?)", "", 9}
	inviteProgressSQL = &template{"", "UPDATE {t}invites SET used = used + ?, revoked_at = coalesce(?, revoked_at) WHERE room_id = ? AND id = ?", "", 4}

	// participantSQL: entering sets the role, and the time where they weren't in; being removed keeps both.
	participantSQL = &template{
		"INSERT INTO {t}room_participants (room_id, user_id, joined_at, role, removed_at) VALUES ",
		"(?, ?, ?, ?, ?)",
		` ON CONFLICT (room_id, user_id) DO UPDATE SET
 joined_at = CASE WHEN excluded.removed_at IS NULL AND removed_at IS NOT NULL THEN excluded.joined_at ELSE joined_at END,
 role = CASE WHEN excluded.removed_at IS NULL THEN excluded.role ELSE role END, removed_at = excluded.removed_at`, 5}
	canvasSQL = &template{
		"INSERT INTO {t}canvas_states (id, room_id, user_id, canvas_data, created_at, updated_at, revision, object_key) VALUES ",
		"(?, ?, (SELECT owner_id FROM {t}rooms WHERE id = ?), ?, ?, ?, ?, ?)", "", 8}
	canvasOfSQL = &template{"INSERT INTO {t}canvas_states (id, room_id, user_id, canvas_data, created_at, updated_at, revision, object_key) VALUES ",
		"(?, ?, ?, ?, ?, ?, ?, ?)", "", 8}
	snapshotSQL      = &template{"INSERT INTO {t}room_snapshots (room_id, revision, seq, sum, object_key, created_at) VALUES ", "(?, ?, ?, ?, ?, ?)", "", 6}
	snapshotAfterSQL = &template{"INSERT INTO {t}room_snapshots (room_id, revision, seq, sum, object_key, created_at) VALUES ",
		"(?, ?, (SELECT seq FROM {t}rooms WHERE id = ?), ?, ?, ?)", "", 6}
	chatSQL = &template{"INSERT INTO {t}chat_messages (room_id, revision, id, actor, text, name, color, user_id, created_at) VALUES ",
		"(?, ?, ?, ?, ?, ?, ?, ?, ?)", "", 9}
	commentSQL = &template{
		"INSERT INTO {t}comments (room_id, id, revision, element_id, x, y, actor, text, created_at, resolved_by, resolved_at) VALUES ",
		"(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", " ON CONFLICT (room_id, id) DO NOTHING", 11}
	resolvedSQL = &template{"", "UPDATE {t}comments SET resolved_by = ?, resolved_at = ? WHERE room_id = ? AND id = ?", "", 4}

	assetSQL = &template{
		`INSERT INTO {t}assets (id, user_id, room_id, r2_key, content_type, size_bytes, created_at, sha256, width, height, status, revision) VALUES `,
		"(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'ready', ?)",
		` ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id, room_id = excluded.room_id, r2_key = excluded.r2_key,
 content_type = excluded.content_type, size_bytes = excluded.size_bytes, created_at = excluded.created_at, sha256 = excluded.sha256,
 width = excluded.width, height = excluded.height, status = excluded.status, revision = excluded.revision`, 11}
	pendingSQL = &template{"INSERT INTO {t}assets (id, user_id, room_id, r2_key, content_type, size_bytes, created_at, status, revision) VALUES ",
		"(?, ?, ?, '', ?, ?, ?, 'pending', ?)", " ON CONFLICT (id) DO NOTHING", 7}
	assetFailedSQL    = &template{"", "UPDATE {t}assets SET status = 'failed', reason = ? WHERE id = ?", "", 2}
	assetProcessedSQL = &template{"", "UPDATE {t}assets SET variants = ?, placeholder = ? WHERE id = ?", "", 3}
	assetUnusedSQL    = &template{"", "UPDATE {t}assets SET status = 'unused', delete_after = ? WHERE id = ?", "", 2}
	assetUsedSQL      = &template{"", "UPDATE {t}assets SET status = 'ready', delete_after = NULL WHERE id = ?", "", 1}
	assetDeletedSQL   = &template{"", "UPDATE {t}assets SET status = 'deleted', delete_after = NULL WHERE id = ?", "", 1}
	assetProgressSQL  = &template{"", "UPDATE {t}assets SET revision = ? WHERE id = ?", "", 2}
	attachedSQL       = &template{"INSERT INTO {t}asset_rooms (asset_id, room_id, revision, created_at) VALUES ", "(?, ?, ?, ?)",
		" ON CONFLICT (asset_id, room_id) DO NOTHING", 4}

	spendingSQL = &template{
		"INSERT INTO {t}spending (id, stream, revision, user_id, model, estimate, cost, outcome, duration_ms, created_at, job) VALUES ",
		"(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		` ON CONFLICT (id) DO UPDATE SET stream = excluded.stream, revision = excluded.revision, user_id = excluded.user_id, model = excluded.model,
 estimate = excluded.estimate, cost = excluded.cost, outcome = excluded.outcome, duration_ms = excluded.duration_ms, created_at = excluded.created_at,
 job = excluded.job`, 11}

	parkSQL = &template{"INSERT INTO parked (projection, stream, partition, seq, reason, at) VALUES ", "(?, ?, ?, ?, ?, ?)",
		" ON CONFLICT (projection, stream) DO NOTHING", 6}
)

// statements writes down the batch for tables with the prefix: what is referred to before what refers to it.
func (f *fold) statements(prefix string) []Statement {
	e := &emitter{prefix: prefix}
	f.emitStubs(e)
	f.emitUsers(e)
	f.emitCreatedRooms(e)
	f.emitSnapshots(e) // some read rooms.seq as it was before the batch
	f.emitRooms(e)
	f.emitRoomRows(e)
	f.emitOwners(e) // what names the owner of before comes first
	f.emitInvites(e)
	f.emitComments(e)
	f.emitGenerations(e)
	f.emitAssets(e)
	f.emitSpending(e)
	return e.out
}

func (f *fold) emitStubs(e *emitter) {
	users, rooms := e.rows(userStub), e.rows(roomStub)
	for _, id := range f.userStubs.ids {
		if u := f.users.byID[id]; u == nil || !u.created {
			users.add(id)
		}
	}
	users.flush()
	for _, id := range f.roomStubs.ids {
		if r := f.rooms.byID[id]; r == nil || r.created == nil {
			rooms.add(id)
		}
	}
	rooms.flush()
}

func (f *fold) emitUsers(e *emitter) {
	created := e.rows(userCreatedSQL)
	for _, id := range f.users.ids {
		if u := f.users.byID[id]; u.created {
			created.add(id, *u.email, *u.name, orNil(*u.avatar), u.at, *u.color, u.kind, int64(u.revision))
		}
	}
	created.flush()
	for _, id := range f.users.ids {
		u := f.users.byID[id]
		switch {
		case u.deleted != nil:
			e.one(userDeletedSQL, int64(u.revision), u.deleted, id)
		case !u.created:
			e.one(userUpdatedSQL, deref(u.email), deref(u.name), deref(u.avatar), deref(u.color), id)
			e.one(userProgressSQL, int64(u.revision), id)
		}
		if u.claimedBy != nil {
			e.one(userClaimedSQL, u.claimedBy, id)
		}
	}
}

// deref is the string pointed to, NULL for none.
func deref(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

func isPublic(visibility string) int64 {
	if visibility == visibilityPublic {
		return 1
	}
	return 0
}

func (f *fold) emitCreatedRooms(e *emitter) {
	rows := e.rows(roomCreatedSQL)
	for _, id := range f.rooms.ids {
		r := f.rooms.byID[id]
		if c := r.created; c != nil {
			rows.add(id, c.Name, c.Description, isPublic(c.Visibility), c.owner, c.at, c.Visibility, c.DefaultRole,
				r.edited, int64(r.revision), int64(r.checkpoint), int64(r.seq), r.sum)
		}
	}
	rows.flush()
}

func (f *fold) emitSnapshots(e *emitter) {
	known, before := e.rows(snapshotSQL), e.rows(snapshotAfterSQL)
	for i := range f.snapshots {
		if s := &f.snapshots[i]; s.seq > 0 {
			known.add(s.room, int64(s.revision), int64(s.seq), s.sum, s.key, s.at)
		} else {
			before.add(s.room, int64(s.revision), s.room, s.sum, s.key, s.at)
		}
	}
	known.flush()
	before.flush()
}

func (f *fold) emitRooms(e *emitter) {
	progress := e.rows(roomProgressSQL)
	for _, id := range f.rooms.ids {
		if r := f.rooms.byID[id]; r.created == nil {
			progress.add(id, r.edited, int64(r.revision), int64(r.checkpoint), int64(r.seq), r.sum)
		}
	}
	progress.flush()
	for _, id := range f.rooms.ids {
		r := f.rooms.byID[id]
		if r.changed {
			var public any
			if v := r.updated.Visibility; v != nil {
				public = isPublic(*v)
			}
			u := &r.updated
			e.one(roomUpdatedSQL, deref(u.Name), deref(u.Description), deref(u.Visibility), public, deref(u.DefaultRole), id)
		}
		if r.deleted != nil {
			e.one(roomDeletedSQL, r.deleted, id)
		}
	}
}

func (f *fold) emitOwners(e *emitter) {
	for _, id := range f.rooms.ids {
		if r := f.rooms.byID[id]; r.owner != nil {
			e.one(roomOwnerSQL, r.owner, id)
		}
	}
}

func (f *fold) emitRoomRows(e *emitter) {
	participants, chat := e.rows(participantSQL), e.rows(chatSQL)
	for i := range f.participants {
		p := &f.participants[i]
		participants.add(p.room, p.user, p.joined, p.role, p.removedAt)
	}
	participants.flush()
	f.emitCanvases(e)
	for i := range f.chat {
		c := &f.chat[i]
		chat.add(c.room, int64(c.revision), c.id, c.actor, string(c.Text), orNil(string(c.Name)), orNil(c.Color), orNil(c.UserID), c.at)
	}
	chat.flush()
}

func (f *fold) emitCanvases(e *emitter) {
	before, known := e.rows(canvasSQL), e.rows(canvasOfSQL)
	for i := range f.canvases {
		rows, owner := before, any(f.canvases[i].room)
		if f.canvases[i].ownerKnown {
			rows, owner = known, f.canvases[i].owner
		}
		c := &f.canvases[i]
		rows.add(c.id, c.room, owner, c.data, c.at, c.at, int64(c.revision), orNil(c.objectKey))
	}
	before.flush()
	known.flush()
}

func (f *fold) emitComments(e *emitter) {
	rows := e.rows(commentSQL)
	for _, key := range f.comments.ids {
		if c := f.comments.byID[key]; c.added != nil {
			rows.add(c.room, c.id, int64(c.revision), orNil(c.added.ElementID), number(c.added.X), number(c.added.Y), c.actor,
				string(c.added.Text), c.at, c.resolvedBy, c.resolved)
		}
	}
	rows.flush()
	for _, key := range f.comments.ids {
		if c := f.comments.byID[key]; c.added == nil {
			e.one(resolvedSQL, c.resolvedBy, c.resolved, c.room, c.id)
		}
	}
}

func number(x *float64) any {
	if x == nil {
		return nil
	}
	return *x
}

func pixels(n int) any {
	if n <= 0 {
		return nil
	}
	return int64(n)
}

func (f *fold) emitAssets(e *emitter) {
	stored, pending, attached := e.rows(assetSQL), e.rows(pendingSQL), e.rows(attachedSQL)
	for _, id := range f.assets.ids {
		switch a := f.assets.byID[id]; {
		case a.stored != nil:
			s := a.stored
			stored.add(id, a.user, a.room, s.Key, orNil(s.ContentType), s.Size, a.at, orNil(s.SHA256), pixels(s.Width), pixels(s.Height), int64(a.revision))
		case a.requested != nil:
			pending.add(id, a.user, a.room, orNil(a.requested.ContentType), a.requested.Size, a.at, int64(a.revision))
		}
	}
	stored.flush()
	pending.flush()
	for _, id := range f.assets.ids {
		a := f.assets.byID[id]
		for _, c := range a.changes {
			e.one(c.t, append(c.args, id)...)
		}
		if a.stored == nil && a.requested == nil {
			e.one(assetProgressSQL, int64(a.revision), id)
		}
	}
	for i := range f.attached {
		a := &f.attached[i]
		attached.add(a.asset, a.room, int64(a.revision), a.at)
	}
	attached.flush()
}

// parkStatement notes a stream that is followed no more.
func parkStatement(projection string, p *Parked) Statement {
	return Statement{SQL: parkSQL.sql("", 1), Args: []any{projection, p.Stream.String(), int64(p.Partition), int64(p.Seq), p.Reason, timeOrNil(p.At, p.At > 0)}}
}
