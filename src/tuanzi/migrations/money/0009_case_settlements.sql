-- What: what operators did about a case each time it came up; the case itself keeps the last only (B8, C3).
-- Safe beside the release before: a new table, which it neither reads nor writes.
-- Undo: drop it; who settled a case before it came up again is then lost.

CREATE TABLE case_settlements (
    case_id VARCHAR(120) NOT NULL,
    number BIGINT NOT NULL CHECK (number > 0),
    reason VARCHAR(80) NOT NULL,
    how VARCHAR(16) NOT NULL CHECK (how IN ('retry', 'paid_otherwise', 'write_off')),
    settled_by VARCHAR(64) NOT NULL,
    settled_at_ms BIGINT NOT NULL,
    note VARCHAR(500) NOT NULL,
    PRIMARY KEY (case_id, number)
);
