-- What calls of /api/fal cost, one row a call that was paid for with the server's key. Money is in millionths of a US dollar.

CREATE TABLE spending (
  id TEXT PRIMARY KEY,
  stream TEXT NOT NULL,          -- of the log: a person's calls of a month
  revision INTEGER NOT NULL,     -- there
  user_id TEXT REFERENCES users(id), -- NULL: somebody who is nobody
  model TEXT NOT NULL,
  estimate INTEGER NOT NULL,     -- what was reserved for it
  cost INTEGER NOT NULL,
  outcome TEXT NOT NULL,         -- done, refused or unknown
  duration_ms INTEGER,
  created_at TIMESTAMP           -- when it began
);

CREATE INDEX spending_user ON spending (user_id, created_at);

CREATE INDEX spending_created ON spending (created_at);

CREATE INDEX spending_stream ON spending (stream, revision);
