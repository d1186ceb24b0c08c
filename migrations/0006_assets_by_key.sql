-- The Worker finds a picture's asset by its key.

CREATE INDEX assets_key ON assets (r2_key);
