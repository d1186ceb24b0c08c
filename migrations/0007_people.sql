-- Invites as links, and guests that turned out to be a user.

CREATE TABLE invites (
  room_id TEXT NOT NULL REFERENCES rooms(id),
  id TEXT NOT NULL,
  role TEXT NOT NULL,
  expires_at TIMESTAMP,          -- NULL: never
  uses INTEGER NOT NULL,         -- how many people it lets in, 0: any number
  used INTEGER NOT NULL,
  created_by TEXT,
  created_at TIMESTAMP,
  revoked_at TIMESTAMP,
  PRIMARY KEY (room_id, id)
);

ALTER TABLE users ADD COLUMN claimed_by TEXT REFERENCES users(id);

CREATE INDEX users_claimed_by ON users (claimed_by);
