-- Uploads under way, variants, and what nothing shows. A status is pending, ready, failed, unused or deleted.
-- variants is JSON (events.AssetVariant), placeholder a few bytes of blur as a data URL, reason says why an upload failed.

ALTER TABLE assets ADD COLUMN variants TEXT;
ALTER TABLE assets ADD COLUMN placeholder TEXT;
ALTER TABLE assets ADD COLUMN reason TEXT;
ALTER TABLE assets ADD COLUMN delete_after TIMESTAMP;
