-- Where projections stand in the log, and what they had to leave out.

CREATE TABLE projection_checkpoints (
  projection TEXT NOT NULL,
  partition INTEGER NOT NULL,
  seq INTEGER NOT NULL,          -- the newest commit applied
  sum TEXT NOT NULL,             -- and its sum
  at TIMESTAMP,                  -- and its time
  PRIMARY KEY (projection, partition)
);

CREATE TABLE parked (
  projection TEXT NOT NULL,
  stream TEXT NOT NULL,          -- kind/id
  partition INTEGER NOT NULL,
  seq INTEGER NOT NULL,          -- the first commit that could not be applied; nothing after it was
  reason TEXT NOT NULL,
  at TIMESTAMP,                  -- time of that commit, where it could be read
  PRIMARY KEY (projection, stream)
);
