-- Columns that Kanvas adds to the guide's tables. revision and seq count from 1 and stay far below 2^53, which D1 returns exactly;
-- 0 means that a row only stands for a reference so far (its own stream hasn't been applied yet).

ALTER TABLE users ADD COLUMN color TEXT;
ALTER TABLE users ADD COLUMN kind TEXT;                          -- guest, local or clerk
ALTER TABLE users ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN deleted_at TIMESTAMP;

ALTER TABLE rooms ADD COLUMN visibility TEXT NOT NULL DEFAULT 'private'; -- public, unlisted or private; is_public is true for public alone
ALTER TABLE rooms ADD COLUMN default_role TEXT;
ALTER TABLE rooms ADD COLUMN updated_at TIMESTAMP;
ALTER TABLE rooms ADD COLUMN deleted_at TIMESTAMP;               -- a deleted room is never is_public
ALTER TABLE rooms ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN checkpoint INTEGER NOT NULL DEFAULT 0; -- revision of the newest room.checkpointed event
ALTER TABLE rooms ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;     -- of the newest commit, in its partition of the log
ALTER TABLE rooms ADD COLUMN sum TEXT NOT NULL DEFAULT '';       -- of the newest commit

ALTER TABLE room_participants ADD COLUMN role TEXT NOT NULL DEFAULT 'viewer';
ALTER TABLE room_participants ADD COLUMN removed_at TIMESTAMP;   -- not null: no participant any more

ALTER TABLE canvas_states ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE canvas_states ADD COLUMN object_key TEXT;            -- where a state too large for a row is

ALTER TABLE assets ADD COLUMN sha256 TEXT;
ALTER TABLE assets ADD COLUMN width INTEGER;                     -- pixels, NULL unknown
ALTER TABLE assets ADD COLUMN height INTEGER;
ALTER TABLE assets ADD COLUMN status TEXT NOT NULL DEFAULT 'ready';
ALTER TABLE assets ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
