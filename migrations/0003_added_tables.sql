-- Tables that Kanvas adds. text and name of messages and comments are sealed under a key of the person (actor).

CREATE TABLE chat_messages (
  room_id TEXT NOT NULL REFERENCES rooms(id),
  revision INTEGER NOT NULL,
  id TEXT NOT NULL,              -- of the event
  actor TEXT NOT NULL,           -- who wrote it: a user id, or anon:… for people without one
  text TEXT NOT NULL,            -- sealed
  name TEXT,                     -- sealed; what others were shown of people without a user id
  color TEXT,
  user_id TEXT,                  -- likewise
  created_at TIMESTAMP,
  PRIMARY KEY (room_id, revision)
);

CREATE TABLE comments (
  room_id TEXT NOT NULL REFERENCES rooms(id),
  id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  element_id TEXT,
  x REAL,
  y REAL,
  actor TEXT NOT NULL,
  text TEXT NOT NULL,            -- sealed
  created_at TIMESTAMP,
  resolved_by TEXT,
  resolved_at TIMESTAMP,
  PRIMARY KEY (room_id, id)
);

CREATE TABLE asset_rooms (
  asset_id TEXT NOT NULL REFERENCES assets(id),
  room_id TEXT NOT NULL REFERENCES rooms(id),
  revision INTEGER NOT NULL,     -- of the room, from which on an element showed the asset
  created_at TIMESTAMP,
  PRIMARY KEY (asset_id, room_id)
);

CREATE TABLE room_snapshots (
  room_id TEXT NOT NULL REFERENCES rooms(id),
  revision INTEGER NOT NULL,
  seq INTEGER NOT NULL,          -- of the commit that ends at revision
  sum TEXT NOT NULL,
  object_key TEXT NOT NULL,
  created_at TIMESTAMP,
  PRIMARY KEY (room_id, revision)
);
