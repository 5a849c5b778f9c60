-- What: guests whose money came too late for the seat they had, while home is asked for another one (B7).
-- Safe beside the release before: a column with a default, which it neither reads nor writes; a home of that release has no
-- seat for such money, and it goes back.
-- Undo: drop the column, when no such seat is under way.

ALTER TABLE guest_seats ADD COLUMN is_late BIGINT NOT NULL DEFAULT 0;
