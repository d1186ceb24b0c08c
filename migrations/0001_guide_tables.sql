-- The five tables of the Cloudflare integration guide, as the guide has them. What Kanvas needs beyond them is added in later files.

CREATE TABLE users (
  id TEXT PRIMARY KEY,           -- Clerk user ID
  email TEXT NOT NULL,
  name TEXT,
  avatar_url TEXT,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE rooms (
  id TEXT PRIMARY KEY,           -- UUID
  name TEXT NOT NULL,
  description TEXT,
  is_public BOOLEAN DEFAULT true,
  owner_id TEXT REFERENCES users(id),
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE room_participants (
  room_id TEXT REFERENCES rooms(id),
  user_id TEXT REFERENCES users(id),
  joined_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (room_id, user_id)
);

CREATE TABLE canvas_states (
  id TEXT PRIMARY KEY,
  room_id TEXT REFERENCES rooms(id),
  user_id TEXT REFERENCES users(id),
  canvas_data TEXT,              -- JSON representation
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE assets (
  id TEXT PRIMARY KEY,
  user_id TEXT REFERENCES users(id),
  room_id TEXT REFERENCES rooms(id),
  r2_key TEXT NOT NULL,
  content_type TEXT,
  size_bytes INTEGER,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
