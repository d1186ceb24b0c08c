-- Calls that only put a job in fal.ai's queue: what the job did cost is heard when somebody asks for its result.

ALTER TABLE spending ADD COLUMN job TEXT;

CREATE INDEX spending_job ON spending (job);
