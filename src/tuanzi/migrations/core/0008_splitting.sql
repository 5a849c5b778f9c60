-- What: splits as transactions over core, money and delivery: each with its branches, and who coordinates them (B2, B3).
-- Safe beside the release before: new tables only.
-- Undo: drop the tables, when no split is under way.

CREATE TABLE splits (
    gid VARCHAR(80) NOT NULL PRIMARY KEY,
    group_id VARCHAR(64) NOT NULL UNIQUE,
    state VARCHAR(16) NOT NULL CHECK (state IN ('trying', 'confirming', 'confirmed', 'cancelling', 'cancelled')),
    reason VARCHAR(200) NOT NULL,
    plan TEXT NOT NULL,
    deadline_at_ms BIGINT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    decided_at_ms BIGINT,
    ended_at_ms BIGINT,
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    needs_human BIGINT NOT NULL,
    CHECK ((state = 'trying') = (decided_at_ms IS NULL)),
    CHECK ((state IN ('confirmed', 'cancelled')) = (ended_at_ms IS NOT NULL))
);

CREATE INDEX splits_by_state ON splits (state, gid);

CREATE TABLE split_branches (
    gid VARCHAR(80) NOT NULL,
    branch VARCHAR(40) NOT NULL,
    address VARCHAR(40) NOT NULL,
    state VARCHAR(16) NOT NULL CHECK (state IN ('registered', 'tried', 'refused', 'confirmed', 'cancelled')),
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    last_error VARCHAR(200),
    PRIMARY KEY (gid, branch)
);

CREATE TABLE split_coordinators (
    id VARCHAR(40) NOT NULL PRIMARY KEY,
    coordinator VARCHAR(40) NOT NULL,
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    try_ms_max BIGINT NOT NULL CHECK (try_ms_max > 0)
);
