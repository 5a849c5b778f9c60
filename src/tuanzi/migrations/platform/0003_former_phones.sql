-- What: of whom it is known that he had ordered, was erased, and came back; marks of such phones (J3, decision 0020).
-- Safe beside the release before: a new table and a column with a default, which it neither reads nor writes.
-- Undo: drop both; who comes back is then new, with the price of a first order.

ALTER TABLE people ADD COLUMN is_returning BIGINT NOT NULL DEFAULT 0;

CREATE TABLE former_phones (
    mark VARCHAR(64) NOT NULL PRIMARY KEY,
    erasure VARCHAR(64) NOT NULL,
    forget_at_ms BIGINT NOT NULL
);
