-- What: how often a guest's seat was asked for anew, because its home had been away (B7).
-- Safe beside the release before: a column with a default, which it neither reads nor writes.
-- Undo: drop the column, when no seat that was asked for anew is under way.

ALTER TABLE guest_seats ADD COLUMN attempt BIGINT NOT NULL DEFAULT 0;
