-- What lists are read by: rooms newest first, a person's rooms and assets, a room's children. None holds a column that edits change.

CREATE INDEX rooms_public ON rooms (is_public, created_at);
CREATE INDEX rooms_visibility ON rooms (visibility, created_at, id);
CREATE INDEX rooms_owner ON rooms (owner_id, created_at);
CREATE INDEX room_participants_user ON room_participants (user_id, room_id);
CREATE INDEX canvas_states_room ON canvas_states (room_id, revision);
CREATE INDEX assets_user ON assets (user_id, created_at);
CREATE INDEX assets_room ON assets (room_id, created_at);
CREATE INDEX asset_rooms_room ON asset_rooms (room_id);
