-- Pictures and videos that people had made. A status is queued, submitting, submitted, running, unknown, succeeded, failed or canceled.
-- request and said are sealed under the key of the user; money is in millionths of a US dollar.

CREATE TABLE generations (
  room_id TEXT NOT NULL REFERENCES rooms(id),
  id TEXT NOT NULL,
  user_id TEXT REFERENCES users(id),
  revision INTEGER NOT NULL,     -- of the room, at which it was asked for
  model TEXT NOT NULL,
  result TEXT NOT NULL,          -- image or video
  request TEXT NOT NULL,         -- JSON of prompt and input
  element_id TEXT NOT NULL,
  retry_of TEXT,
  status TEXT NOT NULL,
  open INTEGER NOT NULL,         -- 1: canceled, and something may still come of it
  inputs TEXT,                   -- JSON list of the assets that the input names
  assets TEXT,                   -- JSON list of those that came of it
  seed TEXT,
  estimate INTEGER NOT NULL,     -- reserved
  cost INTEGER,                  -- NULL: nothing is known of it yet
  kept INTEGER,                  -- 1: the room showed the result, 0: nobody waited for it any more
  reason TEXT,                   -- why it failed
  detail TEXT,
  said TEXT,
  retryable INTEGER,
  requested_at TIMESTAMP,
  submitted_at TIMESTAMP,
  started_at TIMESTAMP,
  finished_at TIMESTAMP,
  duration_ms INTEGER,
  PRIMARY KEY (room_id, id)
);

CREATE INDEX generations_room ON generations (room_id, revision);
CREATE INDEX generations_user ON generations (user_id, requested_at);
CREATE INDEX generations_open ON generations (status, open);
