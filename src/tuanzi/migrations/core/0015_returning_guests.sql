-- What: whether a guest had ordered, was erased, and came back (B4, J3, decision 0020).
-- Safe beside the release before: a column with a default, which it neither reads nor writes.
-- Undo: drop the column.

ALTER TABLE guest_seats ADD COLUMN is_returning BIGINT NOT NULL DEFAULT 0;
