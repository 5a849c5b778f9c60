-- What: how long shops may take until what they accepted is ready, before it is late (B8, B9; decision 0030).
-- Safe beside the release before: it names the columns it writes, and the new one has a default.
-- Undo: drop the column.

ALTER TABLE acceptance_terms ADD COLUMN ready_minutes BIGINT NOT NULL DEFAULT 30 CHECK (ready_minutes >= 1);
