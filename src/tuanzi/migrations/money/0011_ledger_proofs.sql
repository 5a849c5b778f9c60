-- What: what the last sum of all entries said, and the last look at every journal; one row (C2, C3).
-- Safe beside the release before: a new table, nobody else reads it.
-- Undo: drop the table; the next comparison sums again.

CREATE TABLE ledger_proofs (
    id VARCHAR(16) NOT NULL PRIMARY KEY,
    summed_at_ms BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    difference_fen BIGINT NOT NULL,
    off_count BIGINT NOT NULL,
    accounts_off TEXT NOT NULL,
    proven_at_ms BIGINT,
    unbalanced TEXT NOT NULL
);
