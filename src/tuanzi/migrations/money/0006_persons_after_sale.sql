-- What: when persons are given their shares of an order, and refunds that wait for it (B8, C2).
-- Safe beside the release before: columns that it neither reads nor writes; it gives persons theirs at once.
-- Undo: drop the columns, when no payout is under way.

ALTER TABLE sharings ADD COLUMN persons_at_ms BIGINT;

ALTER TABLE sharings ADD COLUMN held_refunds TEXT NOT NULL DEFAULT '[]';
