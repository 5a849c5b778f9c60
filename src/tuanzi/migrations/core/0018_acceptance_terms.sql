-- What: how long shops may take to accept a sub-order before it is late, and before it is given up (B8, B9).
-- Safe beside the release before: a new table, nobody else reads it.
-- Undo: drop the table.

CREATE TABLE acceptance_terms (
    id VARCHAR(20) NOT NULL PRIMARY KEY,
    late_minutes BIGINT NOT NULL CHECK (late_minutes >= 1),
    given_up_minutes BIGINT NOT NULL,
    CHECK (late_minutes < given_up_minutes)
);
