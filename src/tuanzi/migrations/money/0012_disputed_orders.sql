-- What: that an order's member has asked for after-sale and nobody has decided, so that persons wait (B8, C2).
-- Safe beside the release before: a column that it neither reads nor writes; it gives persons theirs after a day.
-- Undo: drop the column.

ALTER TABLE sharings ADD COLUMN is_disputed BIGINT NOT NULL DEFAULT 0;
